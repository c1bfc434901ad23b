import { execFileSync } from "node:child_process"
import { promises } from "node:fs"
import * as Fs from "node:fs/promises"
import { syncBuiltinESMExports } from "node:module"
import * as Path from "node:path"
import { assert, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import { start } from "../src/embedded/Server.ts"
import * as SetUp from "../src/embedded/SetUp.ts"
import { eventually } from "./support/database.ts"
import { failure, query, value } from "./support/embedded-server.ts"
import { folder, Temporary } from "./support/folder.ts"
import { program } from "./support/process.ts"

/** The processes that a process has started. */
const childrenOf = (pid: number): ReadonlyArray<number> =>
  execFileSync("ps", ["-o", "pid=", "--ppid", String(pid)], { encoding: "utf8" })
    .trim()
    .split(/\s+/)
    .map(Number)

/** A data directory whose `initdb` was killed, and all that could have cleaned up after it: as by `docker kill`. */
const cutShort = Effect.gen(function* () {
  const dataDir = yield* folder()
  const running = yield* program("test/support/embedded.ts", { args: [JSON.stringify({ dataDir })] })
  const files = Effect.promise(() => Fs.readdir(dataDir, { recursive: true }).catch(() => []))
  yield* eventually("it is being set up", files, (names) => names.some((name) => name.endsWith("PG_VERSION")))
  for (const pid of [...childrenOf(running.pid), running.pid]) process.kill(pid, "SIGKILL")
  yield* running.exit
  return dataDir
})

/** Does this before each renaming of a file in the scope. */
const beforeRename = (before: (from: string) => Promise<void>) => {
  const { rename } = promises
  const replace = (by: typeof rename) =>
    Effect.sync(() => {
      promises.rename = by
      syncBuiltinESMExports()
    })
  const held: typeof rename = async (from, to) => {
    await before(String(from))
    return rename(from, to)
  }
  return Effect.acquireRelease(replace(held), () => replace(rename))
}

layer(Temporary.layer)("a data directory of one's own", (it) => {
  it.effect("keeps the data from one server to the next", () =>
    Effect.gen(function* () {
      const dataDir = Path.join(yield* folder(), "new", "data")
      const first = yield* Effect.scoped(
        Effect.tap(start({ dataDir, database: "shop" }), (server) =>
          query(server, "create table kept as select 42 as answer")
        )
      )
      const second = yield* Effect.scoped(
        Effect.tap(start({ dataDir, database: "shop" }), (server) =>
          Effect.gen(function* () {
            assert.strictEqual(yield* value(server, "select answer from kept"), 42)
            assert.strictEqual(yield* value(server, "show fsync"), "on")
          })
        )
      )
      assert.strictEqual(Redacted.value(second.password), Redacted.value(first.password))
    })
  )

  it.effect("is for one server at a time", () =>
    Effect.gen(function* () {
      const dataDir = yield* folder()
      const server = yield* start({ dataDir })
      const error = yield* failure({ dataDir })
      assert.deepStrictEqual(error.reason, { _tag: "DataDirUnusable", dataDir })
      assert.include(error.message, "is in use by another server")
      assert.strictEqual(yield* value(server, "select 1"), 1)
    })
  )

  it.effect("wants the password that it was set up with", () =>
    Effect.gen(function* () {
      const dataDir = yield* folder()
      yield* Effect.scoped(start({ dataDir, password: "first" }))
      const other = yield* failure({ dataDir, password: "second" })
      assert.include(other.message, "was set up with another username or password")
      const none = yield* failure({ dataDir })
      assert.include(none.message, "Give it as the option password")
      for (const { reason, message } of [other, none]) {
        assert.deepStrictEqual(reason, { _tag: "DataDirUnusable", dataDir })
        assert.notInclude(message, "first")
      }
      yield* Effect.scoped(start({ dataDir, password: "first" }))
    })
  )

  it.effect("is refused when it holds something else", () =>
    Effect.gen(function* () {
      const dataDir = yield* folder()
      const file = Path.join(dataDir, "letter.txt")
      yield* Effect.promise(() => Fs.writeFile(file, "dear"))
      const error = yield* failure({ dataDir })
      assert.include(error.message, "is not empty and holds no Postgres data")
      assert.strictEqual(yield* Effect.promise(() => Fs.readFile(file, "utf8")), "dear")
      const inside = yield* failure({ dataDir: file })
      assert.strictEqual(inside.reason._tag, "DataDirUnusable")
    })
  )

  it.effect("is refused when another version made it", () =>
    Effect.gen(function* () {
      const dataDir = yield* folder()
      yield* Effect.promise(() => Fs.writeFile(Path.join(dataDir, "PG_VERSION"), "9\n"))
      const error = yield* failure({ dataDir })
      assert.include(error.message, `The data directory ${dataDir} was made by Postgres 9`)
    })
  )

  it.effect("is set up anew when its set-up was killed, and nothing of that is left", () =>
    Effect.gen(function* () {
      const dataDir = yield* cutShort
      const left = yield* Effect.promise(() => Fs.readdir(dataDir))
      assert.notDeepEqual(left, [])
      yield* Effect.scoped(
        Effect.tap(start({ dataDir }), (server) => query(server, "create table kept as select 42 as answer"))
      )
      const server = yield* start({ dataDir })
      assert.strictEqual(yield* value(server, "select answer from kept"), 42)
      const names = yield* Effect.promise(() => Fs.readdir(dataDir))
      assert.deepStrictEqual(
        names.filter((name) => name.startsWith("effect-global-pool")),
        ["effect-global-pool.password"]
      )
    })
  )

  it.effect("is refused when its set-up was killed, and somebody has put something else there", () =>
    Effect.gen(function* () {
      const dataDir = yield* cutShort
      const entries = Effect.promise(async () => (await Fs.readdir(dataDir)).sort())
      yield* Effect.promise(() => Fs.writeFile(Path.join(dataDir, "letter.txt"), "dear"))
      const before = yield* entries
      const error = yield* failure({ dataDir })
      assert.include(error.message, "is not empty and holds no Postgres data")
      assert.deepStrictEqual(yield* entries, before)
    })
  )

  it.effect("is whole when its set-up was killed while the files were moved to their place", () =>
    Effect.gen(function* () {
      const dataDir = yield* folder()
      yield* Effect.scoped(
        Effect.tap(start({ dataDir }), (server) => query(server, "create table kept as select 42 as answer"))
      )
      yield* Effect.promise(async () => {
        const made = Path.join(dataDir, "effect-global-pool.made")
        await Fs.mkdir(made)
        for (const name of ["PG_VERSION", "base", "effect-global-pool.password"])
          await Fs.rename(Path.join(dataDir, name), Path.join(made, name))
      })
      const server = yield* start({ dataDir })
      assert.strictEqual(yield* value(server, "select answer from kept"), 42)
    })
  )

  it.effect("is set up by one of those who start at one time, and the others are refused", () =>
    Effect.gen(function* () {
      const dataDir = yield* folder()
      const attempt = Effect.result(start({ dataDir }))
      const results = yield* Effect.all([attempt, attempt, attempt], { concurrency: "unbounded" })
      const servers = results.flatMap((result) => (result._tag === "Success" ? [result.success] : []))
      assert.lengthOf(servers, 1)
      for (const server of servers) assert.strictEqual(yield* value(server, "select 1"), 1)
      for (const result of results)
        if (result._tag === "Failure") assert.strictEqual(result.failure.reason._tag, "DataDirUnusable")
    })
  )

  it.effect("is whole when its set-up is interrupted while the files are moved to their place", () =>
    Effect.gen(function* () {
      const dataDir = yield* folder()
      const hasBegun = yield* Deferred.make<void>()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* beforeRename(async () => {
            Deferred.doneUnsafe(hasBegun, Effect.void)
            await new Promise((resolve) => setTimeout(resolve, 10))
          })
          const starting = yield* Effect.forkChild(Effect.scoped(start({ dataDir })))
          yield* Deferred.await(hasBegun)
          yield* Fiber.interrupt(starting)
          const names = yield* Effect.promise(() => Fs.readdir(dataDir))
          assert.includeMembers(names, ["PG_VERSION", "base", "effect-global-pool.password"])
          assert.notInclude(names, "effect-global-pool.made")
        })
      )
      assert.strictEqual(yield* value(yield* start({ dataDir }), "select 1"), 1)
    })
  )

  it.effect("that another start sets up in the meantime keeps that one's files", () =>
    Effect.gen(function* () {
      const dataDir = yield* folder()
      const make = (what: string) =>
        Effect.promise(async () => {
          const place = SetUp.place(dataDir)
          await Fs.mkdir(place, { recursive: true })
          for (const name of ["PG_VERSION", "password"]) await Fs.writeFile(Path.join(place, name), what)
          return place
        })
      const [quick, slow] = [yield* make("quick"), yield* make("slow")]
      let isQuicker = false
      yield* beforeRename(async (from) => {
        if (from !== slow || isQuicker) return
        isQuicker = true
        await SetUp.settle(dataDir, quick)
      })
      const refused = yield* Effect.flip(Effect.tryPromise(() => SetUp.settle(dataDir, slow)))
      assert.match(String(refused.cause), /another server has set it up meanwhile/)
      const read = (name: string) => Fs.readFile(Path.join(dataDir, name), "utf8")
      assert.deepStrictEqual(yield* Effect.promise(() => Promise.all(["PG_VERSION", "password"].map(read))), [
        "quick",
        "quick"
      ])
      assert.sameMembers(yield* Effect.promise(() => Fs.readdir(dataDir)), ["PG_VERSION", "password"])
    })
  )

  it.effect("whose files another start takes for leftovers says that it was set up meanwhile", () =>
    Effect.gen(function* () {
      const dataDir = yield* folder()
      const slow = yield* Effect.forkScoped(failure({ dataDir }))
      const files = Effect.promise(() => Fs.readdir(dataDir, { recursive: true }).catch(() => []))
      yield* eventually("initdb is at work", files, (names) =>
        names.some((name) => name.endsWith("PG_VERSION"))
      )
      // A second has come to its end, and a third begins.
      yield* Effect.promise(() => Fs.writeFile(Path.join(dataDir, "PG_VERSION"), "18\n"))
      assert.strictEqual(yield* Effect.promise(() => SetUp.versionIn(dataDir)), "18")
      const error = yield* Fiber.join(slow)
      assert.include(error.message, "another server has set it up meanwhile")
      assert.strictEqual(error.reason._tag, "DataDirUnusable")
      assert.deepStrictEqual(yield* Effect.promise(() => Fs.readdir(dataDir)), ["PG_VERSION"])
    })
  )

  it.effect("is as it was when its set-up is interrupted", () =>
    Effect.gen(function* () {
      const dataDir = yield* folder()
      const entries = Effect.promise(() => Fs.readdir(dataDir))
      const fiber = yield* Effect.forkScoped(Effect.scoped(start({ dataDir })))
      yield* eventually("it is being set up", entries, (names) => names.length > 0)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* entries, [])
      yield* Effect.scoped(start({ dataDir }))
    })
  )
})
