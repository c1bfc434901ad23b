/**
 * A bank of 100 accounts: fibers move money at random, some are interrupted, backends are ended meanwhile. Money is neither
 * made nor lost, in any snapshot, and every connection is accounted for.
 *
 * `BANK_SECONDS=20` makes it run for so long; otherwise it is over after a number of transfers.
 */
import { expect } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { isSqlError } from "effect/sql/SqlError"
import { PG, PoolError } from "effect-global-pool"
import type { TestDatabase } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { atRest } from "./support/link.ts"

const accounts = 100
const fibers = 64
const transfersPerFiber = 40
const seconds = Number(process.env.BANK_SECONDS ?? 0)

const setUp = [
  "create table account (id int primary key, balance int not null)",
  `insert into account select n, 1000 from generate_series(1, ${accounts}) as n`
]
const sum = "select sum(balance)::int as sum from account"
const move = "update account set balance = balance + $1 where id = $2"

const levels = ["read uncommitted", "read committed", "repeatable read", "serializable"] as const
/** What may go wrong while others write the same rows and backends are ended. */
const expected = ["SerializationError", "DeadlockError", "ConnectionError"]

const random = (below: number) => Math.floor(Math.random() * below)

/** One transfer, in one of the ways that there are. */
const transfer = (pgdb: PG.Database) =>
  Effect.suspend(() => {
    const from = 1 + random(accounts)
    const to = 1 + random(accounts)
    const amount = random(50)
    const isolation = levels[random(levels.length)]!
    const taken = pgdb.execute(move, [-amount, from])
    const given = pgdb.execute(move, [amount, to])
    const retry = random(2) === 0 ? {} : { retry: { times: 3 } }
    switch (random(6)) {
      case 0:
      case 1:
        return pgdb.trans([
          [move, [-amount, from]],
          [move, [amount, to]]
        ])
      case 2:
        return pgdb.transaction(Effect.andThen(taken, given), { isolation, ...retry })
      case 3:
        return pgdb.transaction(
          Effect.gen(function* () {
            const [row] = yield* pgdb.select<{ balance: number }>(
              "select balance from account where id = $1",
              [from]
            )
            if ((row?.balance ?? 0) < amount) return yield* Effect.fail("poor" as const)
            yield* taken
            return yield* pgdb.table("account").execute(move, [amount, to])
          }),
          { isolation, ...retry }
        )
      case 4:
        return pgdb.transaction(
          Effect.gen(function* () {
            yield* Effect.ignore(pgdb.transaction(Effect.andThen(taken, Effect.fail("no"))))
            yield* pgdb.trans([[move, [-amount, from]]])
            yield* pgdb.transaction(given)
          }),
          { isolation, ...retry }
        )
      default:
        return pgdb.transaction(Effect.all([taken, given], { concurrency: "unbounded" }), {
          isolation,
          ...retry
        })
    }
  })

interface Tally {
  done: number
  failed: number
  interrupted: number
  readonly unexpected: Array<string>
}

const count = (tally: Tally, exit: Exit.Exit<unknown, unknown>): void => {
  if (Exit.isSuccess(exit)) tally.done++
  else if (Cause.hasInterruptsOnly(exit.cause)) tally.interrupted++
  else {
    tally.failed++
    const error = Option.getOrUndefined(Exit.findErrorOption(exit))
    const isTyped = error === "poor" || (isSqlError(error) && expected.includes(error.reason._tag))
    if (!isTyped) tally.unexpected.push(error instanceof PoolError ? error.message : String(error ?? exit))
  }
}

/** One in ten is interrupted, somewhere. */
const once = (pgdb: PG.Database, tally: Tally) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(transfer(pgdb), { startImmediately: true })
    if (random(10) === 0) {
      const steps = random(30)
      for (let step = 0; step < steps; step++) yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
    }
    count(tally, yield* Fiber.await(fiber))
  })

/** Ends one backend of the pool, ten times a second. */
const unrest = ({ witness }: TestDatabase, over: Deferred.Deferred<void>) =>
  Effect.whileLoop({
    while: () => !Deferred.isDoneUnsafe(over),
    body: () =>
      witness.query(
        `select pg_terminate_backend(pid), pg_sleep(0.1) from pg_stat_activity
         where datname = current_database() and application_name <> 'witness' order by random() limit 1`
      ),
    step: () => undefined
  })

withDatabase("money is neither made nor lost", setUp, (given) =>
  Effect.gen(function* () {
    const pgdb = PG.make({ ...given.settings, maxConnections: 12 })
    const over = yield* Deferred.make<void>()
    const tally: Tally = { done: 0, failed: 0, interrupted: 0, unexpected: [] }
    const until = Date.now() + seconds * 1000
    const worker = Effect.gen(function* () {
      for (let n = 0; seconds > 0 ? Date.now() < until : n < transfersPerFiber; n++) yield* once(pgdb, tally)
    })
    const sums: Array<unknown> = []
    const looking = Effect.whileLoop({
      while: () => !Deferred.isDoneUnsafe(over),
      body: () => Effect.exit(pgdb.select(sum)),
      step: (exit) => {
        if (Exit.isSuccess(exit)) sums.push(exit.value[0]?.sum)
      }
    })
    const beside = yield* Effect.forkChild(
      Effect.all([unrest(given, over), looking], { concurrency: "unbounded" })
    )
    yield* Effect.all(
      Array.from({ length: fibers }, () => worker),
      { concurrency: "unbounded" }
    )
    yield* Deferred.succeed(over, undefined)
    yield* Fiber.join(beside)
    expect(tally.unexpected).toEqual([])
    expect(new Set(sums)).toEqual(new Set([accounts * 1000]))
    expect(sums.length).toBeGreaterThan(0)
    expect(tally.done).toBeGreaterThan(0)
    expect(tally.interrupted).toBeGreaterThan(0)
    expect(yield* given.witness.query(sum)).toEqual([{ sum: accounts * 1000 }])
    if (process.env.BANK_SECONDS !== undefined) yield* Effect.logInfo({ ...tally, snapshots: sums.length })
  }).pipe(Effect.andThen(atRest(given)))
)
