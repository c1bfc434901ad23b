/**
 * The type table says something of every type that the server's catalogue has.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { database } from "./support/database.ts"
import { typeTable } from "./support/type-table.ts"
import { typed } from "./support/typed.ts"
import { schema } from "./support/types.ts"

it.effect("every base type, range and pseudo-type has its line in the type table of docs/types.md", () =>
  Effect.gen(function* () {
    const db = yield* database()
    yield* schema(db.witness)
    const session = yield* typed(db.settings)
    const table = yield* typeTable(session)
    const rows = yield* session.run(
      `select typname as name from pg_type where typnamespace = 'pg_catalog'::regnamespace and typtype in ('b', 'r', 'm')
        and not (typtype = 'b' and typoutput = 'array_out'::regproc)`
    )
    const lines = table.split("\n").map((line) => line.split(" | ")[0])
    for (const { name } of rows) expect(lines).toContain(`| ${String(name)}`)
    const [version] = yield* session.run("select current_setting('server_version_num')::int / 10000 as major")
    // Other versions have other types; the table in docs/types.md is that of the embedded server.
    if (version?.major === 18) {
      const block = `<!-- types -->\n<details><summary>Every type, as a test reads it</summary>\n\n${table.trim()}\n\n</details>\n<!-- /types -->`
      const page = readFileSync("docs/types.md", "utf8")
      if (process.env.UPDATE_DOCS !== undefined) {
        writeFileSync(
          "docs/types.md",
          page.replace(/<!-- types -->[\s\S]*<!-- \/types -->/, () => block)
        )
      } else expect(page).toContain(block)
    }
    expect(table).toContain('| date | string | `"infinity"` |')
    expect(table).toMatch(/\| aclitem \| string \| `"[^"]+"` \|/)
    expect(table).toContain("| int2vector | Array | ")
    expect(table).toContain("| anyrange | none | cannot accept a value of type anyrange |")
  })
)
