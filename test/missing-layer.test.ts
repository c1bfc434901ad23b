/** The errors of a program that forgot to provide pools: the compiler's, and that of a run which was not compiled. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { complaints, written } from "./support/blocks.ts"
import { program, root } from "./support/process.ts"

const readme = readFileSync(join(root, "README.md"), "utf8").replaceAll(/\s+/g, " ")

const forgetful = `
import { Effect } from "effect"
import { PG } from "effect-global-pool"

Effect.runPromise(PG.make("postgres://localhost/app").selectValue("select 1")).catch((error) => console.log(error.message))
`

it.live("the compiler's words about missing pools are those of the README", () =>
  Effect.gen(function* () {
    const place = yield* written({ "forgetful.ts": forgetful })
    const compiler = "Type 'PoolRegistry' is not assignable to type 'never'"
    assert.include(yield* complaints(place), compiler)
    const running = yield* program(join(place, "forgetful.ts"))
    assert.deepStrictEqual(yield* running.exit, { code: 0, signal: null })
    const run = "Service not found: effect-global-pool/PoolRegistry"
    assert.strictEqual(running.stdout(), `${run}\n`)
    for (const words of [compiler, run]) assert.include(readme, `\`${words}\``)
  })
)
