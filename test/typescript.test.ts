/**
 * What compiles over generated types and what does not: by the compiler of this package, and by those that its users have,
 * whose folders TYPESCRIPT names.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { check, compilers, Declarations, nameOf, program, source, usingMany } from "./support/typescript.ts"

const [own = ""] = compilers

layer(Declarations.layer, { timeout: "2 minutes" })("generated types", (it) => {
  for (const compiler of compilers) {
    for (const exactOptionalPropertyTypes of [true, false]) {
      const exactly = exactOptionalPropertyTypes ? "exact" : "loose"
      it.effect(
        `${nameOf(compiler)} with ${exactly} optional properties takes what fits and refuses each thing that does not`,
        () =>
          Effect.gen(function* () {
            const { declared, output } = yield* check(compiler, program, { exactOptionalPropertyTypes })
            assert.strictEqual(output, "")
            assert.include(declared, "export declare const authors: PG.Table<")
          }),
        120_000
      )
    }
  }

  it.effect(
    "errors of the compiler name the column, the table and the value",
    () =>
      Effect.gen(function* () {
        const about = (line: string) => `import { PG } from "effect-global-pool"
import type { Tables } from "./db.ts"
const pgdb = PG.make<Tables>("postgres://localhost/app")
${line}`
        const { output } = yield* check(own, {
          "db.ts": source("db.ts"),
          "missing.ts": about('pgdb.table("authors").insert({ email: "a" })'),
          "unknown.ts": about('pgdb.table("posts").update({}, { slug: "a" })'),
          "table.ts": about('pgdb.table("author")'),
          "enum.ts": about('pgdb.table("authors").insert({ email: "a", name: "b", role: "editor" })')
        })
        assert.match(output, /missing\.ts.*Property 'name' is missing .* required in type 'AuthorsInsert'/)
        assert.match(output, /unknown\.ts.*'slug' does not exist in type/)
        assert.match(output, /table\.ts.*'"author"' is not assignable to .*"authors"/)
        assert.match(
          output,
          /enum\.ts.*Type '"editor"' is not assignable to type '(Role|"reader" \| "author")/
        )
      }),
    120_000
  )

  it.effect(
    "a program over 300 tables compiles",
    () =>
      Effect.gen(function* () {
        for (const compiler of compilers) {
          const many = yield* check(compiler, usingMany(300))
          assert.strictEqual(many.output, "", compiler)
        }
      }),
    120_000
  )
})
