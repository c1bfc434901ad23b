/** The tenants example: tenants are provisioned with their migrations, kept apart, and within one limit of connections. */
import { randomBytes } from "node:crypto"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { database } from "./support/database.ts"
import { ask, json } from "./support/http.ts"
import { program } from "./support/process.ts"

it.live(
  "examples/tenants.ts: a database per tenant, its migrations, and never more than 20 connections",
  () =>
    Effect.gen(function* () {
      const given = yield* database()
      const tag = `t${randomBytes(4).toString("hex")}`
      const tenants = Array.from({ length: 30 }, (_, index) => `${tag}_${index}`)
      yield* Effect.addFinalizer(() =>
        Effect.forEach(tenants, (tenant) =>
          Effect.ignore(given.witness.query(`drop database if exists tenant_${tenant} with (force)`))
        )
      )
      const running = yield* program("examples/tenants.ts", {
        env: { DATABASE_URL: given.url, HOST: "127.0.0.1", PORT: "0", NO_COLOR: "1" }
      })
      const [, address = ""] = yield* running.prints(/Listening on (\S+)/)
      const orders = (tenant: string) => `${address}/t/${tenant}/orders`

      const missing = yield* ask(orders(tag))
      assert.deepStrictEqual([missing.status, json(missing)], [404, { error: "There is no such tenant." }])
      assert.strictEqual((yield* ask(orders("Robert'); drop"))).status, 404)

      const first = tenants[0] ?? ""
      const provisioned = yield* ask(`${address}/t/${first}`, { method: "PUT" })
      assert.deepStrictEqual(
        [provisioned.status, json(provisioned)],
        [201, { tenant: first, migrations: [1] }]
      )
      assert.deepStrictEqual(json(yield* ask(`${address}/t/${first}`, { method: "PUT" })), {
        tenant: first,
        migrations: []
      })
      for (const tenant of tenants.slice(1)) {
        assert.strictEqual((yield* ask(`${address}/t/${tenant}`, { method: "PUT" })).status, 201)
      }

      const answers = yield* Effect.forEach(
        tenants.flatMap((tenant) => [tenant, tenant, tenant]),
        (tenant) => ask(orders(tenant), { body: { item: `tea of ${tenant}`, quantity: 1 } }),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(answers.map(({ status }) => status)), new Set([201]))
      for (const tenant of tenants.slice(0, 5)) {
        assert.deepStrictEqual(
          json(yield* ask(orders(tenant))),
          [3, 2, 1].map((id) => ({ id, item: `tea of ${tenant}`, quantity: 1 }))
        )
      }
      const pools = json<ReadonlyArray<{ readonly open: number }>>(yield* ask(`${address}/pools`))
      assert.strictEqual(
        pools.reduce((sum, { open }) => sum + open, 0),
        20
      )
      const sessions = given.witness.query(
        "select count(*)::int as n from pg_stat_activity where datname like $1",
        [`tenant_${tag}%`]
      )
      assert.isAtMost(Number((yield* sessions)[0]?.n), 20)
      yield* running.signal("SIGTERM")
      yield* running.exit
      assert.deepStrictEqual(yield* sessions, [{ n: 0 }])
    })
)
