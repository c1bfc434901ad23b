/**
 * A sandbox: a Postgres server in miniature, on a port of this machine, whose clients all work in one transaction on one
 * session of a database. When its scope is closed, the transaction is rolled back and the clients are cut off, as by a server
 * that is shut down.
 *
 * A client is any program that connects, this process or another; it needs to know nothing of the sandbox. Clients take
 * turns: one has the session for a statement, or for as long as its transaction is open. So their transactions run one behind
 * another, which is an order in which they could have run outside.
 */
import { randomBytes } from "node:crypto"
import * as Net from "node:net"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { SqlError } from "effect/sql/SqlError"
import { moved, type ResolvedSettings } from "../settings/Settings.ts"
import { type Opened, query } from "./AdminConnection.ts"
import * as Messages from "./Messages.ts"
import { accept, type Client } from "./SandboxClient.ts"
import * as Statements from "./Statements.ts"
import * as Turn from "./Turn.ts"
import * as Upstream from "./Upstream.ts"

/** What a sandbox is opened on. */
export interface Database {
  readonly settings: ResolvedSettings
  /** The session that makes databases. */
  readonly admin: Opened
  /** Opens a session that lives as long as the database. */
  readonly connect: Effect.Effect<Opened, SqlError>
  /** Sessions for the next sandboxes. */
  readonly idle: Array<Idle>
}

/** A session, and whether its database has constraints that can be deferred. */
interface Idle {
  readonly upstream: Upstream.Upstream
  readonly mayDefer: boolean
}

const host = "127.0.0.1"
/** So long a statement waits for a client with which nothing happens, in milliseconds. */
const patience = 3_000

const stuck = Messages.error(
  "0A000",
  `another connection of this sandbox kept it for ${patience} ms, in a transaction or a stream in which nothing happened`,
  Statements.advice
)

/** A session that another sandbox has left, or a new one. */
const take = ({ connect, idle }: Database): Effect.Effect<Idle, SqlError> =>
  Effect.suspend(() => {
    for (let known = idle.pop(); known !== undefined; known = idle.pop()) {
      if (known.upstream.session.end() === undefined) return Effect.succeed(known)
    }
    return Effect.flatMap(connect, (opened) =>
      query(opened, Statements.hasDeferrable).pipe(
        Effect.map(([rows]) => ({
          upstream: Upstream.make(opened),
          mayDefer: Predicate.hasProperty(rows?.[0], "deferrable") && rows[0].deferrable === true
        })),
        Effect.onError(() => Effect.sync(() => opened.session.destroy()))
      )
    )
  })

/** Listens on a free port, which it gives. Nothing of it keeps the process from ending. */
const listen = (onSocket: (socket: Net.Socket) => void): Effect.Effect<number, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Net.Server>((resume) => {
        const server = Net.createServer({ noDelay: true }, (socket) => onSocket(socket.unref()))
        server.on("error", (error) => resume(Effect.die(error)))
        server.listen(0, host, () => resume(Effect.succeed(server.unref())))
      }),
      (server) => Effect.sync(() => server.close())
    ),
    (server) => {
      const address = server.address()
      return typeof address === "object" && address !== null ? address.port : 0
    }
  )

