/** A script's first row through `pg`. */
import pg from "pg"
import { target, text } from "./script.ts"

const { username: user, ...where } = target
const pool = new pg.Pool({ ...where, user })
console.log((await pool.query(text, [1])).rows)
await pool.end()
