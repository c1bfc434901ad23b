/** A script's first row through `kysely`. */
import { Kysely, PostgresDialect } from "kysely"
import pg from "pg"
import { target } from "./script.ts"

const { username: user, ...where } = target
const dialect = new PostgresDialect({ pool: new pg.Pool({ ...where, user }) })
const db = new Kysely<{ readonly people: Record<"id" | "name" | "email" | "age", number | string> }>({
  dialect
})
console.log(
  await db.selectFrom("people").select(["id", "name", "email", "age"]).where("id", "=", 1).execute()
)
await db.destroy()
