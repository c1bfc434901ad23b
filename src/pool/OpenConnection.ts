/**
 * Opens one connection: to the first server that takes the client and has a session as it is asked for.
 *
 * **Guarantees**
 *
 * Each address of each host is tried with its own `connectTimeout`, as libpq does it. A server that is away, starting up or
 * going down, or of another kind makes way for the next; one that refuses the client ends the search. Nothing of an attempt
 * that failed or was interrupted is left behind.
 */
import * as Net from "node:net"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { SqlError } from "effect/sql/SqlError"
import * as ConnectionErrors from "../errors/ConnectionErrors.ts"
import { ask } from "../protocol/Ask.ts"
import * as Cancel from "../protocol/Cancel.ts"
import type { Address } from "../protocol/Link.ts"
import * as Link from "../protocol/Link.ts"
import { LinkProblem } from "../protocol/LinkProblem.ts"
import type { Keys } from "../protocol/Scram.ts"
import type { Listeners, Session } from "../protocol/Session.ts"
import * as Startup from "../protocol/Startup.ts"
import { describe, placeOf, type ResolvedSettings } from "../settings/Settings.ts"
import type { TypeMap } from "../types/TypeMap.ts"
import * as Attempt from "./Attempt.ts"
import * as Credentials from "./Credentials.ts"
import * as InTime from "./InTime.ts"
import * as OnConnect from "./OnConnect.ts"
import * as OwnSpans from "./OwnSpans.ts"
import { Route } from "./Route.ts"
import * as Target from "./Target.ts"

export type { Opened } from "./Attempt.ts"

/** Why a connection could not be opened, and what waits until nothing of the attempts is left on the servers. */
export interface OpenFailure {
  readonly error: SqlError
  readonly gone: Effect.Effect<void>
}

/**
 * Opens a connection; `onEnd` is called once, when it ends. Where it comes to no result, nothing is left when the caller has
 * discarded `sockets`: an interruption may fall behind the last step of the opening.
 */
export type Open = (
  onEnd: () => void,
  sockets?: Array<Net.Socket>
) => Effect.Effect<Attempt.Opened, OpenFailure>

export type PoolListeners = Omit<Listeners, "onEnd">

/** So long a server has to end a session that was not opened in time, */
const goodbyeMillis = 2_000
/** and one whose opening was interrupted. */
const interruptMillis = 250

const shuffled = <A>(all: ReadonlyArray<A>): ReadonlyArray<A> =>
  all
    .map((one) => ({ one, at: Math.random() }))
    .sort((left, right) => left.at - right.at)
    .map(({ one }) => one)

/** Whether the next server is tried: as in libpq, not after one that refused the client before it had a session. */
const goesOn = (problem: Startup.StartupProblem): boolean =>
  problem instanceof LinkProblem ||
  (problem instanceof Startup.ServerRefusal && (problem.isOpen || problem.fields.code === "57P03"))

/** A server that was tried, and why it was not taken. */
interface Tried extends ConnectionErrors.Tried {
  readonly address: Address
}

const isMissingDatabase = ({ problem }: Tried): boolean =>
  problem instanceof Startup.ServerRefusal && problem.fields.code === "3D000"

/**
 * Asks which process answers: a pooler's key for cancels is its own, and names another one. Behind one `prepare: "auto"` keeps
 * no statements, since it may give the next transaction another server. A pooler that has no server free lets the question wait,
 * so that the opening does and not a caller's statement.
 */
const lookForPooler = (
  session: Session,
  prepare: false | "auto"
): Effect.Effect<void, Startup.StartupProblem> =>
  Effect.flatMap(ask(session, "select pg_catalog.pg_backend_pid() as pid"), ({ rows: [row], state }) => {
    // A pooler that takes the client before it has a server says here that there is none.
    if (state !== "done" && session.end() !== undefined) return Effect.fail(Startup.problemOf(session))
    const isServer = Predicate.hasProperty(row, "pid") && row.pid === session.key.pid
    session.keepsStatements = prepare === "auto" && isServer
    return Effect.void
  })

const nothing = () => undefined

/** Opens connections of these settings, wherever they lead by now. */
export const make =
  (settings: ResolvedSettings, types: TypeMap, keys: Keys, listeners: PoolListeners): Open =>
  (onEnd, sockets) =>
    Effect.flatMap(Route, ({ follow }) =>
      Effect.flatMap(
        Effect.mapError(follow(settings), (error) => ({ error, gone: Effect.void })),
        (target) => direct(target, types, keys, listeners)(onEnd, sockets)
      )
    )

