/**
 * A password never shows: not in an error, a log, a span, nor in anything that a handle can be turned into.
 */
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { PG, PoolRegistry } from "effect-global-pool"
import { together, withDatabase } from "./support/handle.ts"
import { proxy } from "./support/proxy.ts"

/** A part of it is kept by every encoding of a text but base64. */
const part = "Tr0ub4dor"
const secret = `${part} &3'"%/?#@: ü`
const encoded = encodeURIComponent(secret)

/** Everything that this value can be turned into by those who print things. */
const printsOf = (value: unknown): ReadonlyArray<string> => {
  const ways: ReadonlyArray<() => string | undefined> = [
    () => String(value),
    () => `${value}`,
    () => JSON.stringify(value),
    () => JSON.stringify({ value }),
    () => inspect(value),
    () => inspect(value, { showHidden: true, depth: Number.POSITIVE_INFINITY, getters: true }),
    () => inspect(value, { showHidden: true, depth: Number.POSITIVE_INFINITY, customInspect: false }),
    () =>
      value instanceof Error ? [value.message, value.stack, printsOf(value.cause)].join("\n") : undefined
  ]
  return ways.map((way) => {
    try {
      return way() ?? ""
    } catch (error) {
      return String(error)
    }
  })
}

const base64 = [secret, `x${secret}`, `xx${secret}`].map((text) =>
  Buffer.from(text).toString("base64").slice(4, 12)
)

const shows = (text: string) =>
  text.toLowerCase().includes(part.toLowerCase()) || base64.some((piece) => text.includes(piece))

const isSilent = (what: string, ...values: ReadonlyArray<unknown>) => {
  for (const value of values) {
    for (const text of printsOf(value)) {
      if (shows(text)) assert.fail(`The password shows in ${what}: ${text.slice(0, 2_000)}`)
    }
  }
}

it("the looking glass sees a password where there is one", () => {
  for (const leak of [
    secret,
    { password: secret },
    new Error("x", { cause: new Error(secret) }),
    Object.defineProperty({}, "hidden", { value: { deep: { deeper: { still: secret } } } }),
    Buffer.from(secret).toString("base64"),
    encoded
  ]) {
    assert.isTrue(printsOf(leak).some(shows), inspect(leak))
  }
})

/** The ways to give a password, each with the settings of a database. */
const forms: Readonly<Record<string, (settings: PG.Settings) => PG.Settings | string>> = {
  "a text": (settings) => ({ ...settings, password: secret }),
  "a Redacted": (settings) => ({ ...settings, password: Redacted.make(secret) }),
  "an effect": (settings) => ({ ...settings, password: Effect.sync(() => Redacted.make(secret)) }),
  "an effect of a text": (settings) => ({ ...settings, password: Effect.sync(() => secret) }),
  "part of a URL": ({ database, host, port, username }) =>
    `postgres://${username}:${encoded}@${host}:${port}/${database}`,
  "part of a Redacted URL": ({ database, host, port, username }) => ({
    url: Redacted.make(`postgres://${username}:${encoded}@${host}:${port}/${database}`)
  }),
  "a parameter of a URL": ({ database, host, port, username }) =>
    `postgres://${username}@${host}:${port}/${database}?password=${encoded}`
}

/** Runs an effect, and keeps what it logs and traces. */
const overheard = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>) {
  const heard: Array<unknown> = []
  const logger = Logger.make((entry) => {
    heard.push(entry.message, Cause.pretty(entry.cause), entry.cause)
  })
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      heard.push(span)
      return span
    }
  })
  const exit = yield* effect.pipe(
    Effect.tapCause((cause) => Effect.logError("It failed", cause)),
    Effect.withSpan("the program"),
    Effect.exit,
    Effect.provide(Logger.layer([logger, Logger.withConsoleLog(Logger.make(() => "")), Logger.tracerLogger])),
    Effect.provideService(References.MinimumLogLevel, "Trace"),
    Effect.withTracer(tracer)
  )
  heard.push(exit)
  if (Exit.isFailure(exit))
    heard.push(Cause.pretty(exit.cause), Cause.squash(exit.cause), ...exit.cause.reasons)
  return { exit, heard }
})

