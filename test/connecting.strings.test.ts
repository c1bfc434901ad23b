/** Connection strings mean what they mean to libpq, or are refused by name; a password never shows. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { PG, PoolRegistry } from "effect-global-pool"
import { check } from "../src/settings/Check.ts"
import { parse } from "../src/settings/ConnectionString.ts"
import { keywords, variables } from "../src/settings/Keywords.ts"
import type { ResolvedSettings, Settings } from "../src/settings/Settings.ts"
import { withDatabase } from "./support/handle.ts"
import { strings, words } from "./support/libpq.ts"
import { root } from "./support/process.ts"
import { documented } from "./support/settings-table.ts"

describe("a connection string", () => {
  it.each(strings)("%s is read as libpq reads it", (text, expected) => {
    assert.deepStrictEqual(Result.getOrUndefined(parse(text)), expected)
  })

  it("with characters that libpq takes by accident is refused, and says how they are written", () => {
    for (const [text, hint] of [
      ["postgres://user:p@ss/word@localhost/app", "an @ is written %40, a / %2F"],
      ["postgres://user:pass#word@localhost/app", "a #, which is written %23"],
      ["postgres://user:pa?ss=x@localhost/app", "%40"]
    ] as const) {
      const failure = Result.getFailure(parse(text))
      assert.include(String(failure), hint, text)
    }
  })
})

describe("libpq's words", () => {
  it("are all known, with the variables that libpq reads them from", () => {
    const { servicefile, ...known } = Object.fromEntries(
      Object.keys(keywords.fields).map((name) => [
        name,
        Object.entries(variables).find(([, word]) => word === name)?.[0]
      ])
    )
    assert.deepStrictEqual(known, words)
    // A word since libpq 19, and a variable for longer.
    assert.strictEqual(servicefile, "PGSERVICEFILE")
  })

  it("are listed in docs/connecting.md as they are declared", async () => {
    const path = join(root, "docs", "connecting.md")
    const table = documented("Keywords.ts", "keywords").map(([name, what]) => {
      const [variable = ""] = Object.entries(variables).find(([, word]) => word === name) ?? []
      return `| \`${name}\` | ${variable === "" ? "" : `\`${variable}\``} | ${what} |`
    })
    const listed = `<!-- words -->\n| word | variable | here |\n| --- | --- | --- |\n${table.join("\n")}\n<!-- /words -->`
    const page = readFileSync(path, "utf8").replace(/<!-- words -->.*<!-- \/words -->/s, listed)
    await expect(page).toMatchFileSnapshot(path)
  })
})

const resolved = (settings: Settings | string): ResolvedSettings =>
  Result.getOrThrow(check(typeof settings === "string" ? { url: settings } : settings))

const places = (settings: Settings | string) =>
  resolved(settings).servers.map(({ address, host, path, port }) => path ?? `${address ?? host}:${port}`)

describe("servers", () => {
  it.each([
    ["postgres://u@/d", ["localhost:5432"]],
    ["postgres://u@a,b:2,[::1]:3/d", ["a:5432", "b:2", "::1:3"]],
    ["postgres://u@a:1,b,c:3/d", ["a:1", "b:5432", "c:3"]],
    ["host=a,b,c port=7 user=u", ["a:7", "b:7", "c:7"]],
    ["host=a,b,c port=1,,3 user=u", ["a:1", "b:5432", "c:3"]],
    ["host=a,b hostaddr=10.0.0.1,10.0.0.2 user=u", ["10.0.0.1:5432", "10.0.0.2:5432"]],
    ["hostaddr=10.0.0.1 user=u", ["10.0.0.1:5432"]],
    ["host=/run/postgresql port=6 user=u", ["/run/postgresql/.s.PGSQL.6"]],
    ["host=@name port=6 user=u", ["\0name/.s.PGSQL.6"]],
    ["postgres://u@%2Ftmp:9/d", ["/tmp/.s.PGSQL.9"]],
    [{ host: ["a", "b"], port: [1, 2] }, ["a:1", "b:2"]],
    [{ host: ["a", "b:9"], port: 1 }, ["a:1", "b:9"]],
    [{ host: "a,b", port: 4 }, ["a:4", "b:4"]],
    [{ url: "postgres://u@a,b/d", host: "c" }, ["c:5432"]]
  ] as ReadonlyArray<readonly [Settings | string, ReadonlyArray<string>]>)(
    "of %j are %j",
    (given, expected) => {
      assert.deepStrictEqual(
        places(typeof given === "string" ? given : { username: "u", ...given }),
        expected
      )
    }
  )
})

/** Strings, the setting at fault, and what the error says. */
const refused: ReadonlyArray<readonly [text: string, says: RegExp]> = [
  ["postgres://u:hushhush@h/d?sslmod=require", /sslmod is not a word of libpq: it is spelled sslmode/],
  ["postgres://u:hushhush@h/d?ssl=yes", /ssl is a setting of its own/],
  ["postgres://u:hushhush@h/d?SSLMODE=require", /it is spelled sslmode/],
  ["postgres://u:hushhush@h/d?target_session_attributes=primary", /target_session_att/],
  [
    "postgres://u:hushhush@h/d?sslmode=yes",
    /sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full/
  ],
  ["postgres://u:hushhush@h/d?target_session_attrs=master", /target_session_attrs must be one of/],
  ["postgres://u:hushhush@h/d?load_balance_hosts=yes", /load_balance_hosts must be one of/],
  ["postgres://u:hushhush@h/d?require_auth=kerberos", /require_auth must be a list of/],
  ["postgres://u:hushhush@h/d?require_auth=md5,!password", /require_auth must have a ! before all/],
  ["postgres://u:hushhush@h/d?require_auth=md5,md5", /require_auth names a method twice/],
  ["postgres://u:hushhush@h/d?channel_binding=yes", /channel_binding must be one of/],
  ["postgres://u:hushhush@h/d?connect_timeout=soon", /connect_timeout must be a whole number of seconds/],
  ["postgres://u:hushhush@h/d?client_encoding=latin1", /client_encoding is not supported: texts are UTF8/],
  ["postgres://u:hushhush@h/d?replication=database", /replication is not supported/],
  ["postgres://u:hushhush@h/d?gssencmode=require", /gssencmode is not supported: this client has no GSSAPI/],
  ["postgres://u:hushhush@h/d?sslcertmode=require", /sslcertmode is not supported/],
  ["postgres://u:hushhush@h/d?requirepeer=postgres", /requirepeer is not supported/],
  ["postgres://u:hushhush@h/d?tcp_user_timeout=5000", /tcp_user_timeout is not supported.*answerTimeout/],
  ["postgres://u:hushhush@h/d?oauth_issuer=x", /oauth_issuer is not supported/],
  ["postgres://u:hushhush@h/d?scram_client_key=x", /scram_client_key is not supported/],
  ["postgres://u:hushhush@h/d?sslkeylogfile=x", /sslkeylogfile is not supported/],
  [
    "postgres://u:hushhush@h/d?sslnegotiation=direct",
    /sslnegotiation=direct needs sslmode=require or stronger/
  ],
  [
    "postgres://u:hushhush@h/d?sslrootcert=system&sslmode=require",
    /sslrootcert=system needs sslmode=verify-full/
  ],
  ["postgres://u:hushhush@h/d?ssl_min_protocol_version=TLSv9", /ssl_min_protocol_version must be one of/],
  [
    "postgres://u:hushhush@h/d?ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
    /ssl_min_protocol_version is newer/
  ],
  ["postgres://u:hushhush@h:70000/d", /port must be a whole number from 1 to 65535/],
  ["postgres://u:hushhush@h:0/d", /port must be a whole number/],
  ["postgres://u:hushhush@h:1,2/d?port=x", /port must be a whole number/],
  ["host=a,b port=1,2,3 user=u password=hushhush", /3 port numbers cannot be matched to 2 hosts/],
  ["host=a,b hostaddr=10.0.0.1 user=u password=hushhush", /1 addresses cannot be matched to 2 hosts/],
  ["hostaddr=localhost user=u password=hushhush", /hostaddr must be an IP address/],
  ["postgres://u:hush%zzhush@h/d", /password has a % that begins no escape/],
  ["postgres://u:hush hush@h/d", /password has a space/],
  ["postgres://u:hush@hush@h/d", /an @ that does not stand right before the host/],
  ["password='hushhush user=u", /no closing '/],
  ["user=u hushhush", /has no = behind it/],
  ["host=h user=u pasword=hushhush", /pasword is not a word of libpq: it is spelled password/],
  ["service=none-such user=u password=hushhush", /The service none-such cannot be used: there is no section/]
]

describe("what is wrong in a string", () => {
  it.effect.each(refused)("%s is refused before anything connects, without the password", ([text, says]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(PG.make(text).select("select 1"))
      assert.strictEqual(error.reason._tag, "InvalidSettings")
      assert.match(error.message, says)
      assert.notMatch(`${error.message} ${JSON.stringify(error)} ${String(error)}`, /hush/)
    }).pipe(Effect.provide(PoolRegistry.layer()))
  )
})

