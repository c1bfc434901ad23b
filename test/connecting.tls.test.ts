/** libpq's modes of TLS against servers with and without a certificate worth trusting, and beside `psql` where there is one. */
import { execFile } from "node:child_process"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { PG, PoolRegistry } from "effect-global-pool"
import { start } from "../src/embedded/Server.ts"
import {
  authority,
  type Certificate,
  certificateOf,
  encryptedKey,
  revocations
} from "./support/certificate.ts"
import { connect, eventually, type Witness } from "./support/database.ts"
import { proxy } from "./support/proxy.ts"
import type { TestServer } from "./support/server.ts"

interface Secure {
  readonly settings: TestServer
  readonly witness: Witness
  readonly ca: Certificate
  readonly folder: string
}

/** A server of its own whose certificate changes, and a folder with the client's files. */
class SecureServer extends Context.Service<SecureServer, Secure>()("test/ChangingServer") {
  static readonly layer = Layer.effect(
    SecureServer,
    Effect.gen(function* () {
      const { database, host, password, port, username } = yield* start({})
      const settings = { host, port, username, database, password: Redacted.value(password) }
      const folder = yield* Effect.acquireRelease(
        Effect.promise(() => mkdtemp(join(tmpdir(), "tls-"))),
        (path) => Effect.promise(() => rm(path, { recursive: true }))
      )
      const ca = authority()
      yield* Effect.promise(() => writeFile(join(folder, "root.crt"), ca.certificate))
      return { settings, witness: yield* connect(settings, "witness"), ca, folder }
    }).pipe(Effect.orDie)
  )
}

const lines = (text: string) => `select unnest(string_to_array('${text.trim()}', E'\\n'))`

/** Gives the server a file, written by itself, since its user has to own a key. */
const give = (witness: Witness, file: string, text: string) =>
  witness.query(`copy (${lines(text)}) to program 'umask 077; cat > ${file}'`)

/** The server's certificate from now on; `undefined` for no TLS. */
const serve = (offered: Certificate | undefined) =>
  Effect.gen(function* () {
    const { witness } = yield* SecureServer
    const serial = String(Math.random())
    if (offered !== undefined) {
      yield* give(witness, "server.crt", offered.certificate)
      yield* give(witness, "server.key", offered.key)
    }
    yield* witness.query(`alter system set ssl = ${offered === undefined ? "off" : "on"}`)
    yield* witness.query(`alter system set app.serial = '${serial}'`)
    yield* witness.query("select pg_reload_conf()")
    // Each process reads the configuration by itself, the one that accepts connections too: ask new ones.
    const fresh = Effect.scoped(
      Effect.gen(function* () {
        const { settings } = yield* SecureServer
        const other = yield* connect(settings, "witness")
        return yield* other.query(
          "select current_setting('ssl') as ssl, current_setting('app.serial', true) as serial"
        )
      })
    )
    yield* eventually(
      "the server has its certificate",
      fresh,
      ([row]) => row?.ssl === (offered === undefined ? "off" : "on") && row.serial === serial
    )
  })

const encrypted = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"

/** `"TLS"`, `"plain"`, or `"refused"`. */
const here = (url: string) =>
  PG.make({ url, key: url })
    .selectValue(encrypted)
    .pipe(
      Effect.map((ssl) => (ssl._tag === "Some" && ssl.value === true ? "TLS" : "plain")),
      Effect.catch((error) => {
        // What cannot help is not tried again.
        assert.isFalse(error.isRetryable, error.message)
        return Effect.succeed("refused")
      }),
      Effect.tap(() => PG.make({ url, key: url }).terminate)
    )

/** The same of `psql`; `undefined` where there is none. */
const psql = (url: string) =>
  Effect.callback<string | undefined>((resume) => {
    execFile("psql", [url, "-XAtc", encrypted], { env: { ...process.env, HOME: "/nowhere" } }, (error, out) =>
      resume(
        Effect.succeed(
          error === null
            ? out.trim() === "t"
              ? "TLS"
              : "plain"
            : error.code === "ENOENT"
              ? undefined
              : "refused"
        )
      )
    )
  })

/** By what libpq finds the authority's list in a folder: `openssl crl -hash`. */
const authorityHash = "aabdaf6b"

const modes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

/** Letters for each mode: plain, TLS, refused. With the authority's certificate, and without. */
const table: ReadonlyArray<
  readonly [
    server: string,
    certificate: (ca: Certificate) => Certificate | undefined,
    with_: string,
    without: string
  ]
