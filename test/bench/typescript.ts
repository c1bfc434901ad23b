/**
 * What 300 tables of twenty columns cost a compiler more than three: `npx tsx test/bench/typescript.ts`. TYPESCRIPT names more compilers.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { check, compilers, Declarations, nameOf, usingMany } from "../support/typescript.ts"

const measure = Effect.gen(function* () {
  for (const compiler of compilers) {
    const few = yield* check(compiler, usingMany(3))
    const many = yield* check(compiler, usingMany(300, 3))
    const all = yield* check(compiler, usingMany(300))
    const [a, b, c] = [few, many, all].map(({ millis }) => (millis / 1000).toFixed(1))
    yield* Console.log(`${nameOf(compiler)}: 3 tables ${a} s, 300 tables ${b} s, all of them in use ${c} s`)
  }
})

Effect.runPromise(Effect.scoped(Effect.provide(measure, Declarations.layer)))
