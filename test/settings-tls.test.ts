/**
 * Connections that are encrypted: with a certificate that is checked, where the server offers it, or not at all; and what is
 * told when that cannot be.
 */
import { assert, describe, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { PG, PoolRegistry } from "effect-global-pool"
import { start } from "../src/embedded/Server.ts"
import { certificateFor } from "./support/certificate.ts"
import { connect, eventually, type Witness } from "./support/database.ts"
import { proxy } from "./support/proxy.ts"
import type { TestServer } from "./support/server.ts"

interface Secure {
  readonly settings: TestServer
  readonly witness: Witness
  readonly ca: string
}

/** A server of its own that offers TLS, with a certificate for its address and not for its name. */
class SecureServer extends Context.Service<SecureServer, Secure>()("test/SecureServer") {
  static readonly layer = Layer.effect(
    SecureServer,
    Effect.gen(function* () {
      const { database, host, password, port, username } = yield* start({})
      const settings = { host, port, username, database, password: Redacted.value(password) }
      const witness = yield* connect(settings, "witness")
      const { certificate, key } = certificateFor("127.0.0.1")
      // Written by the server itself, whose user has to own the key.
      for (const [file, text] of [
        ["server.crt", certificate],
        ["server.key", key]
      ] as const) {
        yield* witness.query(
          `copy (select unnest(string_to_array('${text.trim()}', E'\\n'))) to program 'umask 077; cat > ${file}'`
        )
      }
      yield* witness.query("alter system set ssl = on")
      yield* witness.query("select pg_reload_conf()")
      yield* eventually("TLS is on", witness.query("show ssl"), ([row]) => row?.ssl === "on")
      return { settings, witness, ca: certificate }
    }).pipe(Effect.orDie)
  )
}

const encryption = (pgdb: PG.Database) =>
  Effect.map(
    pgdb.select<{ ssl: boolean }>("select ssl from pg_stat_ssl where pid = pg_backend_pid()"),
    ([row]) => row?.ssl
  )

const cancelRequest = Buffer.from([0x04, 0xd2, 0x16, 0x2e]).toString("latin1")

layer(Layer.merge(SecureServer.layer, PoolRegistry.layer()), { timeout: "60 seconds" })((it) => {
  describe("a server that offers TLS", () => {
    it.effect("encrypts, its certificate checked", () =>
      Effect.gen(function* () {
        const { ca, settings } = yield* SecureServer
        const pgdb = PG.make({ ...settings, ssl: { ca }, key: "checked" })
        assert.isTrue(yield* encryption(pgdb))
        const many = yield* Effect.forEach(Array.from({ length: 50 }), () => encryption(pgdb), {
          concurrency: "unbounded"
        })
        assert.isTrue(many.every((ssl) => ssl === true))
      })
    )

    it.effect("is refused while nobody vouches for it", () =>
      Effect.gen(function* () {
        const { settings } = yield* SecureServer
        const { database, host, port } = settings
        const error = yield* Effect.flip(
          PG.make({ ...settings, ssl: true, key: "unchecked" }).select("select 1")
        )
        assert.include(
          error.message,
          `The TLS certificate of "${database}" on ${host}:${port} was not accepted (DEPTH_ZERO_SELF_SIGNED_CERT).`
        )
        assert.include(error.message, "ssl: { ca }")
      })
    )

    it.effect("is refused under a name that its certificate does not have", () =>
      Effect.gen(function* () {
        const { ca, settings } = yield* SecureServer
        const named = { ...settings, host: "localhost", ssl: { ca } }
        const error = yield* Effect.flip(PG.make({ ...named, key: "named" }).select("select 1"))
        assert.include(error.message, "ERR_TLS_CERT_ALTNAME_INVALID")
        // Node's own options are there for that.
        const trusting = { ...named, ssl: { ca, checkServerIdentity: () => undefined }, key: "trusting" }
        assert.isTrue(yield* encryption(PG.make(trusting)))
      })
    )

    it.effect("serves those who do not ask for it without", () =>
      Effect.gen(function* () {
        const { settings } = yield* SecureServer
        assert.isFalse(yield* encryption(PG.make({ ...settings, key: "plain" })))
      })
    )

    it.effect("encrypts for those who prefer or require it, and as in libpq nobody has to vouch for it", () =>
      Effect.gen(function* () {
        const { settings } = yield* SecureServer
        const { database, host, password, port, username } = settings
        const modes = { allow: false, prefer: true, require: true }
        for (const [mode, isEncrypted] of Object.entries(modes)) {
          const url = `postgres://${username}:${password}@${host}:${port}/${database}?sslmode=${mode}`
          assert.strictEqual(yield* encryption(PG.make({ url, key: mode })), isEncrypted, mode)
        }
      })
    )

    it.effect("cancels an interrupted statement, and the request is encrypted too", () =>
      Effect.gen(function* () {
        const { ca, settings, witness } = yield* SecureServer
        const between = yield* proxy(settings)
        const pgdb = PG.make({
          ...settings,
          ...between.address,
          ssl: { ca },
          key: "cancel",
          maxConnections: 1
        })
        const running = "select count(*)::int as n from pg_stat_activity where query like 'select pg_sleep(%'"
        const fiber = yield* Effect.forkChild(pgdb.select("select pg_sleep(60)"))
        yield* eventually("it is at work", witness.query(running), ([row]) => row?.n === 1)
        yield* Fiber.interrupt(fiber)
        const active = `${running} and state = 'active'`
        assert.deepStrictEqual(yield* witness.query(active), [{ n: 0 }])
        assert.strictEqual(between.opened(), 2)
        assert.isFalse(between.sent().includes(cancelRequest))
        assert.isTrue(yield* encryption(pgdb))
        assert.strictEqual(between.opened(), 2)
      })
    )

    it.effect("has no connection left after run", () =>
      Effect.gen(function* () {
        const { ca, settings, witness } = yield* SecureServer
        const pgdb = PG.make({ ...settings, ssl: { ca }, applicationName: "brief", key: "brief" })
        assert.isTrue(yield* pgdb.run(encryption))
        assert.deepStrictEqual(
          yield* witness.query("select pid from pg_stat_activity where application_name = 'brief'"),
          []
        )
      })
    )
  })

  describe("a server that does not offer TLS", () => {
    it.effect("is refused by those who ask for it", () =>
      Effect.gen(function* () {
        const { ca, settings, witness } = yield* SecureServer
        yield* witness.query("alter system set ssl = off")
        yield* witness.query("select pg_reload_conf()")
        yield* eventually("TLS is off", witness.query("show ssl"), ([row]) => row?.ssl === "off")
        const error = yield* Effect.flip(
          PG.make({ ...settings, ssl: { ca }, key: "asked" }).select("select 1")
        )
        assert.strictEqual(error._tag, "SqlError")
        assert.include(error.message, "does not offer TLS, and the setting ssl or sslmode in url asks for it")
        assert.include(error.message, `"${settings.database}" on ${settings.host}:${settings.port}`)
      })
    )

    it.effect("serves those who prefer it without", () =>
      Effect.gen(function* () {
        const { settings } = yield* SecureServer
        const { database, host, password, port, username } = settings
        const url = `postgres://${username}:${password}@${host}:${port}/${database}?sslmode=prefer`
        assert.isFalse(yield* encryption(PG.make({ url, key: "preferred" })))
      })
    )
  })
})