> = [
  ["no TLS", () => undefined, "PPPRRR", "PPPRRR"],
  [
    "a certificate that vouches for itself",
    () => certificateOf({ hosts: ["127.0.0.1"] }),
    "PPPRRR",
    "PPTTRR"
  ],
  ["one of the authority", (signer) => certificateOf({ hosts: ["127.0.0.1"], signer }), "PPTTTT", "PPTTRR"],
  ["one for another name", (signer) => certificateOf({ hosts: ["db.example"], signer }), "PPTTTR", "PPTTRR"],
  [
    "one that has expired",
    (signer) => certificateOf({ hosts: ["127.0.0.1"], signer, days: -1 }),
    "PPPRRR",
    "PPTTRR"
  ]
]

const letters = (found: ReadonlyArray<string | undefined>) =>
  found.map((one) => one?.charAt(0).toUpperCase()).join("")

layer(Layer.merge(SecureServer.layer, PoolRegistry.layer()), { timeout: "60 seconds" })((it) => {
  describe("each mode of TLS does what libpq does", () => {
    for (const [what, certificate, withRoot, withoutRoot] of table) {
      it.effect(`with a server of ${what}`, () =>
        Effect.gen(function* () {
          const { ca, folder, settings } = yield* SecureServer
          const { database, host, password, port, username } = settings
          yield* serve(certificate(ca))
          for (const [root, expected] of [
            [join(folder, "root.crt"), withRoot],
            [join(folder, "none.crt"), withoutRoot]
          ] as const) {
            const urls = modes.map(
              (mode) =>
                `postgres://${username}:${password}@${host}:${port}/${database}?sslmode=${mode}&sslrootcert=${encodeURIComponent(root)}`
            )
            assert.strictEqual(letters(yield* Effect.forEach(urls, here)), expected, root)
            const theirs = yield* Effect.forEach(urls, psql)
            if (theirs[0] !== undefined) assert.strictEqual(letters(theirs), expected, `psql with ${root}`)
          }
        })
      )
    }
  })

  describe("a certificate that its authority has revoked", () => {
    it.effect("is refused by sslcrl and sslcrldir, as libpq does it, and one that it has not is taken", () =>
      Effect.gen(function* () {
        const { ca, folder, settings } = yield* SecureServer
        const { database, host, password, port, username } = settings
        const certificate = certificateOf({ hosts: ["127.0.0.1"], signer: ca })
        yield* serve(certificate)
        yield* Effect.promise(async () => {
          await mkdir(join(folder, "revoked"))
          await mkdir(join(folder, "none"))
          await writeFile(join(folder, "none.crl"), revocations(ca, []))
          await writeFile(join(folder, "none", "one.crl"), revocations(ca, []))
          await writeFile(join(folder, "revoked.crl"), revocations(ca, [certificate]))
          await writeFile(join(folder, "revoked", `${authorityHash}.r0`), revocations(ca, [certificate]))
        })
        const url = (mode: string, word: string) =>
          `postgres://${username}:${password}@${host}:${port}/${database}?sslmode=${mode}&sslrootcert=${join(folder, "root.crt")}&${word}`
        const words: ReadonlyArray<readonly [word: string, mode: string, outcome: string]> = [
          ["sslcrl=none.crl", "verify-full", "TLS"],
          ["sslcrl=revoked.crl", "verify-full", "refused"],
          ["sslcrl=revoked.crl", "verify-ca", "refused"],
          ["sslcrl=revoked.crl", "require", "refused"],
          ["sslcrldir=revoked", "verify-full", "refused"],
          ["sslcrl=not-there.crl", "verify-full", "TLS"]
        ]
        for (const [word, mode, outcome] of words) {
          const at = url(mode, word.replace("=", `=${folder}/`))
          assert.strictEqual(yield* here(at), outcome, `${word} ${mode}`)
          const theirs = yield* psql(at)
          if (theirs !== undefined) assert.strictEqual(theirs, outcome, `psql: ${word} ${mode}`)
        }
        // libpq finds a file of a folder by the authority's name, and this client reads each.
        assert.strictEqual(yield* here(url("verify-full", `sslcrldir=${folder}/none`)), "TLS")
        const pgdb = PG.make({ url: url("verify-full", `sslcrl=${folder}/revoked.crl`), key: "revoked" })
        const { isRetryable, message } = yield* Effect.flip(pgdb.select("select 1"))
        assert.include(message, "was not accepted (CERT_REVOKED)")
        assert.include(message, "Its authority has revoked it, by the lists of sslcrl and sslcrldir")
        assert.isFalse(isRetryable)
      })
    )
  })

  describe("a server that asks who the client is", () => {
    it.effect("takes its certificate and an encrypted key, and nobody without", () =>
      Effect.gen(function* () {
        const { ca, folder, settings, witness } = yield* SecureServer
        const { database, host, port } = settings
        const client = certificateOf({ hosts: [], name: "alice", signer: ca })
        yield* give(witness, "root.crt", ca.certificate)
        yield* witness.query("create role alice login")
        yield* witness.query("alter system set ssl_ca_file = 'root.crt'")
        const [row] = yield* witness.query("select pg_read_file('pg_hba.conf') as text")
        yield* give(
          witness,
          "pg_hba.conf",
          `hostssl all alice all cert\n${String(row?.text).replaceAll(/#.*\n/g, "").replaceAll("'", "''").trim()}`
        )
        yield* serve(certificateOf({ hosts: ["127.0.0.1"], signer: ca }))
        yield* Effect.promise(async () => {
          await writeFile(join(folder, "alice.crt"), client.certificate)
          await writeFile(join(folder, "alice.key"), encryptedKey(client, "open sesame"), { mode: 0o600 })
          await writeFile(join(folder, "open.key"), client.key, { mode: 0o644 })
        })
        const words = {
          sslmode: "verify-full",
          sslrootcert: join(folder, "root.crt"),
          sslcert: join(folder, "alice.crt"),
          sslkey: join(folder, "alice.key"),
          sslpassword: "open sesame"
        }
        const ask = (changed: Partial<typeof words>) => {
          const query = new URLSearchParams(Object.entries({ ...words, ...changed }))
            .toString()
            .replaceAll("+", "%20")
          const pgdb = PG.make({ url: `postgres://alice@${host}:${port}/${database}?${query}`, key: query })
          return Effect.ensuring(pgdb.selectValue("select current_user::text"), pgdb.terminate)
        }
        assert.deepStrictEqual(yield* ask({}), Option.some("alice"))
        const wrong = yield* Effect.flip(ask({ sslpassword: "wrong" }))
        assert.include(wrong.message, "certificate or a key cannot be used")
        const open = yield* Effect.flip(ask({ sslkey: join(folder, "open.key") }))
        assert.include(open.message, "others may read it")
        const none = yield* Effect.flip(ask({ sslcert: join(folder, "no.crt") }))
        assert.include(none.message, "connection requires a valid client certificate")
        for (const { isRetryable } of [wrong, open, none]) assert.isFalse(isRetryable)
      })
    )

    it.effect(
      "by a password is bound to the link, and a client that insists on that does not go without TLS",
      () =>
        Effect.gen(function* () {
          const { ca, settings } = yield* SecureServer
          const { database, host, password, port, username } = settings
          yield* serve(certificateOf({ hosts: ["127.0.0.1"], signer: ca }))
          const url = (query: string) =>
            `postgres://${username}:${password}@${host}:${port}/${database}?${query}`
          assert.strictEqual(yield* here(url("sslmode=require&channel_binding=require")), "TLS")
          assert.strictEqual(yield* here(url("sslmode=disable&channel_binding=require")), "refused")
          assert.strictEqual(yield* here(url("sslmode=require&require_auth=scram-sha-256")), "TLS")
          assert.strictEqual(yield* here(url("sslmode=require&require_auth=md5")), "refused")
          assert.strictEqual(yield* here(url("sslmode=require&require_auth=!scram-sha-256")), "refused")
        })
    )

    it.effect("gets no host name with sslsni=0, and gets it otherwise", () =>
      Effect.gen(function* () {
        const { ca, folder, settings } = yield* SecureServer
        const { database, password, username } = settings
        yield* serve(certificateOf({ hosts: ["localhost"], signer: ca }))
        for (const sslsni of [1, 0]) {
          const between = yield* proxy(settings)
          const url = `postgres://${username}:${password}@localhost:${between.address.port}/${database}?sslmode=verify-full&sslrootcert=${join(folder, "root.crt")}&sslsni=${sslsni}`
          // By its name the certificate is checked in both cases.
          assert.strictEqual(yield* here(url), "TLS")
          assert.strictEqual(between.sent().includes("localhost"), sslsni === 1)
        }
      })
    )

    it.effect("is begun with TLS at once by direct negotiation", () =>
      Effect.gen(function* () {
        const { settings } = yield* SecureServer
        const { database, host, password, port, username } = settings
        const url = `postgres://${username}:${password}@${host}:${port}/${database}?sslmode=require&sslnegotiation=direct`
        assert.strictEqual(yield* here(url), "TLS")
      })
    )

    it.effect("with an old TLS is refused by a client that wants a newer one", () =>
      Effect.gen(function* () {
        const { settings, witness } = yield* SecureServer
        const { database, host, password, port, username } = settings
        yield* witness.query("alter system set ssl_max_protocol_version = 'TLSv1.2'")
        yield* serve(certificateOf({ hosts: ["127.0.0.1"] }))
        const url = (query: string) =>
          `postgres://${username}:${password}@${host}:${port}/${database}?sslmode=require&${query}`
        assert.strictEqual(yield* here(url("ssl_min_protocol_version=TLSv1.3")), "refused")
        assert.strictEqual(yield* here(url("ssl_min_protocol_version=TLSv1.2")), "TLS")
      })
    )
  })
})
