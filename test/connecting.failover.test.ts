/** A primary and its standby under load: the primary dies or only reads from some moment on, and the pool finds the other. */
import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { PG, PoolRegistry } from "effect-global-pool"
import { eventually } from "./support/database.ts"
import { together } from "./support/handle.ts"
import { type Node, pair } from "./support/standby.ts"

const range = (count: number) => Array.from({ length: count }, (_, index) => index)

const handle = (nodes: ReadonlyArray<Node>, more: Partial<PG.Settings> = {}) =>
  PG.make({
    ...nodes[0]!.settings,
    host: nodes.map(({ settings }) => settings.host),
    port: nodes.map(({ settings }) => settings.port),
    targetSessionAttributes: "read-write",
    ...more
  })

const port = (pgdb: PG.Database) =>
  Effect.map(pgdb.selectValue("select inet_server_port()"), Option.getOrUndefined)

it.live(
  "kill -9 of the primary under 64 fibers: no transfer is lost or done twice, and the pool is whole within a second of the promotion",
  () =>
    Effect.gen(function* () {
      const { primary, promote, standby } = yield* pair({}, { synchronous: true })
      const pgdb = handle([primary, standby], { acquireTimeout: "20 seconds", answerTimeout: "2 seconds" })
      yield* pgdb.execute("create table account (id int primary key, balance int not null)")
      yield* pgdb.execute("create table audit (transfer text)")
      yield* pgdb.execute("insert into account select n, 1000 from generate_series(0, 19) n")

      const done = new Map<string, "kept" | "undone" | "unknown">()
      const stop = yield* Deferred.make<void>()
      let slowest = 0
      let firstAfter = Number.POSITIVE_INFINITY
      let promotedAt = Number.POSITIVE_INFINITY
      const transfer = (name: string, from: number, to: number) => {
        const [first, second] = from < to ? [from, to] : [to, from]
        return pgdb.transaction(
          Effect.gen(function* () {
            yield* pgdb.select`select 1 from account where id in (${first}, ${second}) order by id for update`
            yield* pgdb.execute`update account set balance = balance - 1 where id = ${from}`
            yield* pgdb.execute`update account set balance = balance + 1 where id = ${to}`
            yield* pgdb.execute`insert into audit values (${name})`
          })
        )
      }
      const worker = (number: number) =>
        Effect.gen(function* () {
          for (let turn = 0; !Deferred.isDoneUnsafe(stop); turn++) {
            const name = `${number}/${turn}`
            const begin = performance.now()
            const outcome = yield* Effect.result(
              transfer(
                name,
                (number + turn) % 20,
                (number * 7 + turn + 1) % 20 === (number + turn) % 20
                  ? (number + turn + 3) % 20
                  : (number * 7 + turn + 1) % 20
              )
            )
            slowest = Math.max(slowest, performance.now() - begin)
            if (outcome._tag === "Success") {
              done.set(name, "kept")
              if (begin > promotedAt) firstAfter = Math.min(firstAfter, performance.now())
            } else done.set(name, outcome.failure.isRetryable ? "undone" : "unknown")
          }
        })
      const workers = yield* Effect.forEach(range(64), (number) => Effect.forkChild(worker(number)))
      yield* eventually(
        "transfers are under way",
        Effect.sync(() => done.size),
        (size) => size > 200,
        "30 seconds"
      )
      // What a transfer takes at most on this machine, which others may use as well.
      const usual = slowest
      process.kill(primary.pid, "SIGKILL")
      // For so long there is no primary: an outage of some length is what is tested.
      yield* Effect.sleep("300 millis")
      yield* promote
      promotedAt = performance.now()
      const isWhole = yield* eventually(
        "transfers go on",
        Effect.sync(() => firstAfter),
        (at) => at < Number.POSITIVE_INFINITY,
        "10 seconds"
      )
      assert.isBelow(isWhole - promotedAt, 1_000 + usual)
      const enough = done.size + 200
      yield* eventually(
        "more transfers are done",
        Effect.sync(() => done.size),
        (size) => size > enough,
        "10 seconds"
      )
      yield* Deferred.succeed(stop, undefined)
      yield* Fiber.joinAll(workers)

      assert.strictEqual(yield* port(pgdb), standby.settings.port)
      assert.deepStrictEqual(
        yield* pgdb.selectValue("select sum(balance)::int from account"),
        Option.some(20_000)
      )
      const rows = yield* pgdb.select<{ transfer: string; n: number }>(
        "select transfer, count(*)::int as n from audit group by 1"
      )
      const found = new Map(rows.map(({ n, transfer }) => [transfer, n]))
      const wrong = [...done].filter(([name, outcome]) => {
        const count = found.get(name) ?? 0
        return outcome === "kept" ? count !== 1 : outcome === "undone" ? count !== 0 : count > 1
      })
      assert.deepStrictEqual(wrong, [])
      assert.isBelow(slowest, 20_000)
      yield* pgdb.terminate
    }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer())),
  120_000
)

