/**
 * A soak, by hand: `npx tsx test/bench/soak.ts [minutes] [--write]`, ten minutes unless given. Reads, writes, transactions,
 * batches, streams and a listener go on while backends are killed, tables change and callers are interrupted. It prints what the
 * process and the server hold as time goes by, and compares an audit table with each outcome; `--write` puts that into
 * `docs/connecting.md`. The exit status is 1 when anything is wrong.
 */
import * as fs from "node:fs"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import { PG, PoolRegistry } from "effect-global-pool"
import pg from "pg"
import { start } from "../../src/embedded/Server.ts"

const minutes = Number(process.argv.slice(2).find((argument) => !argument.startsWith("--")) ?? 10)
const samples = 10
const accounts = 20
const rowsOfStream = 2_000

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

type Call<A = unknown> = Effect.Effect<A, PG.OperationError, PoolRegistry>

/** Outcomes of writes by their number, in memory that does not grow: what this measures is the pool's. */
const outcomes = new Uint8Array(8_000_000)
const kept = 1
const undone = 2
const unknown = 3

interface Counts {
  calls: number
  writes: number
  wrong: number
  heard: number
  kills: number
  changes: number
  interruptions: number
  readonly failures: Map<string, { readonly count: number; readonly first: string }>
  isOver: boolean
}

const random = (below: number): number => Math.floor(Math.random() * below)

/** Calls of a kind, one after the other until the end. */
const worker = (counts: Counts, pause: number, call: () => Effect.Effect<unknown, never, PoolRegistry>) =>
  Effect.whileLoop({
    while: () => !counts.isOver,
    body: () => {
      counts.calls++
      return Effect.andThen(call(), Effect.sleep(random(2 * pause)))
    },
    step: () => undefined
  })

const failed = (counts: Counts, kind: string) => (error: PG.OperationError) =>
  Effect.sync(() => {
    const name = `${kind}: ${error.reason._tag}${error.isRetryable ? ", retryable" : ""}`
    const before = counts.failures.get(name)
    counts.failures.set(name, { count: (before?.count ?? 0) + 1, first: before?.first ?? error.message })
  })

const workload = (pgdb: PG.Database, counts: Counts) => {
  const check = (isRight: boolean, what: string) => {
    if (isRight) return
    counts.wrong++
    process.stdout.write(`WRONG: ${what}\n`)
  }
  const read = () => {
    const n = random(1_000_000)
    return pgdb.selectValue("select $1::int + 0 * count(*) from account", [n]).pipe(
      Effect.map((value) => check(Number(Option.getOrUndefined(value)) === n, `a read of ${n}`)),
      Effect.catch(failed(counts, "read"))
    )
  }
  /** A write of a number: what is known of its outcome is compared with the server in the end. */
  const write = (kind: string, of: (n: number) => Call) => () => {
    const n = ++counts.writes
    outcomes[n] = unknown
    return of(n).pipe(
      Effect.tap(() =>
        Effect.sync(() => {
          outcomes[n] = kept
        })
      ),
      Effect.catch((error) => {
        if (error.isRetryable) outcomes[n] = undone
        return failed(counts, kind)(error)
      })
    )
  }
  const insert = (n: number): Call => pgdb.execute("insert into audit values ($1)", [n])
  const transfer = (n: number): Call => {
    const from = random(accounts)
    const to = (from + 1 + random(accounts - 1)) % accounts
    return pgdb.transaction(
      Effect.gen(function* () {
        yield* pgdb.select`select 1 from account where id in (${from}, ${to}) order by id for update`
        yield* pgdb.execute`update account set balance = balance - 1 where id = ${from}`
        yield* pgdb.execute`update account set balance = balance + 1 where id = ${to}`
        yield* insert(n)
      })
    )
  }
  const batch = (n: number): Call =>
    pgdb.trans([["insert into audit values ($1)", [n]], "select 1", "notify soak"])
  const stream = () => {
    const limit = random(3) === 0 ? 10 : rowsOfStream
    return pgdb.stream<{ n: number }>(`select n from generate_series(1, ${rowsOfStream}) n`).pipe(
      Stream.take(limit),
      Stream.runFold(
        () => 0,
        (sum, { n }) => sum + n
      ),
      Effect.map((sum) => check(sum === (limit * (limit + 1)) / 2, "a stream")),
      Effect.catch(failed(counts, "stream"))
    )
  }
  const changing = () =>
    pgdb.select<{ id: number }>("select * from changing order by id").pipe(
      Effect.map((rows) =>
        check(rows.length === 3 && rows.every(({ id }, at) => Number(id) === at + 1), "a changed table")
      ),
      Effect.catch(failed(counts, "read of a table that changes"))
    )
  const uses: ReadonlyArray<() => Effect.Effect<unknown, never, PoolRegistry>> = [
    read,
    write("interrupted insert", insert),
    write("interrupted transaction", transfer),
    write("interrupted trans", batch),
    stream
  ]
  const interrupted = () => {
    counts.interruptions++
    return Effect.timeoutOption(uses[random(uses.length)]!(), random(6))
  }
  const times = <A>(count: number, make: () => A) => Array.from({ length: count }, make)
  return [
    ...times(8, () => worker(counts, 4, read)),
    ...times(4, () => worker(counts, 4, write("insert", insert))),
    ...times(4, () => worker(counts, 6, write("transaction", transfer))),
    ...times(2, () => worker(counts, 6, write("trans", batch))),
    ...times(2, () => worker(counts, 20, stream)),
    ...times(2, () => worker(counts, 10, changing)),
    ...times(2, () => worker(counts, 10, interrupted)),
    pgdb.listen("soak").pipe(
      Stream.runForEach(() => Effect.sync(() => counts.heard++)),
      Effect.catch(failed(counts, "listen"))
    )
  ]
}