describe("a password given as", () => {
  for (const [form, make] of Object.entries(forms)) {
    withDatabase(form, [], ({ settings, witness }) =>
      Effect.gen(function* () {
        const username = `role_${settings.database}`
        yield* Effect.acquireRelease(
          witness.query(`create role ${username} login password '${secret.replaceAll("'", "''")}'`),
          () => Effect.orDie(witness.query(`drop role ${username}`))
        )
        const asked = { ...settings, password: undefined, username }
        const pgdb = PG.make(make(asked))
        const table = pgdb.table("things")
        const decoded = pgdb.table("things", Schema.Struct({ id: Schema.Number }))
        isSilent("handles", pgdb, table, decoded, { pgdb, table }, [pgdb])
        isSilent("effects", pgdb.select("select 1"), pgdb.client, pgdb.layer, pgdb.terminate, table.find())

        const works = yield* overheard(pgdb.selectValue("select 1 as one"))
        assert.isTrue(Exit.isSuccess(works.exit))
        isSilent("handles that were used", pgdb, table, decoded)
        isSilent("what is logged and traced of a success", works.heard)
        isSilent("the client", yield* pgdb.client)
        isSilent("the statistics and the registry", yield* PoolRegistry.stats, yield* PoolRegistry)

        const closed = yield* proxy(settings)
        yield* closed.refuse
        const failing: Readonly<Record<string, Effect.Effect<unknown, unknown, PoolRegistry>>> = {
          "a wrong statement": pgdb.select("select nothing"),
          "a parameter that cannot be sent": pgdb.select("select $1::int", ["many"]),
          "a refused statement": pgdb.select("begin"),
          "a failing stream": Stream.runDrain(pgdb.stream("select 1 / (n - 3) from generate_series(1, 9) n")),
          "a failing batch": pgdb.trans(["select 1", "select nothing"]),
          "a failing transaction": pgdb.transaction(pgdb.select("select nothing")),
          "a table that does not exist": table.find({ id: 1 }),
          "rows of another shape": decoded.select("select 'x' as id"),
          "a conflict": PG.make({ ...settings, username, password: "another" }).select("select 1"),
          "a conflict the other way": Effect.andThen(
            PG.make({ ...settings, key: "k" }).client,
            PG.make(make({ ...asked, key: "k" }))
              .table("t")
              .select("select 1")
          ),
          "a server that is away": PG.make(make({ ...asked, ...closed.address, database: "away" })).select(
            "select 1"
          ),
          "no such database": PG.make(make({ ...asked, database: `${settings.database}_no` })).select(
            "select 1"
          ),
          "a user who does not exist": PG.make(
            make({ ...asked, username: "nobody", database: "postgres" })
          ).select("select 1"),
          "a password that is wrong": PG.make(
            make({ ...asked, username: settings.username, database: "template1" })
          ).select("select 1"),
          "the client": Effect.flatMap(pgdb.client, (sql) => sql`select nothing`)
        }
        for (const [what, effect] of Object.entries(failing)) {
          const { exit, heard } = yield* overheard(effect)
          if (!what.startsWith("a conflict the other")) assert.isTrue(Exit.isFailure(exit), what)
          isSilent(what, heard)
        }
        const logged = yield* overheard(
          Effect.logTrace(pgdb, { pgdb, table }).pipe(Effect.annotateLogs({ pgdb, settings: String(pgdb) }))
        )
        isSilent("logs of a handle", logged.heard)
      })
    )
  }
})

it.effect("settings that break a rule do not show theirs", () =>
  Effect.gen(function* () {
    const broken: ReadonlyArray<PG.Settings | string> = [
      { password: secret, port: 70_000 },
      { password: Redacted.make(secret), maxConnections: 0 },
      `postgres://user:${encoded}@[broken/db`,
      `postgres://user:${encoded}@host:99999/db`,
      `postgres://user:${part}%zz@host/db`,
      `mysql://user:${encoded}@host/db`,
      `user:${part}@host/db`,
      `postgres://user:${encoded}@host/db?sslmode=${part}`,
      `postgres://user@host/db?password=${encoded}&port=x`,
      `host=localhost password=${secret}`,
      { url: `postgres://user:${encoded}@host/db?connect_timeout=${part}` },
      // By mistake: what JavaScript lets through.
      JSON.parse(JSON.stringify({ port: secret })),
      JSON.parse(JSON.stringify({ passwort: secret })),
      JSON.parse(JSON.stringify({ password: { value: secret } })),
      JSON.parse(JSON.stringify({ maxConnections: secret, idleTimeout: secret, ssl: secret })),
      JSON.parse(JSON.stringify({ url: { href: secret } })),
      { startupParameters: { password: `${secret}\0` } }
    ]
    for (const [index, settings] of broken.entries()) {
      const pgdb = PG.make(settings)
      const { exit, heard } = yield* overheard(pgdb.select("select 1"))
      assert.isTrue(Exit.isFailure(exit))
      isSilent(`settings ${index}`, pgdb, pgdb.table("t"), heard)
    }
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

withDatabase("a password that is an effect is asked again for each connection", [], ({ settings }) =>
  Effect.gen(function* () {
    let asked = 0
    const password = Effect.sync(() => {
      asked++
      return Redacted.make(settings.password)
    })
    const pgdb = PG.make({ ...settings, password, maxConnections: 3 })
    assert.strictEqual(asked, 0)
    yield* pgdb.select("select 1")
    yield* pgdb.select("select 1")
    assert.strictEqual(asked, 1)
    yield* together(pgdb, 3)
    assert.strictEqual(asked, 3)
  })
)