/** Opens a sandbox, and gives the settings with which its clients connect. */
export const open = Effect.fnUntraced(function* (
  database: Database
): Effect.fn.Return<ResolvedSettings, SqlError, Scope.Scope> {
  const turns = Semaphore.makeUnsafe(1)
  const sockets = new Set<Net.Socket>()
  const waiting = new Set<Net.Socket>()
  let current: Client | undefined
  const cutOff = () => {
    for (const socket of sockets) {
      // One that waits for nothing may be about to leave, and must not hear of an error then.
      if (socket === current?.socket || waiting.has(socket)) socket.write(Upstream.lost)
      socket.end()
    }
  }
  const taken = yield* Effect.acquireRelease(take(database), (taken) =>
    Effect.gen(function* () {
      const { session, run } = taken.upstream
      cutOff()
      session.socket.off("close", cutOff)
      const errors = yield* turns.withPermitsIfAvailable(1)(Effect.all([run("rollback"), run("discard all")]))
      if (Option.isSome(errors) && errors.value.every((error) => error === undefined))
        database.idle.push(taken)
      else session.destroy()
    })
  )
  const { mayDefer, upstream } = taken
  const { session } = upstream
  const shared: Turn.Shared = {
    upstream,
    mayDefer,
    settings: new Map(),
    names: 0,
    lastActive: 0,
    isWanted: () => waiting.size > 0
  }

  const isQuiet = (): boolean =>
    (session.socket.isPaused() || !upstream.isBusy()) && Date.now() - shared.lastActive >= patience
  /** The server may still be at work for a client that has asked for its answer by a Flush; what it then says is looked at. */
  const isStuck: Effect.Effect<boolean> = Effect.suspend(() =>
    isQuiet()
      ? query(database.admin, Statements.isAtWork(session.key.pid)).pipe(
          Effect.orElseSucceed(() => []),
          Effect.map(([atWork = []]) => atWork.length === 0 && isQuiet())
        )
      : Effect.succeed(false)
  )
  /** `false` when nothing happens with the client that has its turn. */
  const acquire: Effect.Effect<boolean> = Effect.flatMap(
    Effect.timeoutOption(turns.take(1), patience),
    (taken) => {
      if (Option.isSome(taken)) return Effect.succeed(true)
      // What came while this process was busy is looked at first.
      return Effect.sleep("50 millis").pipe(
        Effect.andThen(isStuck),
        Effect.flatMap((isStuck) => (isStuck ? Effect.succeed(false) : acquire))
      )
    }
  )

  const refuse = Effect.fnUntraced(function* ({ messages, socket }: Client, first: Buffer) {
    socket.write(stuck)
    for (let message = first; !"SQ".includes(Messages.typeOf(message)); )
      message = yield* Queue.take(messages)
    socket.write(Messages.message("Z", Buffer.from("I")))
  })

  const once = (named: Turn.Named): Effect.Effect<void, Cause.Done> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const { client } = named
        const first = yield* restore(Queue.take(client.messages))
        // The rest of a COPY that is over: no server takes notice of it.
        if ("dcf".includes(Messages.typeOf(first))) return
        waiting.add(client.socket)
        if ((current?.socket.writableLength ?? 0) < Turn.mostBytes) session.socket.resume()
        const isTurn = yield* Effect.ensuring(
          restore(acquire),
          Effect.sync(() => waiting.delete(client.socket))
        )
        if (!isTurn) return yield* restore(refuse(client, first))
        current = client
        yield* Effect.ensuring(
          Turn.turn(shared, named, first),
          Effect.suspend(() => {
            current = undefined
            upstream.receive = () => undefined
            upstream.onPause = () => undefined
            session.socket.resume()
            return turns.release(1)
          })
        )
      })
    )

  session.socket.once("close", cutOff)
  yield* upstream.run("begin", "set local idle_in_transaction_session_timeout = 0", Statements.enter)

  const scope = yield* Effect.scope
  const password = randomBytes(24).toString("base64url")
  const port = yield* listen((socket) => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
    accept(socket, {
      database: database.settings.database,
      password,
      reported: session.parameters,
      onClient: (client) => {
        const named: Turn.Named = { client, statements: new Map() }
        Effect.runFork(Effect.forkIn(Effect.ignore(Effect.forever(once(named))), scope))
      },
      onCancel: (key, onPassed) => {
        const isIts = current?.key.pid === key.pid && current.key.secret === key.secret
        if (isIts) upstream.cancel(onPassed)
        else onPassed()
      }
    })
  })
  const own: ResolvedSettings["password"] = { _tag: "Text", read: () => password }
  return moved(database.settings, {
    ...database.settings,
    servers: [{ host, port, address: undefined, path: undefined }],
    encryption: { ...database.settings.encryption, mode: "disable", negotiation: "postgres" },
    allowed: undefined,
    channelBinding: "disable",
    password: own
  })
})
