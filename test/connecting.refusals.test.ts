/** Openings that do not come to a session: what the server hears, what the caller is told, and how often it is tried. */
import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { isSqlError } from "effect/sql/SqlError"
import { PG, PoolRegistry } from "effect-global-pool"
import { certificateHash } from "../src/protocol/CertificateHash.ts"
import { withDatabase } from "./support/handle.ts"
import { error, liar, message, ready, type Script, welcome } from "./support/liar.ts"

const secret = "caf\u0065\u0301-no-good"
const none = Buffer.alloc(0)

const url = (ports: ReadonlyArray<number>, words: string) =>
  `postgres://u@${ports.map((port) => `127.0.0.1:${port}`).join(",")}/d?${words}`

/** The error of a select against a server that follows this script, and what it heard. */
const refusal = Effect.fnUntraced(function* (script: Script, words: string, more: PG.Settings = {}) {
  const server = yield* liar(script)
  const pgdb = PG.make({
    url: url([server.address.port], words),
    password: secret,
    connectTimeout: 600,
    acquireTimeout: 1_500,
    ...more
  })
  const failure = yield* Effect.flip(pgdb.select("select 1")).pipe(
    Effect.timeout("8 seconds"),
    Effect.provide(PoolRegistry.layer())
  )
  assert.isTrue(isSqlError(failure), String(failure))
  return { message: failure.message, heard: server.heard(), opened: server.opened() }
})

const md5 = (text: string) => createHash("md5").update(text).digest("hex")

describe("the password", () => {
  const salt = Buffer.from("salt")
  const asks = { "in the clear": message("R", 3), "by md5": message("R", 5, salt) }
  const hashed = `md5${md5(`${md5(`${secret}u`)}salt`)}`

  for (const [how, ask] of Object.entries(asks)) {
    it.live(`asked for ${how} is the one that is set, byte by byte`, () =>
      Effect.gen(function* () {
        const script: Script = (turn) => (turn === 0 ? ask : undefined)
        const { heard } = yield* refusal(script, "sslmode=disable")
        const told = how === "by md5" ? hashed : secret
        assert.include(Buffer.from(heard, "latin1").toString("utf8"), told)
      })
    )

    it.live(`asked for ${how} is not given where channel_binding is require`, () =>
      Effect.gen(function* () {
        const script: Script = (turn) => (turn === 0 ? ask : welcome)
        const { heard, message } = yield* refusal(script, "sslmode=disable&channel_binding=require")
        assert.notInclude(heard, "no-good")
        assert.notMatch(heard, /md5[0-9a-f]{32}/)
        assert.include(message, "channel_binding is require")
      })
    )
  }

  it.live("that an effect fails to give is an error without a word of the effect's own", () =>
    Effect.gen(function* () {
      const words = ["TOKEN", undefined, new Error("vault says TOKEN")]
      for (const word of words) {
        // As from a program without types.
        const password = Effect.fail(word) as Effect.Effect<never>
        const { message } = yield* refusal(() => welcome, "sslmode=disable", { password })
        assert.include(message, "the effect that is the setting password failed")
        assert.notInclude(message, "TOKEN")
      }
    })
  )
})

