/**
 * The rule of repeating: what may have run is never sent again. A bad network, a server that ends sessions and tables that
 * change come between callers who repeat what is retryable and nothing else, and a table counts every effect.
 */
import { expect } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { PG, type PoolRegistry } from "effect-global-pool"
import * as fc from "fast-check"
import { withDatabase } from "./support/handle.ts"
import { linked } from "./support/link.ts"
import { sample, seed } from "./support/random.ts"

const setUp = [
  // No constraint: what is done twice is to be seen.
  "create table audit (id int, more text)",
  "create table counter (id int primary key, n int not null)",
  "insert into counter values (1, 0)",
  `create function note(id int) returns audit language sql as $$ insert into audit values (id) returning * $$`,
  `create procedure note_and_commit(id int) language plpgsql as
   $$ begin insert into audit values (id); commit; perform pg_sleep(0.002); end $$`,
  `create procedure note_and_fail(id int) language plpgsql as
   $$ begin insert into audit values (id); commit; raise exception 'no' using errcode = '40001'; end $$`
]

type Work = Effect.Effect<unknown, unknown, PoolRegistry>

/** Every way in which one effect can come about, by the number that is noted. */
const works: Readonly<Record<string, (pgdb: PG.Database, id: number) => Work>> = {
  execute: (pgdb, id) => pgdb.execute("insert into audit values ($1)", [id]),
  returning: (pgdb, id) => pgdb.select("insert into audit values ($1) returning *", [id]),
  "a slow statement": (pgdb, id) => pgdb.execute("insert into audit select $1 from pg_sleep(0.003)", [id]),
  "a statement with a Date": (pgdb, id) =>
    pgdb.execute("insert into audit values ($1, $2::date)", [id, new Date()]),
  "a function": (pgdb, id) => pgdb.select("select note($1) as noted", [id]),
  "a stream": (pgdb, id) => Stream.runDrain(pgdb.stream("select note($1) as noted", [id])),
  "a stream in a transaction": (pgdb, id) =>
    pgdb.transaction(Stream.runDrain(pgdb.stream("insert into audit values ($1) returning *", [id]))),
  "a procedure": (pgdb, id) => pgdb.execute("call note_and_commit($1)", [id]),
  "a procedure that fails": (pgdb, id) => pgdb.execute("call note_and_fail($1)", [id]),
  trans: (pgdb, id) => pgdb.trans([["insert into audit values ($1)", [id]], "select count(*) from audit"]),
  "trans with a function": (pgdb, id) => pgdb.trans([["select note($1)", [id]], "select * from counter"]),
  transaction: (pgdb, id) =>
    pgdb.transaction(
      Effect.andThen(
        pgdb.select("select * from counter"),
        pgdb.execute("insert into audit values ($1)", [id])
      )
    ),
  savepoint: (pgdb, id) =>
    pgdb.transaction(pgdb.transaction(pgdb.execute("insert into audit values ($1)", [id]))),
  insert: (pgdb, id) => pgdb.table("audit").insert({ id }),
  insertMany: (pgdb, id) => pgdb.table("audit").insertMany([{ id }]),
  insertStream: (pgdb, id) => pgdb.table("audit").insertStream(Stream.make({ id })),
  "$inc and a note": (pgdb, id) =>
    pgdb.transaction(
      Effect.andThen(
        pgdb.table("counter").update({ id: 1 }, { n: { $inc: 1 } }),
        pgdb.table("audit").insert({ id })
      )
    ),
  client: (pgdb, id) => Effect.flatMap(pgdb.client, (sql) => sql`insert into audit (id) values (${id})`),
  "client in a transaction": (pgdb, id) =>
    Effect.flatMap(pgdb.client, (sql) => sql.withTransaction(sql`insert into audit (id) values (${id})`))
}

/** What comes between. */
const troubles = [
  "cut",
  "end a session",
  "cancel",
  "add a column",
  "drop a column",
  "retype",
  "nothing"
] as const

interface Step {
  readonly work: string
  readonly trouble: (typeof troubles)[number]
}

