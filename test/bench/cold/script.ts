/** What the scripts share: where the server is, and the statement whose row they print. */
import type { Target } from "../data.ts"

export const target: Target = JSON.parse(process.env.BENCH_TARGET ?? "{}")
export const text = "select id, name, email, age from people where id = $1"
