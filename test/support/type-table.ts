/**
 * The type table of the documentation, one line per type, written from what a server answers.
 */
import * as Effect from "effect/Effect"
import type { PG } from "effect-global-pool"
import type { Typed } from "./typed.ts"
import { plans } from "./types.ts"

const shown = (value: unknown): string => {
  if (value === null) return "null"
  if (typeof value === "string")
    return value.length > 60 ? `${JSON.stringify(value.slice(0, 57))}…` : JSON.stringify(value)
  if (value instanceof Date) return `new Date("${value.toISOString()}")`
  if (value instanceof Uint8Array) return `Uint8Array [${value.subarray(0, 8).join(", ")}]`
  if (Array.isArray(value)) return `[${value.slice(0, 4).map(shown).join(", ")}]`
  if (typeof value !== "object") return String(value)
  return `{ ${Object.entries(value)
    .slice(0, 3)
    .map(([key, inner]) => `${JSON.stringify(key)}: ${shown(inner)}`)
    .join(", ")} }`
}

const named = (value: unknown): string => {
  if (value instanceof Date) return "Date"
  if (value instanceof Uint8Array) return "Uint8Array"
  if (Array.isArray(value)) return "Array"
  return value === null ? "null" : typeof value
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ")

/**
 * Every scalar, range and pseudo-type of `pg_catalog`: its name, its kinds of values in JavaScript, an example, and the
 * reason of the server where no session can produce a value. Arrays, domains and row types follow from these.
 */
export const typeTable: (session: Typed) => Effect.Effect<string, PG.OperationError> = Effect.fnUntraced(
  function* (session: Typed) {
    const { producible, unproducible } = yield* plans(
      session,
      (name) =>
        !name.startsWith("_") &&
        !/^pg_(?!lsn|snapshot|node_tree|ndistinct|dependencies|mcv_list|brin|ddl)/.test(name)
    )
    const lines: Array<string> = []
    for (const plan of producible.filter(({ name }) => name.startsWith("pg_catalog."))) {
      const values: Array<unknown> = []
      for (const expression of plan.expressions) {
        const [row] = yield* session.run(`select v from (select ${expression} as v) as _`)
        values.push(row?.v)
      }
      const kinds = [...new Set(values.map(named))].filter((kind) => kind !== "null").join(" or ")
      const example = values.find(
        (value) => value !== "" && value !== null && !(Array.isArray(value) && value.length === 0)
      )
      lines.push(
        `| ${cell(plan.name.slice("pg_catalog.".length).replaceAll('"', ""))} | ${kinds} | \`${cell(shown(example))}\` |`
      )
    }
    for (const { name, reason } of unproducible.filter(({ name }) => name.startsWith("pg_catalog."))) {
      lines.push(`| ${cell(name.slice("pg_catalog.".length).replaceAll('"', ""))} | none | ${cell(reason)} |`)
    }
    return ["| Postgres | JavaScript | for example |", "| --- | --- | --- |", ...lines.sort()].join("\n")
  }
)