it.live(
  "a server that only reads from some moment on: the error is retryable and says so, and writes go to the other one and back",
  () =>
    Effect.gen(function* () {
      const { primary, promote, standby } = yield* pair()
      const pgdb = handle([primary, standby])
      yield* pgdb.execute("create table t (n int)")
      yield* eventually(
        "the standby has it",
        standby.witness.query("select to_regclass('t') is not null as there"),
        ([row]) => row?.there === true
      )
      yield* promote
      const readOnly = ({ witness }: Node, isOn: boolean) =>
        Effect.gen(function* () {
          yield* witness.query(`alter system set default_transaction_read_only = ${isOn ? "on" : "off"}`)
          yield* witness.query("select pg_reload_conf()")
          yield* eventually(
            "it is known",
            witness.query("select current_setting('default_transaction_read_only') as value"),
            ([row]) => row?.value === (isOn ? "on" : "off")
          )
        })
      const write = Effect.andThen(pgdb.execute("insert into t values (1)"), port(pgdb))
      const written = Effect.retry(write, { while: ({ isRetryable }) => isRetryable, times: 10 })
      assert.strictEqual(yield* write, primary.settings.port)
      yield* together(pgdb, 5)
      yield* readOnly(primary, true)
      const error = yield* Effect.flip(Effect.forever(write))
      assert.isTrue(error.isRetryable)
      assert.include(error.message, "Nothing of the statement took effect")
      // The other connections go with the one that showed it.
      assert.strictEqual(yield* write, standby.settings.port)
      yield* readOnly(primary, false)
      yield* readOnly(standby, true)
      assert.strictEqual(yield* written, primary.settings.port)
      // What a caller asks for itself is no sign of the server.
      const own = yield* Effect.flip(
        pgdb.transaction(pgdb.execute("insert into t values (1)"), { readOnly: true })
      )
      assert.isFalse(own.isRetryable)
      const [pool] = yield* PoolRegistry.stats
      assert.isAbove(pool?.open ?? 0, 0)
      yield* pgdb.terminate
    }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer())),
  120_000
)

it.live(
  "reads of a standby that is promoted go to another, where targetSessionAttributes asks for one",
  () =>
    Effect.gen(function* () {
      const { primary, promote, standby } = yield* pair()
      const pgdb = handle([primary, standby], { targetSessionAttributes: "prefer-standby" })
      assert.strictEqual(yield* port(pgdb), standby.settings.port)
      const alone = handle([primary, standby], {
        targetSessionAttributes: "standby",
        key: "alone",
        acquireTimeout: "1 second"
      })
      assert.strictEqual(yield* port(alone), standby.settings.port)
      yield* promote
      const error = yield* Effect.flip(Effect.timeout(Effect.forever(port(alone)), "10 seconds"))
      assert.include(String(error.message), "it is the primary, and targetSessionAttributes is standby")
      // Without a standby any one does.
      assert.isDefined(yield* port(pgdb))
      yield* pgdb.terminate
      yield* alone.terminate
    }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer())),
  120_000
)
