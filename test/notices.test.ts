/** What the server says beside its answers: to the setting `onNotice`, else to Effect's log. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { PG, PoolRegistry } from "effect-global-pool"
import { database, eventually } from "./support/database.ts"
import { reasonOf } from "./support/link.ts"

const raising = `do $$ begin
  raise debug 'a debug';
  raise log 'a log';
  raise info 'an info';
  raise notice 'a notice of %', 'f' using detail = 'its detail', hint = 'its hint', errcode = 'U0001';
  raise warning 'a warning';
end $$`

it.live("onNotice takes notices in order, with their fields", () =>
  Effect.gen(function* () {
    const { settings } = yield* database()
    const notices: Array<PG.Notice> = []
    const pgdb = PG.make({
      ...settings,
      startupParameters: { client_min_messages: "debug1" },
      onNotice: (notice) => Effect.sync(() => notices.push(notice))
    })
    yield* pgdb.transaction(
      Effect.andThen(pgdb.execute(raising), pgdb.execute("drop table if exists absent"))
    )
    const own = notices.filter(({ message }) => /^an? |skipping/.test(message))
    assert.deepStrictEqual(
      own.map(({ severity, message }) => [severity, message]),
      [
        ["DEBUG", "a debug"],
        ["LOG", "a log"],
        ["INFO", "an info"],
        ["NOTICE", "a notice of f"],
        ["WARNING", "a warning"],
        ["NOTICE", 'table "absent" does not exist, skipping']
      ]
    )
    assert.containSubset(own[3], { code: "U0001", detail: "its detail", hint: "its hint" })
    assert.include(own[3]?.where, "inline_code_block line 5")
  }).pipe(Effect.provide(PoolRegistry.layer()))
)

it.live("without onNotice, notices go to the log, at their level and with the pool's key", () => {
  const lines: Array<{ level: string; text: string; annotations: Readonly<Record<string, unknown>> }> = []
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    const annotations = fiber.getRef(References.CurrentLogAnnotations)
    lines.push({ level: logLevel, text: String(message), annotations })
  })
  return Effect.gen(function* () {
    const { settings } = yield* database()
    const pgdb = PG.make({
      ...settings,
      startupParameters: { client_min_messages: "debug1" },
      key: "app"
    })
    yield* pgdb.execute(raising)
    const own = lines.filter(({ text }) => /: an? /.test(text))
    assert.deepStrictEqual(
      own.map(({ level, text }) => [level, text]),
      [
        ["Debug", "DEBUG: a debug"],
        ["Info", "LOG: a log"],
        ["Info", "INFO: an info"],
        ["Info", "NOTICE: a notice of f\nDetail: its detail\nHint: its hint"],
        ["Warn", "WARNING: a warning"]
      ]
    )
    assert.deepStrictEqual(own[3]?.annotations, {
      "db.client.connection.pool.name": "app",
      "db.response.status_code": "U0001"
    })
  }).pipe(
    Effect.provide(PoolRegistry.layer()),
    Effect.provide(Logger.layer([logger])),
    Effect.provideService(References.MinimumLogLevel, "All")
  )
})

it.live("what onNotice does wrong is logged and hurts nobody", () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ cause, message }) => lines.push(`${message} ${cause}`))
  return Effect.gen(function* () {
    const { settings } = yield* database()
    for (const onNotice of [
      () => Effect.die(new Error("in the effect")),
      () => {
        throw new Error("in the function")
      }
    ]) {
      const pgdb = PG.make({ ...settings, onNotice, key: String(onNotice) })
      assert.deepStrictEqual(yield* pgdb.execute("drop table if exists absent"), {
        command: "DROP",
        rowCount: 0,
        rows: []
      })
      yield* eventually(
        "it is logged",
        Effect.sync(() => lines.pop()),
        (line) => /onNotice failed.*in the (effect|function)/s.test(line ?? "")
      )
    }
  }).pipe(Effect.provide(PoolRegistry.layer()), Effect.provide(Logger.layer([logger])))
})

it.live("an onNotice that is not a function is refused", () =>
  Effect.gen(function* () {
    const settings: PG.Settings = JSON.parse('{ "onNotice": "log" }')
    const error = yield* Effect.flip(PG.make(settings).select("select 1"))
    assert.strictEqual(reasonOf(error), "InvalidSettings")
    assert.include(error.message, "onNotice")
  }).pipe(Effect.provide(PoolRegistry.layer()))
)