const steps: fc.Arbitrary<Step> = fc.record({
  work: fc.constantFrom(...Object.keys(works)),
  trouble: fc.oneof(
    { weight: 4, arbitrary: fc.constant("nothing" as const) },
    { weight: 3, arbitrary: fc.constantFrom(...troubles) }
  )
})

const isRetryable = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "isRetryable" in error && error.isRetryable === true

for (const [variant, options] of Object.entries({
  "by default": {},
  "without prepare": { prepare: false },
  "without pipelining": { pipelining: false }
})) {
  withDatabase(
    `whatever fails between callers, what succeeded was done once, and what may be repeated was not done, ${variant}`,
    setUp,
    (given) =>
      Effect.gen(function* () {
        const { witness } = given
        const { pgdb, proxy } = yield* linked(given, { maxConnections: 4, ...options })
        const others =
          "from pg_stat_activity where datname = current_database() and application_name <> 'witness'"
        const trouble: Readonly<Record<Step["trouble"], Effect.Effect<unknown, unknown>>> = {
          cut: proxy.cut,
          "end a session": witness.query(
            `select pg_terminate_backend(pid) ${others} order by random() limit 1`
          ),
          cancel: witness.query(`select pg_cancel_backend(pid) ${others} and state = 'active'`),
          "add a column": witness.query("alter table audit add column if not exists added int"),
          "drop a column": witness.query("alter table audit drop column if exists added"),
          retype: witness.query("alter table audit alter more type varchar(40)"),
          nothing: Effect.void
        }
        const all = sample(steps, Number(process.env.STEPS ?? 300))
        interface Report {
          readonly id: number
          readonly work: string
          /** How often it was called, each call but the last having failed as retryable. */
          readonly calls: number
          readonly last: "done" | "failed"
          readonly error: unknown
          /** The errors of the calls before. */
          readonly before: ReadonlyArray<string>
        }
        const reports: Array<Report> = []
        const perform = Effect.fnUntraced(function* (id: number, { work }: Step) {
          const before: Array<string> = []
          for (let calls = 1; ; calls++) {
            const exit = yield* Effect.exit(works[work]!(pgdb, id))
            const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
            // A deadlock of definitions apart, each of them ends.
            if (Exit.isFailure(exit) && isRetryable(error) && calls < 40) {
              before.push(String(error))
              continue
            }
            reports.push({ id, work, calls, last: Exit.isSuccess(exit) ? "done" : "failed", error, before })
            return
          }
        })
        const callers = yield* Effect.forkChild(
          Effect.forEach(all, (step, id) => perform(id, step), { concurrency: 8, discard: true })
        )
        yield* Effect.forEach(
          all,
          (step) => Effect.andThen(Effect.ignore(trouble[step.trouble]), Effect.sleep("2 millis")),
          { discard: true }
        ).pipe(Effect.raceFirst(Fiber.await(callers)))
        yield* Fiber.join(callers)
        const counts = new Map(
          (yield* witness.query("select id, count(*)::int as n from audit group by id")).map(({ id, n }) => [
            id,
            Number(n)
          ])
        )
        expect(reports).toHaveLength(all.length)
        for (const { before, calls, error, id, last, work } of reports) {
          const done = counts.get(id) ?? 0
          const story = `seed ${seed}: ${work}, call ${calls} ${last}, ${String(error)}: done ${done} times; before: ${before.join("; ")}`
          if (last === "done") expect(done, story).toBe(1)
          // It is not known, or a procedure had committed.
          else expect(done, story).toBeLessThanOrEqual(1)
          if (work === "a procedure that fails" && PG.sqlState(error) === "40001") expect(done, story).toBe(1)
        }
        const noted = yield* witness.query(
          `select (select n from counter) as n, (select count(*)::int from audit where id = any($1)) as noted`,
          [reports.filter(({ work }) => work === "$inc and a note").map(({ id }) => id)]
        )
        expect(noted[0]?.n).toBe(noted[0]?.noted)
        // The pool is as good as new.
        expect(yield* pgdb.selectValue("select 1")).toMatchObject({ value: 1 })
      })
  )
}
