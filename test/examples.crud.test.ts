/** The example over generated types: its file is what the command writes, and the server does what it says. */
import { readFileSync } from "node:fs"
import * as Path from "node:path"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { PoolRegistry } from "effect-global-pool"
import * as TypesCommand from "../src/cli/TypesCommand.ts"
import { database } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { ask, json } from "./support/http.ts"
import { loader, program, root } from "./support/process.ts"

const fileOf = (name: string) => readFileSync(Path.join(root, "examples", "crud", name), "utf8")

withDatabase("examples/crud/db.ts is what the command writes for examples/crud/schema.sql", [], ({ pgdb }) =>
  Effect.gen(function* () {
    yield* pgdb.script(fileOf("schema.sql"), { name: "schema.sql" })
    const { text } = yield* TypesCommand.fileOf(pgdb, {
      schemas: ["public"],
      partitions: false,
      effectSchema: false,
      int8: "number",
      timestamp: "date",
      names: "as-is",
      replaced: {}
    })
    assert.strictEqual(text, fileOf("db.ts"))
    assert.strictEqual(
      text,
      readFileSync(Path.join(root, "test", "typescript", "db.ts"), "utf8"),
      "the types that the compilers are tried on"
    )
  })
)

it.live("examples/crud.ts creates, reads, changes and deletes, and says what is wrong with a request", () =>
  Effect.gen(function* () {
    const { sessions, url } = yield* database()
    const running = yield* program("examples/crud.ts", {
      env: { DATABASE_URL: url, PORT: "0", NO_COLOR: "1" },
      node: ["--import", loader]
    })
    const [, address = ""] = yield* running.prints(/Listening on (\S+)/)
    const ada = { email: "ada@example.org", name: "Ada" }
    const registered = yield* ask(`${address}/authors`, { body: ada })
    assert.strictEqual(registered.status, 201)
    assert.include(json<object>(registered), { id: 1, ...ada, role: "reader" })
    assert.strictEqual((yield* ask(`${address}/authors`, { body: ada })).status, 409)
    assert.strictEqual((yield* ask(`${address}/authors`, { body: { email: "x" } })).status, 400)

    const notes = { author: 1, title: "Notes", body: "On the Analytical Engine", tags: ["maths"] }
    const written = yield* ask(`${address}/posts`, { body: notes })
    assert.strictEqual(written.status, 201)
    const post = json<{ readonly id: string }>(written)
    const shown: object = post
    assert.deepInclude(shown, { ...notes, words: 4, views: 0, published: null })
    assert.strictEqual((yield* ask(`${address}/posts`, { body: { ...notes, author: 9 } })).status, 422)

    const here = `${address}/posts/${post.id}`
    assert.deepInclude(json<object>(yield* ask(here)), { views: 1 })
    assert.deepInclude(json<object>(yield* ask(here)), { views: 2 })
    const changed = yield* ask(here, { method: "PATCH", body: { title: "More notes" } })
    assert.deepStrictEqual(json<object>(changed), { id: post.id, title: "More notes", words: 4 })
    const published = yield* ask(`${here}/published`, { method: "POST" })
    assert.deepInclude(json<object>(published), { author: "Ada", title: "More notes", views: 2 })
    const list = json<ReadonlyArray<object>>(yield* ask(`${address}/posts?tag=maths&title=More`))
    assert.deepStrictEqual(list, [{ id: post.id, title: "More notes", tags: ["maths"], words: 4 }])
    assert.deepStrictEqual(json(yield* ask(`${address}/posts?tag=history`)), [])
    assert.strictEqual((yield* ask(here, { method: "DELETE" })).status, 200)
    assert.strictEqual((yield* ask(here)).status, 404)
    assert.strictEqual((yield* ask(`${address}/posts/1`)).status, 404)

    yield* running.signal("SIGTERM")
    yield* running.exitWithin("10 seconds")
    assert.deepStrictEqual(yield* sessions, [])
  }).pipe(Effect.provide(PoolRegistry.layer()))
)
