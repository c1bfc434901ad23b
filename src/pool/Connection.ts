/**
 * One connection of a pool: the driver's session on a socket of our own, with the few things that the pool needs and the
 * driver does not offer - the transaction status, cancelling while pipelining, and an end that the server confirms.
 */
import type * as Net from "node:net"
import type { Duplex } from "node:stream"
import { PassThrough } from "node:stream"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import type { Codec } from "../codec/Codec.ts"
import { type Checked, redactedOf } from "../settings/Settings.ts"
import * as Frames from "./Frames.ts"
import * as ReadAhead from "./ReadAhead.ts"
import * as Socket from "./Socket.ts"
import * as Wire from "./Wire.ts"

export type Result = PgConnection.Result
export type Row = PgConnection.Row

/** A statement as it goes to the driver: parameters encoded by the codec. */
export interface Encoded {
  readonly text: string
  readonly params: ReadonlyArray<unknown>
}

export interface Connection {
  /**
   * Runs one statement, behind whatever is already on the wire. Interruption only drops the answer: who holds the
   * connection alone follows it up with `recover`.
   */
  readonly query: (
    text: string,
    params: ReadonlyArray<unknown>,
    prepare?: boolean
  ) => Effect.Effect<Result, SqlError>
  /** Opens a transaction with this statement; `inTransaction` says so from when it is sent. */
  readonly begin: (text: string) => Effect.Effect<Result, SqlError>
  /** Rows as they come, with back pressure. Ending the stream early cancels the statement on the server. */
  readonly stream: (text: string, params: ReadonlyArray<unknown>) => Stream.Stream<Row, SqlError>
  /** The types of the columns that the server described last. */
  readonly columnTypes: () => ReadonlyArray<number>
  /** Notifications of a channel, for as long as the scope is open. */
  readonly listen: PgConnection.PgConnection["listen"]
  /** Cancels what runs, waits until nothing is on the wire, and makes sure that no late cancel hits the next statement. */
  readonly recover: Effect.Effect<void>
  /** Whether a transaction is open or failed: the server's last word. */
  readonly inTransaction: () => boolean
  /** Whether a transaction is open in which a statement has failed. */
  readonly isFailed: () => boolean
  readonly isDead: () => boolean
  /** Why the server ended the session, if it did and said so. */
  readonly farewell: () => Wire.Farewell | undefined
  /** Whether a cancel was sent that may still arrive late. */
  readonly isSuspect: () => boolean
  /** Ends the session and waits until the server's process for it is gone, two seconds at the most. */
  readonly close: Effect.Effect<void>
  /** The same, and cuts off a socket that the server has not closed by then. */
  readonly cut: Effect.Effect<void>
  /** After `close`: waits as long as the server's process for it takes to go. */
  readonly gone: Effect.Effect<void>
}

const drainTime = 5_000
const goodbyeTime = 2_000
/** How long a session may take to end, one with much to put away for instance, before its socket is cut off. */
const lingerTime = 30_000
/** Postgres itself allows no value over 1 GB. */
const maxMessageSize = 0x7fffffff

const timedOut = (settings: Checked): SqlError =>
  new SqlError({
    reason: new ConnectionError({
      cause: Object.assign(
        new Error(`Opening a connection took longer than connectTimeout, ${settings.connectTimeout} ms`),
        {
          code: "ETIMEDOUT"
        }
      ),
      message: "Opening a connection timed out",
      operation: "connect"
    })
  })

/** Waits so long for the server to close its side, which it does after its process for this session has ended. */
const partFrom = (socket: Net.Socket, patience: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (socket.destroyed) return Effect.void
    socket.end()
    socket.resume()
    return Effect.asVoid(Effect.timeoutOption(Socket.closed(socket), patience))
  })

/** The same, and cuts it off then. */
const hangUp = (socket: Net.Socket, patience: number): Effect.Effect<void> =>
  Effect.andThen(
    partFrom(socket, patience),
    Effect.sync(() => socket.destroy())
  )

/** Waits until a socket that was parted from has closed. Neither it nor its own timer keeps the process from ending. */
const untilGone = (socket: Net.Socket): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (socket.destroyed) return Effect.void
    socket.unref()
    socket.setTimeout(lingerTime, () => socket.destroy())
    return Socket.closed(socket)
  })

