/**
 * The connection of a transaction, and how a transaction begins, nests and ends on it.
 *
 * A fiber's transaction is a service in its context, under a key of the pool's own, in the form that Effect's SQL clients
 * use: so handles and `pgdb.client` join the same one. `BEGIN` and `SAVEPOINT` wait for the first statement and travel with
 * it; a transaction without a statement costs nothing.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Semaphore from "effect/Semaphore"
import type * as SqlClient from "effect/sql/SqlClient"
import type { Connection as SqlConnection } from "effect/sql/SqlConnection"
import { ConnectionError, SqlError, UnknownError } from "effect/sql/SqlError"
import type { Result } from "./Connection.ts"
import type * as Lines from "./Lines.ts"

/** A connection that one transaction holds. Statements of several fibers take turns on it. */
export interface Held {
  readonly member: Lines.Member
  readonly turn: Semaphore.Semaphore
  /** Statements that open the transaction or a savepoint and are not sent yet. */
  pending: ReadonlyArray<string>
  begun: boolean
}

/** A transaction's connection in the form that Effect's SQL clients join. */
export interface Link extends SqlConnection {
  readonly held: Held
}

/** Under which key a fiber's context holds its transaction on one pool, with the depth of savepoints. */
export type Key = Context.Service<SqlClient.TransactionConnection, readonly [link: Link, depth: number]>

let keys = 0

/** The same key in the two types that its users know it by. */
export const makeKey = (): { readonly key: Key; readonly client: ClientKey } => {
  const name = `effect-global-pool/Transaction/${keys++}`
  return {
    key: Context.Service<SqlClient.TransactionConnection, readonly [link: Link, depth: number]>(name),
    client: Context.Service<SqlClient.TransactionConnection, SqlClient.TransactionConnection.Service>(name)
  }
}

/** The key as `SqlClient.make` takes it. */
export type ClientKey = Context.Service<
  SqlClient.TransactionConnection,
  SqlClient.TransactionConnection.Service
>

export const hold = (member: Lines.Member): Held => ({
  member,
  turn: Semaphore.makeUnsafe(1),
  pending: [],
  begun: false
})

/** Runs a statement that is cancelled on the server when its fiber is interrupted. */
const cancellable = <A, E>(member: Lines.Member, run: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.onInterrupt(run, () => member.connection.recover)

/** Statements ran although their `BEGIN` did not. */
export const lost = (error: SqlError): SqlError =>
  new SqlError({
    reason: new ConnectionError({
      cause: error.reason.cause,
      message: `The transaction could not begin, so its first statement was not part of one: ${error.message}`,
      operation: "begin"
    })
  })

/**
 * Runs something on the transaction's connection, in turn, with what is pending sent just before it in the same write.
 *
 * An interruption cancels only once the pending statements are through: a cancel that hit `BEGIN` would let what follows
 * run outside the transaction.
 */
export const on = <A, E>(
  held: Held,
  run: (member: Lines.Member) => Effect.Effect<A, E>
): Effect.Effect<A, E | SqlError> =>
  held.turn.withPermit(
    Effect.suspend(() => {
      const { member, pending } = held
      if (pending.length === 0) return cancellable(member, run(member))
      const begins = !held.begun
      held.pending = []
      held.begun = true
      return Effect.flatMap(
        Effect.forEach(pending, (text) =>
          Effect.forkDetach(member.connection.query(text, []), { startImmediately: true })
        ),
        (fibers) => {
          const through = Effect.forEach(fibers, Fiber.await)
          return Effect.onExit(
            Effect.onInterrupt(run(member), () => Effect.andThen(through, member.connection.recover)),
            (exit) =>
              Exit.hasInterrupts(exit)
                ? Effect.void
                : Effect.flatMap(through, (exits) => {
                    const failed = begins ? exits.find(Exit.isFailure) : undefined
                    return failed === undefined ? Effect.void : Effect.mapError(failed, lost)
                  })
          )
        }
      )
    })
  )

/** What a `COMMIT` that got no answer means. */
const unknownOutcome = (error: SqlError): SqlError =>
  error.reason._tag === "ConnectionError"
    ? new SqlError({
        reason: new ConnectionError({
          cause: error.reason.cause,
          message: `The connection was lost during COMMIT, so it is unknown whether the transaction took effect: look before you repeat it. ${error.message}`,
          operation: "commit"
        })
      })
    : error

const rolledBack = (): SqlError =>
  new SqlError({
    reason: new UnknownError({
      cause: new Error("COMMIT rolled the transaction back"),
      message:
        "COMMIT rolled the transaction back, because a statement of it had failed and that failure was caught. Let the failure reach the transaction, or put what may fail into a transaction of its own inside: that is a savepoint.",
      operation: "commit"
    })
  })

/** Sends `COMMIT`; one that the server turned into a rollback fails. */
export const commitOn = (member: Lines.Member): Effect.Effect<Result, SqlError> =>
  Effect.flatMap(Effect.mapError(member.connection.query("COMMIT", []), unknownOutcome), (result) =>
    result.command === "ROLLBACK" ? Effect.fail(rolledBack()) : Effect.succeed(result)
  )

export const commit = (held: Held): Effect.Effect<void, SqlError> =>
  Effect.suspend(() => {
    held.pending = []
    return held.begun ? held.turn.withPermit(commitOn(held.member)) : Effect.void
  })

/** Never fails: a connection that cannot roll back is closed when it comes back, which rolls back too. */
export const rollback = (held: Held): Effect.Effect<void> =>
  Effect.suspend(() => {
    held.pending = []
    if (!held.begun || held.member.connection.isDead()) return Effect.void
    return Effect.ignore(held.turn.withPermit(held.member.connection.query("ROLLBACK", [])))
  })

const nameOf = (depth: number): string => `effect_sql_${depth}`

const setting = (depth: number): string => `SAVEPOINT ${nameOf(depth)}`

/** Forgets a savepoint that no statement has carried to the server yet, and says whether there was one. */
const dropPending = (held: Held, depth: number): boolean => {
  const at = held.pending.lastIndexOf(setting(depth))
  if (at >= 0) held.pending = held.pending.slice(0, at)
  return at >= 0
}

export const savepoint = (held: Held, depth: number): Effect.Effect<void> =>
  Effect.sync(() => {
    held.pending = [...held.pending, setting(depth)]
  })

/** Travels with the next statement; at the transaction's end it is not needed. */
export const release = (held: Held, depth: number): Effect.Effect<void> =>
  Effect.sync(() => {
    if (!dropPending(held, depth)) held.pending = [...held.pending, `RELEASE SAVEPOINT ${nameOf(depth)}`]
  })

/** Never fails: where it cannot be done, the transaction itself has failed. */
export const rollbackTo = (held: Held, depth: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (dropPending(held, depth)) {
      held.pending = [...held.pending, setting(depth)]
      return Effect.void
    }
    held.pending = []
    if (held.member.connection.isDead()) return Effect.void
    return Effect.ignore(
      held.turn.withPermit(held.member.connection.query(`ROLLBACK TO SAVEPOINT ${nameOf(depth)}`, []))
    )
  })

/** Sends a statement with the transaction's next one; not at all when the transaction ends first. Never fails. */
export const afterwards = (held: Held, text: string): Effect.Effect<void> =>
  Effect.sync(() => {
    held.pending = [...held.pending, text]
  })
