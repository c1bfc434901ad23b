/** A script's first row through `postgres`. */
import postgres from "postgres"
import { target } from "./script.ts"

const sql = postgres({ ...target })
console.log([...(await sql`select id, name, email, age from people where id = ${1}`)])
await sql.end()