/** Opens connections to the address of these settings. */
export const direct = (
  settings: ResolvedSettings,
  types: TypeMap,
  keys: Keys,
  listeners: PoolListeners
): Open => {
  const { connectTimeout, database, servers, targetSessionAttributes: target } = settings
  const isRandom = settings.loadBalanceHosts === "random"

  const timedOut = (what: string, advice: { readonly advice?: string } = {}) =>
    new LinkProblem(`${what} took longer than connectTimeout, ${connectTimeout} ms`, {
      cause: Object.assign(new Error("timed out"), { code: "ETIMEDOUT" }),
      ...advice
    })

  const inTime = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | LinkProblem> =>
    InTime.inTime(effect, connectTimeout, () => timedOut("opening a connection"))

  /** The same for an effect of the program's own, which may also be interrupted where its opening is not. */
  const ownInTime = <A, E, E2>(
    name: "onConnect" | "password",
    effect: Effect.Effect<A, E>,
    errorOf: (problem: LinkProblem) => E2
  ): Effect.Effect<A, E | E2> => {
    const what = `the effect that is the setting ${name}`
    const advice = "Have it take less time, or raise connectTimeout."
    const whole = Effect.catchCause(
      effect,
      (cause): Effect.Effect<never, E | E2> =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.fail(errorOf(new LinkProblem(`${what} was interrupted`)))
          : Effect.failCause(cause)
    )
    return InTime.inTime(whole, connectTimeout, () => errorOf(timedOut(what, { advice })))
  }

  /** The addresses of a host that have to be tried one by one. */
  const addressesOf = (server: Address): Effect.Effect<ReadonlyArray<Address>, LinkProblem> => {
    const isOne = server.path !== undefined || server.address !== undefined || Net.isIP(server.host) > 0
    // Where any will do, the addresses of a name are tried beside each other.
    if (isOne || (target === "any" && !isRandom)) return Effect.succeed([server])
    return Effect.map(Link.addressesOf(server.host), (found) => {
      const all = found.map((address) => ({ ...server, address }))
      return isRandom ? shuffled(all) : all
    })
  }

  /** The addresses of a name behind one that took the link and failed: those beside it were given up for it. */
  const othersOf = (
    server: Address,
    reached: ReadonlySet<string>
  ): Effect.Effect<ReadonlyArray<Address>, LinkProblem> =>
    reached.size === 0 || reached.has(server.host) || server.address !== undefined
      ? Effect.succeed([])
      : Effect.map(Link.addressesOf(server.host), (found) =>
          found.filter((one) => !reached.has(one)).map((address) => ({ ...server, address }))
        )

  /** The session, if it is as it is wanted, and what is behind it answers. */
  const fitting = (wanted: Target.Target) => (opened: Attempt.Opened) =>
    Effect.flatMap(Target.mismatch(opened.session, wanted), (why) => {
      const { session } = opened
      if (why === undefined) {
        return settings.prepare === true
          ? Effect.succeed(opened)
          : Effect.as(lookForPooler(session, settings.prepare), opened)
      }
      session.terminate()
      return Effect.fail(new LinkProblem(`${why}, and targetSessionAttributes is ${target}`))
    })

  const openOnce: Open = (onEnd, sockets = []) =>
    Effect.suspend(() => {
      const links: Array<Link.Link> = []
      const options = { settings, types, keys, listeners: { ...listeners, onEnd: nothing }, links, sockets }
      /** The session that `onConnect` runs on. */
      let preparing: Attempt.Opened | undefined
      /** Ends what the session runs, with which the server would go on for nobody. */
      const cancel = Effect.suspend(() => {
        if (preparing === undefined) return Effect.void
        const { address, encryption, session } = preparing
        const isBusy = session.pending() > 0 && session.end() === undefined
        return isBusy ? Cancel.request(address, encryption, session.key) : Effect.void
      })
      const hangUp = (patience: number, but?: Attempt.Opened) =>
        Effect.andThen(
          Effect.timeoutOption(cancel, patience),
          Effect.forEach(
            links.filter(({ socket }) => socket !== but?.session.socket),
            ({ socket }) => Link.hangUp(socket, patience),
            { concurrency: "unbounded", discard: true }
          )
        )

      const anyOf = Effect.fnUntraced(function* (
        all: ReadonlyArray<Address>,
        secrets: Credentials.Secrets,
        wanted: Target.Target
      ): Effect.fn.Return<Attempt.Opened, ReadonlyArray<Tried>> {
        const tried: Array<Tried> = []
        const failed = (address: Address, problem: Startup.StartupProblem, note?: string) => {
          tried.push({ address, server: placeOf(address), problem, note })
          return goesOn(problem)
        }
        for (const server of all) {
          const found = yield* Effect.result(inTime(addressesOf(server)))
          if (Result.isFailure(found)) {
            failed(server, found.failure)
            continue
          }
          const addresses = [...found.success]
          for (const [index, address] of addresses.entries()) {
            const reached = new Set<string>()
            const { note, password } = secrets(address)
            let isRejected = false
            const own = {
              ...listeners,
              onEnd: () => {
                if (!isRejected) onEnd()
              }
            }
            const attempt = Attempt.open({ ...options, listeners: own, reached }, address, password)
            const opened = yield* Effect.result(inTime(Effect.flatMap(attempt, fitting(wanted))))
            if (Result.isSuccess(opened)) return opened.success
            isRejected = true
            // One that is away says no more than the first, as where all are.
            const isAway = index >= found.success.length && reached.size === 0
            if (!isAway && !failed(address, opened.failure, note)) return yield* Effect.fail(tried)
            const others = yield* Effect.result(inTime(othersOf(address, reached)))
            if (Result.isSuccess(others)) addresses.push(...others.success)
          }
        }
        return yield* Effect.fail(tried)
      })

      const search = (secrets: Credentials.Secrets) => {
        const all = isRandom ? shuffled(servers) : servers
        if (target !== "prefer-standby") return anyOf(all, secrets, target)
        return Effect.catch(anyOf(all, secrets, "standby"), (tried) =>
          tried.every(({ problem }) => goesOn(problem)) ? anyOf(all, secrets, "any") : Effect.fail(tried)
        )
      }

      const refuse = (error: SqlError) => Effect.fail({ error, gone: hangUp(goodbyeMillis) })

      const refuseAll = (tried: ReadonlyArray<Tried>, databases: ReadonlyArray<string> = []) =>
        refuse(ConnectionErrors.openError(tried, { server: describe(settings), databases }, database))

      /** Of a database that does not exist the error names those that do. */
      const fail = (tried: ReadonlyArray<Tried>, secrets: Credentials.Secrets) => {
        const last = tried.at(-1)
        if (last === undefined || !isMissingDatabase(last) || database === Attempt.maintenanceDatabase) {
          return refuseAll(tried)
        }
        const { password } = secrets(last.address)
        return Effect.flatMap(Attempt.databases(options, last.address, password), (names) =>
          refuseAll(tried, names)
        )
      }

      /** What is done on a connection before it is lent. */
      const prepareFor = (opened: Attempt.Opened): Effect.Effect<Attempt.Opened, OpenFailure> => {
        const { session } = opened
        const errorOf = (problem: Startup.StartupProblem) =>
          ConnectionErrors.connectError(problem, { server: describe(settings) })
        preparing = opened
        return Effect.matchEffect(ownInTime("onConnect", OnConnect.run(session, settings), errorOf), {
          onFailure: refuse,
          onSuccess: () =>
            session.end() === undefined
              ? Effect.sync(() => {
                  preparing = undefined
                  return opened
                })
              : refuse(errorOf(Startup.problemOf(session)))
        })
      }

      // Never at once: a caller that asks for several connections sees those that are being opened.
      return Effect.andThen(
        Effect.yieldNow,
        Effect.matchEffect(ownInTime("password", Credentials.secretsOf(settings), identity), {
          onFailure: (problem) =>
            refuseAll([{ address: servers[0], server: placeOf(servers[0]), problem, note: undefined }]),
          onSuccess: (secrets) =>
            Effect.flatMap(
              Effect.catch(search(secrets), (tried) => fail(tried, secrets)),
              prepareFor
            )
        })
      ).pipe(
        // Also where `onConnect` dies; after a failure it has been done.
        (opening) =>
          Effect.onExitPrimitive(opening, (exit) =>
            Exit.isFailure(exit) && !Cause.hasFails(exit.cause) ? hangUp(interruptMillis) : undefined
          ),
        Effect.tap((opened) =>
          links.length > 1 ? Effect.forkDetach(hangUp(goodbyeMillis, opened)) : Effect.void
        )
      )
    })
  return (onEnd, sockets) =>
    OwnSpans.within(settings, "connect", openOnce(onEnd, sockets), ({ error }) => error)
}
