/**
 * The options of a transaction: which there are, what is wrong with those given, and the statement that begins by them.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import { type PoolError, refused } from "../errors/PoolError.ts"
import { attempt } from "../statement/PlainObject.ts"

export type Isolation = "read uncommitted" | "read committed" | "repeatable read" | "serializable"

/** Options of `transaction`; Postgres' defaults where they are left out. */
export interface TransactionOptions {
  readonly isolation?: Isolation | undefined
  readonly readOnly?: boolean | undefined
  /** Waits until a serializable, read-only transaction cannot fail. */
  readonly deferrable?: boolean | undefined
  /**
   * Runs the whole effect again on a serialization failure (40001) or a deadlock (40P01), and on nothing else: as a
   * schedule says, or so many times with a jittered pause of 5 ms, doubled each time up to a second. A statement whose plan
   * another session's `ALTER TABLE` made stale is reported as a serialization failure too.
   */
  readonly retry?: { readonly times: number } | Schedule.Schedule<unknown> | undefined
}

const isolations = ["read uncommitted", "read committed", "repeatable read", "serializable"]
const names = ["isolation", "readOnly", "deferrable", "retry"]

const isTimes = (retry: unknown): boolean =>
  Predicate.hasProperty(retry, "times") && Number.isInteger(retry.times) && Number(retry.times) >= 0

const problemOf = (asked: TransactionOptions): string | undefined => {
  if (!Predicate.isObject(asked)) return "A transaction's options are an object, { isolation, readOnly … }."
  const unknown = Object.keys(asked).find((name) => !names.includes(name))
  if (unknown !== undefined) return `A transaction has no option ${unknown}: they are ${names.join(", ")}.`
  const { deferrable, isolation, readOnly, retry } = asked
  if (isolation !== undefined && !isolations.some((level) => level === isolation)) {
    return `A transaction's isolation is one of ${isolations.map((level) => `"${level}"`).join(", ")}.`
  }
  for (const [name, flag] of Object.entries({ readOnly, deferrable })) {
    if (flag !== undefined && typeof flag !== "boolean") return `A transaction's ${name} is true or false.`
  }
  return retry !== undefined && !Schedule.isSchedule(retry) && !isTimes(retry)
    ? "A transaction's retry is a Schedule, or { times } with a whole number from 0."
    : undefined
}

const refusal = (problem: string): PoolError => refused(`${problem} Nothing was sent.`)

/** The options as they are now, or what is wrong with them. */
export const check = (asked: TransactionOptions): Result.Result<TransactionOptions, PoolError> => {
  return (
    attempt(() => {
      const problem = problemOf(asked)
      if (problem !== undefined) return Result.fail(refusal(problem))
      const { deferrable, isolation, readOnly, retry } = asked
      return Result.succeed({ deferrable, isolation, readOnly, retry })
    }, undefined) ?? Result.fail(refusal("A transaction's options cannot be read: one of them throws."))
  )
}

/** A transaction inside another cannot be retried alone. */
export const retryRefusal = (): PoolError =>
  refusal(
    "A transaction inside another cannot be retried, since only the whole of the outer one can be repeated: give retry to that."
  )

const modes = ["isolation", "readOnly", "deferrable"] as const

/** Whether options ask for something that the outer transaction was not begun with: only the server knows whether it has it. */
export const asksForMore = (options: TransactionOptions, outer: TransactionOptions): boolean =>
  modes.some((name) => options[name] !== undefined && options[name] !== outer[name])

/** Asks what the transaction has; its answer for `modeRefusal`. */
export const modesQuery =
  `select pg_catalog.current_setting('transaction_isolation') as "isolation", ` +
  `pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool as "readOnly", ` +
  `pg_catalog.current_setting('transaction_deferrable')::pg_catalog.bool as "deferrable"`

/**
 * Why a transaction inside another cannot have these options: it is a savepoint of the outer one and has what that has, so
 * asking for the same is no reason. `actual` is the answer of `modesQuery`.
 */
export const modeRefusal = (options: TransactionOptions, actual: unknown): PoolError | undefined => {
  const has = (name: string): unknown => (Predicate.hasProperty(actual, name) ? actual[name] : undefined)
  const other = modes.find((name) => options[name] !== undefined && options[name] !== has(name))
  return other === undefined
    ? undefined
    : refused(
        `A transaction inside another is a savepoint of it and cannot have another ${other}: the outer one has ${JSON.stringify(has(other))}. Give ${other} to the outer transaction. The inner one did not run.`
      )
}

/** The statement that begins a transaction of these options; `undefined` where they leave everything to the default. */
export const beginOf = ({ deferrable, isolation, readOnly }: TransactionOptions): string | undefined =>
  isolation === undefined && readOnly === undefined && deferrable === undefined
    ? undefined
    : "BEGIN" +
      (isolation === undefined ? "" : ` ISOLATION LEVEL ${isolation.toUpperCase()}`) +
      (readOnly === undefined ? "" : readOnly ? " READ ONLY" : " READ WRITE") +
      (deferrable === undefined ? "" : deferrable ? " DEFERRABLE" : " NOT DEFERRABLE")
