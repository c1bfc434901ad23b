/** A script's first row through `pg-promise`. */
import pgPromise from "pg-promise"
import { target, text } from "./script.ts"

const { username: user, ...where } = target
const db = pgPromise()({ ...where, user })
console.log(await db.any(text, [1]))
await db.$pool.end()