describe("what a word says becomes the setting", () => {
  const of = (query: string) => resolved(`postgres://u@h/d?${query}`)

  it("connect_timeout is in seconds, and 0 is no limit", () => {
    assert.strictEqual(of("connect_timeout=3").connectTimeout, 3_000)
    assert.strictEqual(of("connect_timeout=0").connectTimeout, Number.POSITIVE_INFINITY)
  })

  it("keepalives are the time until the first probe", () => {
    assert.strictEqual(of("").keepAlive, 10_000)
    assert.strictEqual(of("keepalives_idle=30").keepAlive, 30_000)
    assert.strictEqual(of("keepalives=0&keepalives_idle=30").keepAlive, Number.POSITIVE_INFINITY)
  })

  it("application_name counts before fallback_application_name", () => {
    assert.strictEqual(of("fallback_application_name=f").applicationName, "f")
    assert.strictEqual(of("fallback_application_name=f&application_name=a").applicationName, "a")
  })

  it("another name is a setting of the session", () => {
    assert.deepStrictEqual(of("search_path=app&my.own=1").startupParameters, {
      search_path: "app",
      "my.own": "1"
    })
  })

  it("require_auth is a list of what is answered, or of what is not", () => {
    assert.deepStrictEqual(of("require_auth=scram-sha-256,md5").allowed?.methods, ["md5", "scram-sha-256"])
    assert.deepStrictEqual(of("require_auth=!password,!md5").allowed?.methods, [
      "gss",
      "sspi",
      "scram-sha-256",
      "oauth",
      "none"
    ])
    assert.isFalse(of("require_auth=!md5").allowed?.isClearAllowed)
    assert.isTrue(of("require_auth=password").allowed?.isClearAllowed)
  })

  it("sslmode is libpq's, and what is not asked for is used where the server insists on it", () => {
    assert.strictEqual(of("sslmode=verify-ca").encryption.mode, "verify-ca")
    assert.strictEqual(of("ssl=true").encryption.mode, "require")
    assert.strictEqual(of("sslrootcert=system").encryption.mode, "verify-full")
    assert.strictEqual(of("").encryption.mode, "allow")
  })
})

withDatabase(
  "a setting of the session that the server refuses is named, and where it may stand",
  [],
  (given) =>
    Effect.gen(function* () {
      const refused: ReadonlyArray<readonly [settings: Partial<PG.Settings>, names: string]> = [
        [{ url: `${given.url}?nonsense=1` }, '"nonsense"'],
        [{ url: `${given.url}?options=-c%20nonsense%3D1` }, '"nonsense"'],
        [{ url: `${given.url}?options=--nonsense` }, "--nonsense"],
        [{ url: `${given.url}?work_mem=lots` }, '"work_mem"'],
        [{ url: `${given.url}?TimeZone=Nowhere` }, '"TimeZone"'],
        [{ url: `${given.url}?shared_buffers=1` }, '"shared_buffers"'],
        [{ url: given.url, startupParameters: { nonsense: "1" } }, '"nonsense"']
      ]
      for (const [settings, names] of refused) {
        const pgdb = PG.make({ ...settings, key: JSON.stringify(settings) })
        const error = yield* Effect.flip(pgdb.select("select 1"))
        assert.include(error.message.split("\n", 1)[0], names)
        assert.include(error.message, "Such settings stand in startupParameters, and in url")
        assert.isFalse(error.isRetryable)
      }
    })
)
