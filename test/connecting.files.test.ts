/** The password file and the service file, as libpq reads them. */
import { chmod, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { PG, PoolRegistry } from "effect-global-pool"
import * as PasswordFile from "../src/settings/PasswordFile.ts"
import { folder } from "./support/folder.ts"
import { withDatabase } from "./support/handle.ts"

const file = (name: string, text: string, mode = 0o600) =>
  Effect.gen(function* () {
    const path = join(yield* folder(), name)
    yield* Effect.promise(() => writeFile(path, text, { mode }))
    return path
  })

const works = (pgdb: PG.Database) =>
  Effect.map(pgdb.selectValue("select 1"), (value) => assert.deepStrictEqual(value, Option.some(1)))

describe("the password file", () => {
  const address = { host: "db.example", port: 5432, address: undefined, path: undefined }
  const socket = { host: "/tmp", port: 5432, address: undefined, path: "/tmp/.s.PGSQL.5432" }

  it.live("gives the password of the first line that fits", () =>
    Effect.gen(function* () {
      const path = yield* file(
        "pass",
        [
          "# db.example:5432:shop:me:commented out",
          "",
          "db.example:5433:shop:me:other port",
          "db.example:*:stock:*:any port and user",
          "db.example:5432:shop:me:with:colons and \\\\ and \\:",
          "db.example:5432:shop:me:second",
          "\\:\\:1:5432:shop:me:of IPv6",
          "::1:5433:a:b:me:without backslashes",
          "localhost:5432:*:me:of the socket",
          "\\*:5432:*:star:not any host",
          "db.example:5432:shop:end:behind it \\",
          "*:*:*:last:rest\r"
        ].join("\r\n")
      )
      const found = yield* Effect.promise(() => PasswordFile.read(path))
      const of = (at: typeof address | typeof socket, database: string, username: string) =>
        found?.passwordOf(at, database, username)
      assert.strictEqual(of(address, "shop", "me"), "with:colons and \\ and :")
      assert.strictEqual(of(address, "stock", "anyone"), "any port and user")
      assert.strictEqual(of({ ...address, host: "::1" }, "shop", "me"), "of IPv6")
      assert.strictEqual(of({ ...address, host: "::1", port: 5433 }, "a:b", "me"), "without backslashes")
      assert.strictEqual(of(socket, "shop", "me"), "of the socket")
      assert.strictEqual(of(address, "shop", "last"), "rest")
      assert.strictEqual(of(address, "shop", "you"), undefined)
      // The folder of a server that needs no host is `localhost`, as with libpq, and no other one is.
      const elsewhere = { ...socket, host: "/srv/data", path: "/srv/data/.s.PGSQL.5432" }
      assert.strictEqual(of(elsewhere, "shop", "me"), undefined)
      assert.strictEqual(of(address, "shop", "star"), undefined)
      assert.strictEqual(of(address, "shop", "end"), "behind it \\")
    }).pipe(Effect.scoped)
  )

  withDatabase(
    "is used where no password is given, and the error says where one came from",
    [],
    ({ settings }) =>
      Effect.gen(function* () {
        const { database, host, password, port, username } = settings
        const line = (secret: string) =>
          `${host}:${port}:*:${username}:${secret.replaceAll(/[\\:]/g, "\\$&")}\n`
        const path = yield* file("pass", line(password))
        const url = (key: string, passfile = path) =>
          PG.make({
            url: `host=${host} port=${port} user=${username} dbname=${database} passfile='${passfile}'`,
            key
          })
        yield* works(url("right"))

        yield* Effect.promise(() => writeFile(path, line("not it")))
        const wrong = yield* Effect.flip(url("wrong").select("select 1"))
        assert.include(wrong.message, `The password came from the file ${path}.`)
        assert.notInclude(wrong.message, "not it")

        yield* Effect.promise(() => chmod(path, 0o644))
        const open = yield* Effect.flip(url("open").select("select 1"))
        assert.include(open.message, `The password file ${path} was not used: others may read or write it`)

        // A password that is given counts before the file.
        yield* works(PG.make({ ...settings, url: `passfile='${path}'`, key: "given" }))
      })
  )
})

describe("the service file", () => {
  withDatabase(
    "gives the words of a section, beneath those of the string and above the environment",
    [],
    (given) =>
      Effect.gen(function* () {
        const { database, host, password, port, username } = given.settings
        const path = yield* file(
          "services",
          `# services\n[other]\nhost=192.0.2.1\n\n[shop] # of Europe\nhost = ${host}\nport=${port}\nuser=${username}\ndbname=nowhere\ndatabase=nowhere\napplication_name=of the service\n`
        )
        const name = "select current_setting('application_name')"
        const url = `service=shop servicefile='${path}' dbname=${database} password='${password}'`
        const pgdb = PG.make({ url, key: "service" })
        assert.deepStrictEqual(yield* pgdb.selectValue(name), Option.some("of the service"))
        const said = PG.make({ url: `${url} application_name=said`, key: "said" })
        assert.deepStrictEqual(yield* said.selectValue(name), Option.some("said"))
        const fromEnv = yield* Effect.provideService(
          PG.fromEnv,
          ConfigProvider.ConfigProvider,
          ConfigProvider.fromUnknown({
            PGSERVICE: "shop",
            PGSERVICEFILE: path,
            PGPASSWORD: password,
            PGDATABASE: "beneath",
            PGAPPNAME: "beneath",
            DATABASE_URL: `postgres:///${database}`
          })
        )
        assert.deepStrictEqual(yield* fromEnv.selectValue(name), Option.some("of the service"))
      })
  )

  it.live("that cannot be read is named in the error, without its content", () =>
    Effect.gen(function* () {
      const path = yield* file(
        "services",
        "[a]\npassword hush\n[b]\nhost=x\nbogus word=hush\n[c]\nservice=a\n[d]\nport=hush"
      )
      for (const [service, says] of [
        ["a", /The service a cannot be used: one of its lines has no =/],
        ["b", /The service b in .* is wrong: its parameter is neither/],
        ["c", /names a service in turn/],
        ["d", /The service d in .* is wrong: its port must be/],
        ["e", /there is no section \[e\] in/]
      ] as const) {
        const error = yield* Effect.flip(
          PG.make(`service=${service} servicefile='${path}' user=u`).select("select 1")
        )
        assert.strictEqual(error.reason._tag, "InvalidSettings")
        assert.match(error.message, says)
        assert.notInclude(error.message, "hush")
      }
    }).pipe(Effect.scoped, Effect.provide(PoolRegistry.layer()))
  )
})

describe("PG.fromEnv", () => {
  it.effect("names the variable that is wrong", () =>
    Effect.gen(function* () {
      for (const [variable, value] of [
        ["PGSSLMODE", "perhaps"],
        ["PGTARGETSESSIONATTRS", "master"],
        ["PGREQUIREAUTH", "kerberos"],
        ["PGCONNECT_TIMEOUT", "soon"]
      ] as const) {
        const pgdb = yield* Effect.provideService(
          PG.fromEnv,
          ConfigProvider.ConfigProvider,
          ConfigProvider.fromUnknown({ PGUSER: "u", [variable]: value })
        )
        const error = yield* Effect.flip(pgdb.select("select 1"))
        assert.include(error.message, `The variable ${variable} is wrong: `)
        assert.strictEqual(error.reason._tag, "InvalidSettings")
      }
    }).pipe(Effect.provide(PoolRegistry.layer()))
  )

  withDatabase("takes settings of the session, and those that say default are the server's", [], (given) =>
    Effect.gen(function* () {
      const { database, host, password, port, username } = given.settings
      const pgdb = yield* Effect.provideService(
        PG.fromEnv,
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromUnknown({
          DATABASE_URL: `host=${host} port=${port} user=${username} dbname=${database} password='${password}'`,
          PGTZ: "Asia/Tokyo",
          PGGEQO: "default",
          PGDATESTYLE: "DEFAULT"
        })
      )
      const rows = yield* pgdb.select(
        "select current_setting('timezone') as zone, current_setting('geqo') as geqo, current_setting('datestyle') as dates"
      )
      assert.deepStrictEqual(rows, [{ zone: "Asia/Tokyo", geqo: "on", dates: "ISO, MDY" }])
    })
  )
})
