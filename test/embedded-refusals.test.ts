import * as Net from "node:net"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { EmbeddedPostgres, type EmbeddedPostgresOptions } from "effect-global-pool/embedded"
import { failure } from "./support/embedded-server.ts"
import { Temporary } from "./support/folder.ts"

layer(Temporary.layer)("an embedded server that does not start", (it) => {
  it.effect("says that the port is taken", () =>
    Effect.gen(function* () {
      const holder = yield* Effect.acquireRelease(
        Effect.callback<Net.Server>((resume) => {
          const server = Net.createServer()
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const address = holder.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      const error = yield* failure({ port })
      assert.deepStrictEqual(error.reason, { _tag: "PortBusy", port })
      assert.strictEqual(
        error.message,
        `Port ${port} of 127.0.0.1 is taken by another process. Choose another port, or leave the option out to get a free one.`
      )
      assert.isTrue(holder.listening)
    })
  )

  it.effect("shows what the server wrote", () =>
    Effect.gen(function* () {
      const error = yield* failure({ serverSettings: { no_such_setting: 1 } })
      assert.strictEqual(error.reason._tag, "StartFailed")
      assert.include(error.message, 'unrecognized configuration parameter "no_such_setting"')
    })
  )

  it.effect("keeps to its time", () =>
    Effect.gen(function* () {
      const error = yield* failure({ startTimeout: "1 millis" })
      assert.include(error.message, "was not ready within 1ms (the option startTimeout)")
    })
  )

  const wrong: ReadonlyArray<readonly [string, EmbeddedPostgresOptions]> = [
    ["port", { port: 70_000 }],
    ["port", { port: 1.5 }],
    ["port", { port: 0 }],
    ["database", { database: "" }],
    ["database", { database: "本".repeat(22) }],
    ["username", { username: "a\0b" }],
    ["username", { username: "pg_me" }],
    ["username", { username: "J\\J" }],
    ["password", { password: "" }],
    ["password", { password: "two\nlines" }],
    ["dataDir", { dataDir: "" }],
    ["startTimeout", { startTimeout: 0 }],
    ["serverSettings", { serverSettings: { "port; drop": 1 } }],
    ["prot", Object.assign({ port: undefined }, { prot: 5555 })]
  ]
  it.effect.each(wrong)("names the option that is wrong: %j", ([option, options]) =>
    Effect.gen(function* () {
      const error = yield* failure(options)
      assert.deepStrictEqual(error.reason, { _tag: "InvalidOption", option })
      assert.include(error.message, `The option ${option} of EmbeddedPostgres.make`)
    })
  )

  it.effect.each([
    ["logging_collector", true, "reads the server's log"],
    ["Port", 5432, "the option port"],
    ["listen_addresses", "*", "127.0.0.1"]
  ] as const)("refuses a setting that is its own: %s", ([name, value, why]) =>
    Effect.gen(function* () {
      const error = yield* failure({ serverSettings: { [name]: value } })
      assert.deepStrictEqual(error.reason, { _tag: "InvalidOption", option: "serverSettings" })
      assert.include(error.message, `"${name}"`)
      assert.include(error.message, why)
    })
  )

  it.effect("fails with an error that a program can catch by its tag", () =>
    Effect.gen(function* () {
      const reason = yield* Effect.scoped(EmbeddedPostgres.make({ port: -1 })).pipe(
        Effect.as("started"),
        Effect.catchTag("EmbeddedPostgresError", (error) => Effect.succeed(error.reason._tag))
      )
      assert.strictEqual(reason, "InvalidOption")
    })
  )
})
