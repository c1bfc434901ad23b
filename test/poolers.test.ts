/** Behind PgBouncer in each of its modes: what works by `prepare: "auto"`, and what its restarts and limits do to callers. */
import { writeFile } from "node:fs/promises"
import * as Net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { PG, PoolRegistry } from "effect-global-pool"
import { database } from "./support/database.ts"
import { folder } from "./support/folder.ts"
import { together } from "./support/handle.ts"
import { hasPgbouncer, pgbouncer } from "./support/pgbouncer.ts"
import { proxy } from "./support/proxy.ts"

const range = (count: number) => Array.from({ length: count }, (_, index) => index)

const failures = <A, E>(exits: ReadonlyArray<Exit.Exit<A, E>>) => exits.filter(Exit.isFailure)

const at = new Date("2026-03-01T15:30:00Z")

/** What every mode carries. */
const single = (pgdb: PG.Database) =>
  Effect.forEach(
    range(60),
    (n) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* pgdb.select`select ${n}::int as n, ${at}::timestamptz as at`, [
          { n, at }
        ])
        assert.deepStrictEqual(yield* pgdb.selectValue("select $1::int + n from t", [n]), Option.some(n + 1))
      }),
    { concurrency: 20, discard: true }
  )

/** The way to a server that is no more from some moment on: connections are taken, and end. */
const leaving = ({ host, port }: { readonly host: string; readonly port: number }) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const sockets = new Set<Net.Socket>()
      let hasLeft = false
      const server = Net.createServer((client) => {
        if (hasLeft) return client.destroy()
        const upstream = Net.connect(port, host)
        for (const socket of [client, upstream]) sockets.add(socket.on("error", () => undefined))
        client.pipe(upstream).pipe(client)
      })
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      const leave = () => {
        hasLeft = true
        for (const socket of sockets) socket.destroy()
      }
      const own = server.address()
      const address = { host: "127.0.0.1", port: typeof own === "object" ? (own?.port ?? 0) : 0 }
      return { address, leave, server }
    }),
    ({ leave, server }) =>
      Effect.sync(() => {
        leave()
        server.close()
      })
  )

