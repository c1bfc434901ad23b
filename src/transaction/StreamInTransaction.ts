/**
 * Rows of a statement in a transaction: fetched in pieces from a portal, so that other statements of the transaction can run
 * between two pieces.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { SqlError } from "effect/sql/SqlError"
import type { OperationError } from "../errors/PoolError.ts"
import * as Execute from "../execute/Execute.ts"
import * as Jobs from "../execute/Job.ts"
import { sizeOf } from "../execute/Progress.ts"
import * as Settle from "../execute/Settle.ts"
import { asRows, pulled, type Rows, start } from "../execute/StreamRows.ts"
import { isDead, isInTransaction, markDirty } from "../pool/PooledConnection.ts"
import * as Commands from "../protocol/Commands.ts"
import type { Exchange } from "../protocol/Exchange.ts"
import * as InTransaction from "./InTransaction.ts"
import * as TransactionErrors from "./TransactionErrors.ts"
import type { Membership, Transaction } from "./TransactionState.ts"
import * as State from "./TransactionState.ts"

/** The first row is fetched by itself, so that it arrives at once. So many the second piece has, and any at the most. */
const secondRows = 32
const mostRows = 1_000
/** About how many bytes a piece has once it is known how long rows are. */
const pieceBytes = 512 * 1024

/** How many rows the next piece has, by the length of those of the last. */
const nextCount = (rows: ReadonlyArray<unknown>): number => {
  let size = 0
  for (const row of rows) size += sizeOf(row)
  const most = rows.length === 1 ? secondRows : mostRows
  return Math.max(1, Math.min(most, Math.floor((pieceBytes * rows.length) / Math.max(size, 1))))
}

type Piece = readonly [rows: ReadonlyArray<unknown>, next: Option.Option<number>]

const pieceOf = ({ isSuspended, rows }: Exchange): Piece => [
  rows,
  isSuspended ? Option.some(nextCount(rows)) : Option.none()
]

/** Fetches the next piece. */
const fetch = (
  { connection, pool }: Transaction,
  job: Jobs.Job,
  first: Exchange,
  portal: string,
  count: number
): Effect.Effect<Piece, SqlError> =>
  Effect.callback((resume) => {
    Commands.fetch(connection.session, first, portal, count, (exchange) => {
      if (exchange.state !== "done") return resume(Settle.failing(pool, job, exchange, connection))
      resume(Effect.map(Settle.finish(pool, connection, job, exchange), pieceOf))
    })
  })

const pieces = (membership: Membership, given: Jobs.Job): Stream.Stream<unknown, OperationError> => {
  const [{ level, transaction }] = membership
  const { connection, pool } = transaction
  return Stream.unwrap(
    Effect.gen(function* () {
      const portal = `#${++transaction.portals}`
      // Parsed anew: a statement that was prepared before a table changed could not be sent again in here.
      const job: Jobs.Job = {
        ...Jobs.jobIn(pool, connection, given),
        keeps: false,
        portal: { name: portal, maxRows: 1 }
      }
      let opened: Exchange | undefined
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          if (opened === undefined || transaction.hasEnded || isDead(connection)) return
          Commands.closePortal(connection.session, portal)
        })
      )
      const open = InTransaction.inTurn(membership, (before) =>
        Effect.suspend(() => {
          // The last statement's holds its tables open until another unnamed one replaces it.
          Commands.closePortal(connection.session, "")
          return Effect.map(Execute.runHere(pool, connection, job, before), (exchange) => {
            opened = exchange
            return pieceOf(exchange)
          })
        })
      )
      return Stream.paginate(1, (count): Effect.Effect<Piece, OperationError> => {
        if (opened === undefined) return open
        const exchange = opened
        if (!State.isAlive(level)) return Effect.fail(TransactionErrors.cursorGone())
        return InTransaction.inTurn(membership, (before) =>
          Effect.suspend(() => {
            const refusal = before()
            return refusal === undefined
              ? fetch(transaction, job, exchange, portal, count)
              : Effect.fail(refusal)
          })
        )
      })
    })
  )
}

/** A job whose text is used once. */
const oneTime = (job: Jobs.Job, text: string, params: ReadonlyArray<unknown> = []): Jobs.Job => ({
  ...job,
  bound: { ...job.bound, text, params },
  known: { ...job.known, text, statements: [] },
  keeps: false
})

/**
 * On a connection that a caller has for itself, without a transaction, a portal would not outlive its first piece, but a
 * cursor `WITH HOLD` does.
 */
const held = (membership: Membership, job: Jobs.Job): Stream.Stream<unknown, OperationError> => {
  const [{ transaction }] = membership
  const name = `effect_cursor_${++transaction.portals}`
  const declare = `DECLARE ${name} NO SCROLL CURSOR WITH HOLD FOR ${job.bound.text}`
  const close = oneTime(job, `CLOSE ${name}`)
  return Stream.unwrap(
    Effect.gen(function* () {
      markDirty(transaction.connection, { sessionEffects: "settings", setsFloatDigits: false })
      yield* InTransaction.run(membership, oneTime(job, declare, job.bound.params))
      yield* Effect.addFinalizer(() =>
        transaction.hasEnded ? Effect.void : Effect.ignore(InTransaction.run(membership, close))
      )
      return Stream.paginate(1, (count) =>
        Effect.map(
          InTransaction.run(membership, oneTime(job, `FETCH FORWARD ${count} FROM ${name}`)),
          ({ rows }): Piece => [rows, rows.length < count ? Option.none() : Option.some(nextCount(rows))]
        )
      )
    })
  )
}

/** What has no cursor, since it writes or locks, keeps the connection until all its rows are read. */
const whole = (membership: Membership, job: Jobs.Job): Stream.Stream<unknown, OperationError> => {
  const [{ transaction }] = membership
  const { connection, pool, root } = transaction
  return pulled(
    Effect.andThen(
      InTransaction.hold(transaction, root),
      start(pool, connection, job, () => State.closedError(transaction, root))
    )
  )
}

const withoutCursor = new Set(["SHOW", "EXPLAIN"])

const outside = (membership: Membership, job: Jobs.Job): Stream.Stream<unknown, OperationError> => {
  const { command, isRead } = job.known.analysis
  return isRead && !withoutCursor.has(command) ? held(membership, job) : whole(membership, job)
}

/** Rows of a statement in its fiber's transaction: one that is open, or begins with the next statement. */
export const rowsInTransaction = (membership: Membership, job: Jobs.Job): Rows =>
  asRows(
    Stream.suspend(() => {
      const [{ transaction }] = membership
      const isOpen = State.isTransaction(transaction) || isInTransaction(transaction.connection)
      return isOpen ? pieces(membership, job) : outside(membership, job)
    })
  )