/** Lets an interrupted opening end by hanging up, since the driver would leave before the server's process has. */
const untilHungUp = <A, E>(
  socket: Net.Socket,
  patience: number,
  opening: Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.flatMap(Effect.forkDetach(Effect.uninterruptible(opening), { startImmediately: true }), (fiber) =>
    Effect.onInterrupt(Fiber.join(fiber), () => Effect.andThen(hangUp(socket, patience), Fiber.await(fiber)))
  )

/**
 * Opens a connection. `onEnd` is called once, when the session has ended for whatever reason; `isShared` says whether what
 * is sent at the moment are short reads of callers who share the connection.
 */
export const open = (
  settings: Checked,
  codec: Codec,
  onEnd: () => void,
  isShared: () => boolean
): Effect.Effect<Connection, SqlError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const runFork = Effect.runForkWith(yield* Effect.context<never>())
      const key = { pid: 0, secret: 0 }
      let status = Frames.idle
      let established = false
      let beginning = false
      let suspect = false
      let farewell: Wire.Farewell | undefined
      let columnTypes: ReadonlyArray<number> = []
      /** Requests to cancel that were sent on other sockets, until it is known that each was passed on. */
      const cancels = new Set<Fiber.Fiber<boolean>>()
      const sendCancel = Effect.suspend(() => {
        suspect = true
        const request = runFork(Socket.cancel(settings, key))
        cancels.add(request)
        return Fiber.join(request)
      })
      const patience = Math.min(settings.connectTimeout, goodbyeTime)
      const wire = Wire.make(
        {
          onKey: (pid, secret) => {
            key.pid = pid
            key.secret = secret
          },
          onTypes: (oids) => {
            columnTypes = oids
            codec.meet(oids)
          },
          onFarewell: (said) => {
            farewell = said
          },
          onReady: (next) => {
            status = next
          },
          isCancelling: () => suspect
        },
        () => (beginning || status !== Frames.idle ? "prepared" : isShared() ? "alike" : "none")
      )
      const opened = restore(
        Effect.gen(function* () {
          // Asked before there is a socket: the server gives a client only so long to say who it is.
          const given = redactedOf(settings)
          const password = Effect.isEffect(given) ? yield* given : given
          const socket = yield* Effect.acquireRelease(
            Socket.open(settings),
            (socket) => (established ? Effect.void : hangUp(socket, patience)),
            {
              interruptible: true
            }
          ).pipe(Scope.provide(scope))
          Wire.attach(socket, wire)
          let handed = false
          // The driver asks for a first stream to speak on, and for others to cancel on: those are ours to send.
          const stream = (): Duplex => {
            if (!handed) {
              handed = true
              return socket
            }
            runFork(sendCancel)
            return new PassThrough().destroy()
          }
          const driver = yield* untilHungUp(
            socket,
            patience,
            PgConnection.make({
              stream,
              ssl: false,
              username: settings.username,
              database: settings.database,
              password,
              applicationName: settings.applicationName,
              startupParameters:
                settings.statementTimeout === undefined
                  ? settings.startupParameters
                  : { ...settings.startupParameters, statement_timeout: String(settings.statementTimeout) },
              startupOptions: settings.startupOptions,
              connectTimeout: Duration.infinity,
              types: codec.registry,
              multiplex: settings.pipelining,
              prepare: settings.prepare,
              maxMessageSize
            }).pipe(Scope.provide(scope))
          )
          return { socket, driver }
        }).pipe(
          Effect.timeoutOrElse({
            duration: settings.connectTimeout,
            orElse: () => Effect.fail(timedOut(settings))
          })
        )
      ).pipe(Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))))
      const { driver, socket } = yield* opened
      established = true
      socket.once("close", onEnd)
      const promptly = (effect: Effect.Effect<unknown>): Effect.Effect<void> =>
        Effect.timeoutOrElse(Effect.asVoid(effect), {
          duration: drainTime,
          // The server does not notice a lost socket while it runs a statement.
          orElse: () =>
            Effect.andThen(
              Effect.timeoutOption(sendCancel, patience),
              Effect.sync(() => socket.destroy())
            )
        })
      // The driver's pin cannot be interrupted, so it waits in a fiber of its own.
      const drained = Effect.flatMap(Effect.forkDetach(Effect.scoped(driver.pin)), (pinned) =>
        promptly(Fiber.await(pinned))
      )
      // A cancel that the server passed on late would hit the next statement. A signal is delivered before a process
      // reads its next message, so one empty round trip after the request takes the hit or shows that none is left.
      // Of a request that took too long nobody knows when it arrives, so its connection is not used again.
      const settle = Effect.gen(function* () {
        const sent = Array.from(cancels)
        const passed = yield* Effect.forEach(sent, Fiber.join, { concurrency: "unbounded" })
        for (const request of sent) cancels.delete(request)
        if (passed.includes(false)) socket.destroy()
        else {
          suspect = cancels.size > 0
          yield* promptly(Effect.ignore(driver.query("", [], false)))
        }
      })
      // Whoever asks for it waits for the end, also the second to ask.
      const ending = (parting: Effect.Effect<void>): Effect.Effect<void> =>
        Effect.uninterruptible(Effect.andThen(Scope.close(scope, Exit.void), parting))
      const connection: Connection = {
        query: driver.query,
        begin: (text) =>
          Effect.suspend(() => {
            beginning = true
            return Effect.onExitPrimitive(driver.query(text, [], false), () => {
              beginning = false
              return undefined
            })
          }),
        stream: (text, params) => ReadAhead.bounded(socket, driver.stream(text, params)),
        columnTypes: () => columnTypes,
        listen: driver.listen,
        recover: Effect.uninterruptible(
          Effect.suspend(() =>
            socket.destroyed
              ? Effect.void
              : Effect.andThen(
                  Effect.all([sendCancel, drained], {
                    concurrency: "unbounded",
                    discard: true
                  }),
                  settle
                )
          )
        ),
        inTransaction: () => beginning || status !== Frames.idle,
        isFailed: () => status === Frames.inFailed,
        farewell: () => farewell,
        isDead: () => socket.destroyed,
        isSuspect: () => suspect,
        close: ending(partFrom(socket, patience)),
        cut: ending(hangUp(socket, patience)),
        gone: untilGone(socket)
      }
      return connection
    })
  )
