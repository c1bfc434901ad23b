/** A script's first row through `slonik`. */
import { createPool, sql } from "slonik"
import { target } from "./script.ts"

const { host, port, username, password, database } = target
const pool = await createPool(`postgres://${username}:${password}@${host}:${port}/${database}`)
console.log(await pool.any(sql.unsafe`select id, name, email, age from people where id = ${1}`))
await pool.end()
