/** A script's first row through this package. */
import * as Effect from "effect/Effect"
import { PG } from "../../../src/index.ts"
import { target, text } from "./script.ts"

const people = PG.make(target).table("people")
console.log(await Effect.runPromise(people.run((table) => table.select(text, [1]))))