describe.skipIf(!hasPgbouncer)("behind PgBouncer", () => {
  for (const mode of ["session", "transaction", "statement"] as const) {
    it.live(
      `in ${mode} mode: statements and transactions, by prepare: "auto"`,
      () =>
        Effect.gen(function* () {
          const given = yield* database()
          yield* given.witness.query("create table t as select 1 as n")
          const pooler = yield* pgbouncer(given.settings, mode, { default_pool_size: 4 })
          const pgdb = PG.make({
            ...pooler.settings,
            prepare: "auto",
            maxConnections: 4,
            connectTimeout: "10 seconds"
          })
          yield* single(pgdb)
          if (mode === "statement") {
            const error = yield* Effect.flip(pgdb.transaction(pgdb.select("select 1")))
            assert.isFalse(error.isRetryable, error.message)
            assert.include(error.message, "statement pooling mode")
          } else {
            yield* Effect.forEach(
              range(20),
              (n) =>
                pgdb.transaction(
                  Effect.andThen(pgdb.execute`insert into t values (${n})`, pgdb.select("select n from t"))
                ),
              { concurrency: 8, discard: true }
            )
            yield* pgdb.trans(["insert into t values (100)", ["insert into t values ($1)", [101]]])
          }
          yield* pooler.command("RECONNECT")
          yield* single(pgdb)
          yield* pgdb.terminate
        }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer())),
      60_000
    )
  }

  it.live(
    'prepare: "auto" keeps statements prepared where no pooler stands between',
    () =>
      Effect.gen(function* () {
        const given = yield* database()
        const count = (pgdb: PG.Database) =>
          pgdb.transaction(
            Effect.andThen(
              pgdb.select("select 1"),
              pgdb.selectValue("select count(*)::int from pg_prepared_statements")
            )
          )
        const direct = PG.make({ ...given.settings, prepare: "auto" })
        yield* count(direct)
        assert.notDeepEqual(yield* count(direct), Option.some(0))
        const pooler = yield* pgbouncer(given.settings, "session")
        const pooled = PG.make({ ...pooler.settings, prepare: "auto", key: "pooled" })
        yield* count(pooled)
        assert.deepStrictEqual(yield* count(pooled), Option.some(0))
      }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer())),
    60_000
  )

  it.live(
    "a pooler of fewer servers than maxConnections: callers wait for acquireTimeout, and the error says why",
    () =>
      Effect.gen(function* () {
        const given = yield* database()
        const pooler = yield* pgbouncer(given.settings, "session", { default_pool_size: 2 })
        const pgdb = PG.make({
          ...pooler.settings,
          prepare: "auto",
          maxConnections: 5,
          connectTimeout: "1 second",
          acquireTimeout: "3 seconds"
        })
        const exits = yield* Effect.forEach(
          range(20),
          () => Effect.exit(pgdb.transaction(pgdb.select("select pg_sleep(0.01)"))),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(failures(exits), [])
        const error = yield* Effect.timeout(Effect.flip(together(pgdb, 3)), "10 seconds")
        assert.strictEqual(error._tag, "PoolError")
        yield* pgdb.terminateWithin(0)
      }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer())),
    60_000
  )

  for (const prepare of ["auto", false] as const) {
    it.live(
      `that has lost its server and takes clients all the same: its words, and few logins, by prepare: ${prepare}`,
      () =>
        Effect.gen(function* () {
          const given = yield* database()
          const behind = yield* leaving(given.settings)
          const users = `${yield* folder()}/users.txt`
          yield* Effect.promise(() =>
            writeFile(users, `"${given.settings.username}" "${given.settings.password}"\n`, { mode: 0o644 })
          )
          const pooler = yield* pgbouncer({ ...given.settings, ...behind.address }, "transaction", {
            server_login_retry: 15,
            auth_type: "plain",
            auth_file: users
          })
          const before = yield* proxy(pooler.settings)
          const settings = {
            ...pooler.settings,
            ...before.address,
            prepare,
            acquireTimeout: "2 seconds"
          } as const
          const pgdb = PG.make(settings)
          yield* pgdb.select("select 1")
          yield* pgdb.terminate
          behind.leave()
          // The first client waits until the pooler's login has failed; those behind it are told so.
          yield* Effect.exit(PG.make({ ...settings, key: "first" }).select("select 1"))
          const opened = before.opened()
          const error = yield* Effect.flip(pgdb.select("select 1"))
          assert.match(error.message, /server login failed|server_login_retry|connect failed/)
          assert.isAtMost(before.opened() - opened, 5)
        }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer())),
      60_000
    )
  }

  it.live(
    "that is paused or starts anew: callers wait, and reads do not fail",
    () =>
      Effect.gen(function* () {
        const given = yield* database()
        yield* given.witness.query("create table t as select 1 as n")
        const pooler = yield* pgbouncer(given.settings, "transaction")
        const pgdb = PG.make({ ...pooler.settings, prepare: "auto" })
        yield* single(pgdb)
        const reads = Effect.forEach(range(50), () => Effect.exit(pgdb.select("select n from t")), {
          concurrency: 10
        })
        yield* pooler.command("PAUSE")
        // How long the pooler pauses is what is tested.
        const [paused] = yield* Effect.all(
          [reads, Effect.andThen(Effect.sleep("200 millis"), pooler.command("RESUME"))],
          {
            concurrency: 2
          }
        )
        assert.deepStrictEqual(failures(paused), [])
        const [restarted] = yield* Effect.all([reads, pooler.restart], { concurrency: 2 })
        assert.deepStrictEqual(failures(restarted), [])
        assert.deepStrictEqual(failures(yield* reads), [])
      }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer())),
    60_000
  )
})
