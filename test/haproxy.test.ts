/** Behind HAProxy: a server that is away, idle links that it closes, its restarts, and checks that move to a new primary. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { PG, PoolRegistry } from "effect-global-pool"
import { freePort } from "./support/daemon.ts"
import { database, eventually } from "./support/database.ts"
import { together } from "./support/handle.ts"
import { haproxy, hasHaproxy, primaryCheck } from "./support/haproxy.ts"
import { proxy } from "./support/proxy.ts"
import { pair } from "./support/standby.ts"

const range = (count: number) => Array.from({ length: count }, (_, index) => index)

const failures = (exits: ReadonlyArray<Exit.Exit<unknown, unknown>>) => exits.filter(Exit.isFailure)

const reads = (pgdb: PG.Database, count = 200) =>
  Effect.forEach(range(count), (n) => Effect.exit(pgdb.selectValue("select $1::int + n from t", [n])), {
    concurrency: 10
  })

const table = "create table t as select 1 as n"

const port = (pgdb: PG.Database) =>
  Effect.map(pgdb.selectValue("select inet_server_port()"), Option.getOrUndefined)

describe.skipIf(!hasHaproxy)("behind HAProxy", () => {
  it.live("a server that is away makes way for the next, also under calls", () =>
    Effect.gen(function* () {
      const given = yield* database()
      yield* given.witness.query(table)
      const [one, other] = [yield* proxy(given.settings), yield* proxy(given.settings)]
      const closed = { host: "127.0.0.1", port: yield* freePort }
      const check = "check inter 50ms fall 1 rise 1 on-marked-down shutdown-sessions"
      const front = yield* haproxy(
        [
          { ...closed, more: check },
          { ...one.address, more: check },
          { ...other.address, more: `${check} backup` }
        ],
        ["option redispatch 1", "retries 2"]
      )
      const pgdb = PG.make({ ...given.settings, ...front.address })
      assert.deepStrictEqual(failures(yield* reads(pgdb)), [])
      assert.isAbove(one.opened(), 0)
      const fiber = yield* Effect.forkChild(reads(pgdb, 2_000))
      yield* one.refuse
      yield* one.cut
      assert.deepStrictEqual(failures(yield* Fiber.join(fiber)), [])
      yield* pgdb.execute("insert into t values (2)")
      assert.isAbove(other.opened(), 0)
    }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer()))
  )

  it.live("links that its timeouts close while they are idle are replaced, and no caller notices", () =>
    Effect.gen(function* () {
      const given = yield* database()
      yield* given.witness.query(table)
      for (const side of ["client", "server"]) {
        const front = yield* haproxy([given.settings], [`timeout ${side} 100ms`])
        const pgdb = PG.make({ ...given.settings, ...front.address, key: side })
        for (const _ of range(2)) {
          yield* together(pgdb, 5)
          yield* eventually("HAProxy has closed them", PoolRegistry.stats, (all) =>
            all.every(({ open }) => open === 0)
          )
          yield* pgdb.execute("insert into t values (1)")
          yield* pgdb.transaction(pgdb.execute("insert into t values (1)"))
          assert.deepStrictEqual(failures(yield* reads(pgdb, 20)), [])
        }
        // At just the time at which it closes them.
        for (const n of range(6)) {
          yield* Effect.sleep(95 + 2 * n)
          assert.deepStrictEqual(yield* pgdb.select("select 1 as one"), [{ one: 1 }])
        }
        yield* pgdb.terminate
      }
      assert.deepStrictEqual(yield* given.witness.query("select count(*)::int as n from t"), [{ n: 9 }])
      yield* given.until("nothing is left", (sessions) => sessions.length === 0)
    }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer()))
  )

  it.live("its restart, gentle or not, fails no read, and loses and doubles no write", () =>
    Effect.gen(function* () {
      const given = yield* database()
      yield* given.witness.query(table)
      yield* given.witness.query("create table audit (n int)")
      const front = yield* haproxy([given.settings])
      const pgdb = PG.make({ ...given.settings, ...front.address })
      const write = (n: number) => Effect.exit(pgdb.execute("insert into audit values ($1)", [n]))
      let written = 0
      const writes = Effect.forEach(range(100), () => write(++written), { concurrency: 4 })
      const work = Effect.all([reads(pgdb, 1_000), writes], { concurrency: 2 })
      assert.deepStrictEqual(failures((yield* work).flat()), [])
      const [gentle] = yield* Effect.all([work, front.reload], { concurrency: 2 })
      assert.deepStrictEqual(failures(gentle.flat()), [])
      const [[read, wrote]] = yield* Effect.all([work, front.restart], { concurrency: 2 })
      assert.deepStrictEqual(failures(read), [])
      for (const exit of failures(wrote)) {
        assert.include(String(exit.cause), "Whether the statement took effect is not known")
      }
      const [row] = yield* given.witness.query(
        "select count(*)::int as n, count(distinct n)::int as d from audit"
      )
      assert.strictEqual(row?.n, row?.d)
      assert.isAtLeast(Number(row?.n), 300 - failures(wrote).length)
      assert.deepStrictEqual(failures(yield* reads(pgdb)), [])
    }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer()))
  )

  it.live(
    "its check moves from a killed primary to the promoted standby, and a cancel finds its server among several",
    () =>
      Effect.gen(function* () {
        const { primary, promote, standby } = yield* pair({}, { synchronous: true })
        const nodes = [primary, standby]
        const front = yield* haproxy(
          [
            { ...primary.settings, more: yield* primaryCheck(primary.witness) },
            { ...standby.settings, more: yield* primaryCheck(standby.witness) }
          ],
          ["option httpchk GET /primary"]
        )
        const any = yield* haproxy(
          nodes.map(({ settings }) => settings),
          ["balance roundrobin"]
        )

        // A request to cancel is a link of its own, which HAProxy gives to the next server.
        const spread = PG.make({ ...primary.settings, ...any.address, maxConnections: 4, key: "spread" })
        yield* together(spread, 4)
        const naps = yield* Effect.forEach(
          range(4),
          () => Effect.option(Effect.timeout(spread.select("select pg_sleep(30)"), "300 millis")),
          { concurrency: "unbounded" }
        )
        assert.isTrue(naps.every(Option.isNone))
        for (const { witness } of nodes) {
          yield* eventually(
            "nothing naps any more",
            witness.query("select count(*)::int as n from pg_stat_activity where wait_event = 'PgSleep'"),
            ([row]) => row?.n === 0
          )
        }
        yield* spread.terminate

        const pgdb = PG.make({ ...primary.settings, ...front.address, targetSessionAttributes: "read-write" })
        yield* pgdb.execute("create table t (n int)")
        assert.strictEqual(yield* port(pgdb), primary.settings.port)
        const outcomes = new Map<number, "kept" | "undone" | "unknown">()
        let isOver = false
        const worker = (number: number) =>
          Effect.gen(function* () {
            for (let n = number; !isOver; n += 16) {
              const exit = yield* Effect.result(pgdb.execute("insert into t values ($1)", [n]))
              outcomes.set(
                n,
                exit._tag === "Success" ? "kept" : exit.failure.isRetryable ? "undone" : "unknown"
              )
            }
          })
        const workers = yield* Effect.forEach(range(16), (number) => Effect.forkChild(worker(number)))
        const many = (count: number) =>
          eventually(
            "rows come",
            Effect.sync(() => outcomes.size),
            (size) => size > count
          )
        yield* many(200)
        process.kill(primary.pid, "SIGKILL")
        yield* promote
        yield* eventually("the new primary is found", Effect.option(port(pgdb)), (at) =>
          Option.contains(at, standby.settings.port)
        )
        yield* many(outcomes.size + 200)
        isOver = true
        yield* Fiber.joinAll(workers)
        const rows = yield* standby.witness.query("select n, count(*)::int as count from t group by 1")
        const found = new Map(rows.map(({ count, n }) => [n, count]))
        const wrong = [...outcomes].filter(([n, outcome]) => {
          const count = found.get(n) ?? 0
          return outcome === "kept" ? count !== 1 : outcome === "undone" ? count !== 0 : Number(count) > 1
        })
        assert.deepStrictEqual(wrong, [])
        yield* pgdb.terminate
      }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer()))
  )
})
