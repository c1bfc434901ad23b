/** Several hosts: the order in which they are tried, which are taken, and what the error says of each. */
import { assert, describe, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { PG, PoolRegistry } from "effect-global-pool"
import { liar, message } from "./support/liar.ts"
import { proxy } from "./support/proxy.ts"
import { type Pair, pair } from "./support/standby.ts"

class Servers extends Context.Service<Servers, Pair>()("test/Servers") {
  static readonly layer = Layer.effect(Servers, pair())
}

/** A handle to these ports of this machine. */
const handle = (
  { primary: { settings } }: Pair,
  ports: ReadonlyArray<number>,
  more: Partial<PG.Settings> = {}
) =>
  PG.make({
    ...settings,
    host: ports.map(() => settings.host),
    port: ports,
    key: JSON.stringify([ports, more]),
    ...more
  })

const port = (pgdb: PG.Database) =>
  Effect.ensuring(
    Effect.map(pgdb.selectValue("select inet_server_port()"), Option.getOrUndefined),
    pgdb.terminate
  )

/** Nothing listens there. */
const nobody = 1

layer(Layer.merge(Servers.layer, PoolRegistry.layer()), {
  timeout: "120 seconds",
  excludeTestServices: true
})((it) => {
  describe("several hosts", () => {
    it.effect("are tried in their order until one takes the client", () =>
      Effect.gen(function* () {
        const servers = yield* Servers
        const first = servers.primary.settings.port
        const second = servers.standby.settings.port
        assert.strictEqual(yield* port(handle(servers, [first, second])), first)
        assert.strictEqual(yield* port(handle(servers, [second, first])), second)
        assert.strictEqual(yield* port(handle(servers, [nobody, second, first])), second)
      })
    )

    it.effect("that do not answer cost a connectTimeout each, and no more", () =>
      Effect.gen(function* () {
        const servers = yield* Servers
        const silent = yield* liar(() => message("N").subarray(0, 0))
        const begin = performance.now()
        const pgdb = handle(servers, [silent.address.port, servers.primary.settings.port], {
          connectTimeout: "300 millis"
        })
        assert.strictEqual(yield* port(pgdb), servers.primary.settings.port)
        assert.isBelow(performance.now() - begin, 3_000)
        assert.strictEqual(silent.opened(), 1)
      })
    )

    it.effect("in any order spread the connections over them", () =>
      Effect.gen(function* () {
        const servers = yield* Servers
        const ports = [servers.primary.settings.port, servers.standby.settings.port]
        const found = yield* Effect.forEach(Array.from({ length: 24 }), () =>
          port(handle(servers, ports, { loadBalanceHosts: "random" }))
        )
        assert.deepStrictEqual(new Set(found), new Set(ports))
      })
    )

    it.effect("are taken as targetSessionAttributes says", () =>
      Effect.gen(function* () {
        const servers = yield* Servers
        const primary = servers.primary.settings.port
        const standby = servers.standby.settings.port
        const expected = {
          any: [primary, standby],
          "read-write": [primary, primary],
          "read-only": [standby, standby],
          primary: [primary, primary],
          standby: [standby, standby],
          "prefer-standby": [standby, standby]
        } as const
        for (const targetSessionAttributes of Object.keys(expected) as Array<keyof typeof expected>) {
          for (const [index, ports] of [
            [primary, standby],
            [standby, primary]
          ].entries()) {
            const pgdb = handle(servers, ports, { targetSessionAttributes })
            assert.strictEqual(
              yield* port(pgdb),
              expected[targetSessionAttributes][index],
              `${targetSessionAttributes} of ${index === 0 ? "primary, standby" : "standby, primary"}`
            )
          }
        }
        const alone = handle(servers, [primary], { targetSessionAttributes: "prefer-standby" })
        assert.strictEqual(yield* port(alone), primary)
        const url = PG.make(
          `postgres://${servers.primary.settings.username}:${servers.primary.settings.password}@127.0.0.1:${standby},127.0.0.1:${primary}/postgres?target_session_attrs=read-write`
        )
        assert.strictEqual(yield* port(url), primary)
      })
    )

    it.effect("that none takes the client: the error says what became of each", () =>
      Effect.gen(function* () {
        const servers = yield* Servers
        const { port } = servers.standby.settings
        const pgdb = handle(servers, [nobody, port], { targetSessionAttributes: "primary" })
        const error = yield* Effect.flip(pgdb.select("select 1"))
        assert.strictEqual(error.reason._tag, "ConnectionError")
        assert.isTrue(error.isRetryable)
        assert.include(error.message, `on any of 2 servers:`)
        assert.include(error.message, `127.0.0.1:${nobody}: nothing listens there (ECONNREFUSED)`)
        assert.include(
          error.message,
          `127.0.0.1:${port}: it is a standby, and targetSessionAttributes is primary`
        )
      })
    )

    it.effect("of which one refuses the password: as in libpq the next is not tried", () =>
      Effect.gen(function* () {
        const servers = yield* Servers
        const ports = [servers.primary.settings.port, servers.standby.settings.port]
        const pgdb = handle(servers, ports, { password: "wrong" })
        const error = yield* Effect.flip(pgdb.select("select 1"))
        assert.strictEqual(error.reason._tag, "AuthenticationError")
        assert.isFalse(error.isRetryable)
        assert.notInclude(error.message, "wrong")
      })
    )

    it.effect("a cancel goes to the server that its connection is on", () =>
      Effect.gen(function* () {
        const servers = yield* Servers
        const to = yield* proxy(servers.primary.settings)
        const pgdb = handle(servers, [nobody, to.address.port])
        const error = yield* Effect.flip(Effect.timeout(pgdb.select("select pg_sleep(60)"), "300 millis"))
        assert.strictEqual(error._tag, "TimeoutError")
        assert.strictEqual(to.opened(), 2)
        assert.deepStrictEqual(yield* pgdb.selectValue("select 1"), Option.some(1))
        yield* pgdb.terminate
      }).pipe(Effect.scoped)
    )
  })
})