describe("a session that ends before it is lent is a failed opening, and is waited for as one", () => {
  const dies: Script = (turn) => (turn === 0 ? welcome : undefined)
  const settings: Readonly<Record<string, readonly [words: string, more: PG.Settings]>> = {
    targetSessionAttributes: ["target_session_attrs=read-write", {}],
    "prepare: auto": ["", { prepare: "auto" }],
    "prepare: false": ["", { prepare: false }],
    onConnect: ["", { onConnect: ({ execute }) => Effect.ignore(execute("select 1")) }]
  }
  for (const [name, [words, more]] of Object.entries(settings)) {
    it.live(name, () =>
      Effect.gen(function* () {
        const { message, opened } = yield* refusal(dies, `sslmode=disable&${words}`, more)
        assert.include(message, "closed the connection while it was being opened")
        assert.isAtMost(opened, 5)
      })
    )
  }

  it.live("and so does one that refuses the question", () =>
    Effect.gen(function* () {
      const script: Script = (turn) =>
        turn === 0 ? welcome : Buffer.concat([error("ERROR", "42501", "nobody may ask"), ready])
      const { message, opened } = yield* refusal(script, "sslmode=disable&target_session_attrs=primary")
      assert.include(message, "nobody may ask")
      assert.isAtMost(opened, 5)
    })
  )

  const leaves: Script = (turn) => (turn === 0 ? welcome : error("FATAL", "57P01", "I am going down"))
  for (const [how, script] of [
    ["without a word", dies],
    ["with a farewell", leaves]
  ] as const)
    withDatabase(`where the next host is tried: ${how}`, [], ({ settings }) =>
      Effect.gen(function* () {
        const server = yield* liar(script)
        const pgdb = PG.make({
          url: `${url([server.address.port, settings.port], "sslmode=disable&target_session_attrs=read-write")}`,
          username: settings.username,
          password: settings.password,
          database: settings.database
        })
        assert.deepStrictEqual(yield* pgdb.select("select 1 as a"), [{ a: 1 }])
        assert.strictEqual(server.opened(), 1)
      })
    )
})

describe("a server that takes TLS and goes", () => {
  const script: Script = (turn, heard, socket) => {
    if (turn > 0 || heard.length !== 8) return error("FATAL", "28000", "here I am in the clear")
    socket.end("S")
    return none
  }
  it.live("is tried in the clear by prefer, at once", () =>
    Effect.gen(function* () {
      const { message } = yield* refusal(script, "sslmode=prefer", { connectTimeout: "20 seconds" })
      assert.include(message, "here I am in the clear")
    })
  )
  it.live("is an error by require, at once", () =>
    Effect.gen(function* () {
      const { message } = yield* refusal(script, "sslmode=require", { connectTimeout: "20 seconds" })
      assert.include(message, "closed the connection while it was being opened")
    })
  )
})

describe("the hash of a certificate", () => {
  const node = (tag: number, ...parts: ReadonlyArray<Buffer>) => {
    const body = Buffer.concat(parts)
    return Buffer.concat([Buffer.from([tag, body.length]), body])
  }
  const name = (digits: string) => node(0x06, Buffer.from(digits, "hex"))
  const certificate = (...algorithm: ReadonlyArray<Buffer>) =>
    node(0x30, node(0x30), node(0x30, ...algorithm), node(0x03, Buffer.alloc(3)))
  const pss = name("2a864886f70d01010a")
  const [sha256, sha512, sha224] = ["01", "03", "04"].map((last) => name(`6086480165030402${last}`)) as [
    Buffer,
    Buffer,
    Buffer
  ]
  const mask = node(0xa1, node(0x30, name("2a864886f70d010108"), node(0x30, sha256)))
  const rows: ReadonlyArray<readonly [string, Buffer, string | undefined]> = [
    [
      "SHA-512, masked by SHA-256",
      certificate(pss, node(0x30, node(0xa0, node(0x30, sha512)), mask)),
      "sha512"
    ],
    ["SHA-224", certificate(pss, node(0x30, node(0xa0, node(0x30, sha224)))), "sha224"],
    ["SHA-1 by default", certificate(pss, node(0x30)), "sha256"],
    ["Ed25519", certificate(name("2b6570")), undefined],
    ["a length of eight bytes", Buffer.from(`3088${"00".repeat(7)}05`, "hex"), undefined],
    ["a length without end", Buffer.from("30803080", "hex"), undefined],
    ["nothing", none, undefined]
  ]
  for (const [what, bytes, hash] of rows) {
    it(`is by that of its signature: ${what}`, () => {
      const expected = hash === undefined ? undefined : createHash(hash).update(bytes).digest("hex")
      assert.strictEqual(certificateHash(bytes)?.toString("hex"), expected)
    })
  }
})