const own = "datname = current_database() and application_name = 'effect-global-pool'"

/** Kills a backend now and then, and changes a table. */
const disturb = (admin: pg.Client, counts: Counts) => {
  const changes = [
    "alter table changing add column extra text default 'x'",
    "alter table changing alter column id type bigint",
    "alter table changing drop column extra",
    "alter table changing alter column id type int"
  ]
  const kill = Effect.promise(() =>
    admin.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where ${own} order by random() limit 1`
    )
  )
  const change = Effect.suspend(() => {
    const text = changes[counts.changes++ % changes.length]!
    return Effect.promise(() => admin.query(text))
  })
  return Effect.whileLoop({
    while: () => !counts.isOver,
    body: () => Effect.andThen(Effect.andThen(kill, change), Effect.sleep(200 + random(400))),
    step: () => {
      counts.kills++
    }
  })
}

const numberOf = (admin: pg.Client, sql: string) =>
  Effect.promise(async () => Number((await admin.query<{ n: string }>(`select ${sql} as n`)).rows[0]?.n))

const megabytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1)

const head = [
  "minute",
  "calls",
  "heap MB",
  "rss MB",
  "connections",
  "prepared, most of one",
  "locks of over 5 s",
  "kills",
  "heard"
]

const sample = (pgdb: PG.Database, admin: pg.Client, counts: Counts, minute: number) =>
  Effect.gen(function* () {
    collect()
    const { heapUsed, rss } = process.memoryUsage()
    const prepared = yield* Effect.forEach(
      Array.from({ length: 10 }),
      () => Effect.option(pgdb.selectValue("select count(*)::int from pg_prepared_statements")),
      { concurrency: "unbounded" }
    )
    return [
      minute.toFixed(minutes < 5 ? 2 : 1),
      String(counts.calls),
      megabytes(heapUsed),
      megabytes(rss),
      String(yield* numberOf(admin, `(select count(*) from pg_stat_activity where ${own})`)),
      String(Math.max(...prepared.map((one) => Number(Option.getOrElse(Option.flatten(one), () => 0))))),
      String(
        yield* numberOf(
          admin,
          `(select count(*) from pg_locks join pg_stat_activity using (pid) where ${own} and now() - xact_start > '5 seconds')`
        )
      ),
      String(counts.kills),
      String(counts.heard)
    ]
  })

/** What is wrong in the end, in a sentence each. */
const verdict = (admin: pg.Client, counts: Counts) =>
  Effect.gen(function* () {
    const wrong: Array<string> = []
    if (counts.wrong > 0) wrong.push(`${counts.wrong} answers were wrong.`)
    const sum = yield* numberOf(admin, "(select sum(balance) from account)")
    if (sum !== accounts * 1_000) wrong.push(`The accounts hold ${sum}, and not ${accounts * 1_000}.`)
    const { rows } = yield* Effect.promise(() =>
      admin.query<{ n: number; count: string }>("select n, count(*) from audit group by 1")
    )
    const found = new Uint8Array(counts.writes + 1)
    for (const { count, n } of rows) found[n] = Number(count)
    const lost = { kept: 0, undone: 0, twice: 0 }
    for (let n = 1; n <= counts.writes; n++) {
      if (outcomes[n] === kept && found[n] !== 1) lost.kept++
      if (outcomes[n] === undone && found[n] !== 0) lost.undone++
      if (Number(found[n]) > 1) lost.twice++
    }
    if (lost.kept + lost.undone + lost.twice > 0)
      wrong.push(`Writes against their outcome: ${JSON.stringify(lost)}.`)
    const stats = yield* PoolRegistry.stats
    for (const { idle, inUse, open, waiting } of stats) {
      if (inUse > 0 || waiting > 0 || open !== idle)
        wrong.push(`The pool is not at rest: ${JSON.stringify(stats)}.`)
    }
    const busy = yield* numberOf(
      admin,
      `(select count(*) from pg_stat_activity where ${own} and state <> 'idle')`
    )
    if (busy > 0) wrong.push(`${busy} sessions are not idle.`)
    const locks = yield* numberOf(
      admin,
      `(select count(*) from pg_locks join pg_stat_activity using (pid) where ${own})`
    )
    if (locks > 0) wrong.push(`${locks} locks are held.`)
    return wrong
  })

const begin = "<!-- soak -->"
const end = "<!-- /soak -->"

const writeDown = (text: string) => {
  const file = join(import.meta.dirname, "../../docs/connecting.md")
  const page = fs.readFileSync(file, "utf8")
  const [before = "", rest = ""] = page.split(begin)
  const after = rest.split(end)[1] ?? ""
  fs.writeFileSync(file, `${before}${begin}\n${text}\n${end}${after}`)
}

const soak = Effect.gen(function* () {
  const server = yield* start({ serverSettings: { max_connections: 100, fsync: false, autovacuum: true } })
  const { database, host, port, username } = server
  const password = Redacted.value(server.password)
  const admin = new pg.Client({ host, port, user: username, password, database, application_name: "soak" })
  yield* Effect.acquireRelease(
    Effect.promise(() => admin.connect()),
    () => Effect.promise(() => admin.end())
  )
  yield* Effect.promise(() =>
    admin.query(`create table account (id int primary key, balance int not null);
      insert into account select n, 1000 from generate_series(0, ${accounts - 1}) n;
      create table audit (n int);
      create table changing (id int);
      insert into changing values (1), (2), (3)`)
  )
  const pgdb = PG.make({ host, port, username, password, database, statementTimeout: "10 seconds" })
  const counts: Counts = {
    calls: 0,
    writes: 0,
    wrong: 0,
    heard: 0,
    kills: 0,
    changes: 0,
    interruptions: 0,
    failures: new Map(),
    isOver: false
  }
  const line = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`
  const lines = [line(head), line(head.map(() => "---"))]
  process.stdout.write(`${lines.join("\n")}\n`)
  const all = workload(pgdb, counts)
  const listener = yield* Effect.forkChild(all.at(-1) ?? Effect.void)
  const workers = yield* Effect.forEach(all.slice(0, -1), (one) => Effect.forkChild(one))
  const disturber = yield* Effect.forkChild(disturb(admin, counts))
  for (let at = 1; at <= samples; at++) {
    yield* Effect.sleep((minutes * 60_000) / samples)
    const cells = yield* sample(pgdb, admin, counts, (at * minutes) / samples)
    lines.push(line(cells))
    process.stdout.write(`${line(cells)}\n`)
  }
  counts.isOver = true
  yield* Fiber.joinAll(workers)
  yield* Fiber.join(disturber)
  yield* Fiber.interrupt(listener)
  // What was interrupted last is still being brought to an end.
  yield* Effect.sleep("3 seconds")
  const wrong = yield* verdict(admin, counts)
  const failures = Array.from(
    counts.failures,
    ([name, { count, first }]) =>
      `${name}: ${count}, of which the first:\n  ${first.replaceAll("\n", "\n  ")}`
  ).sort()
  const told = [
    `${minutes} minutes on ${availableParallelism()} cores with Node ${process.versions.node}: ${counts.calls} calls, ${counts.writes} writes,`,
    `${counts.kills} backends killed, ${counts.changes} changes of a table, ${counts.interruptions} interruptions.`,
    wrong.length === 0
      ? "Each write is there as often as its outcome says, and nothing is left open."
      : wrong.join(" ")
  ].join("\n")
  process.stdout.write(`\n${told}\n\nFailures that callers saw:\n${failures.join("\n")}\n`)
  if (process.argv.includes("--write")) writeDown([told, "", ...lines].join("\n"))
  yield* pgdb.terminate
  return wrong.length === 0
}).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer()))

// Each loss of the listener's connection is a warning.
const quiet = Effect.provideService(soak, References.MinimumLogLevel, "Error")

Effect.runPromise(quiet).then((isRight) => {
  process.exitCode = isRight ? 0 : 1
})
