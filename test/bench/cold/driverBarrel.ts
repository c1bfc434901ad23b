/** A script's first row through the driver's own client, by barrel imports. */
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted } from "effect"
import { target, text } from "./script.ts"

const layer = PgClient.layer({ ...target, password: Redacted.make(target.password) })
const program = Effect.flatMap(PgClient.PgClient, (sql) => sql.unsafe(text, [1]))
console.log(await Effect.runPromise(Effect.provide(program, layer)))
