/**
 * What an upsert is asked to do, checked; and which of its rows mean the same row of the table, found before anything is
 * sent, since the server names neither.
 */
import * as Result from "effect/Result"
import type { PoolError } from "../errors/PoolError.ts"
import { attempt, isPlain } from "../statement/PlainObject.ts"
import { oids } from "../types/BuiltinTypes.ts"
import { hex } from "../types/Bytes.ts"
import { literal, type Writing } from "../types/Literal.ts"
import type { TableShape } from "../types/TableShape.ts"
import { hasCodec, type TypeLookup } from "../types/TypeLookup.ts"
import * as Change from "./Change.ts"
import { described, optionsOf, reading, refusal, refuse, shown } from "./CheckInput.ts"
import * as Returning from "./Returning.ts"
import type { Parsed } from "./SqlBuilder.ts"
import type { Conflict } from "./Write.ts"

/** An upsert's options, checked. */
export interface Plan {
  readonly on: ReadonlyArray<string>
  /** `undefined` for all columns of the row that `on` does not name. */
  readonly update: ReadonlyArray<string> | undefined
  /** What changes in place of them. */
  readonly changes: ReadonlyArray<Change.Change> | undefined
  /** What does not change unless `update` says so. */
  readonly kept: ReadonlyArray<string>
  readonly returning: Returning.Columns
}

const names = (option: string, value: unknown, place: string): Parsed<ReadonlyArray<string>> => {
  const list: ReadonlyArray<unknown> = Array.isArray(value) ? Array.from(value) : [value]
  if (list.every((name) => typeof name === "string")) return Result.succeed(list)
  const what = Array.isArray(value) ? "an array that holds no names" : described(value)
  return refuse(place, `${option} is ${what}`, `Name the columns: { ${option}: ["id"] }.`)
}

const options = ["on", "update", "returning"]
const form = "{ on: the column with the unique index }"

export const parse = (asked: unknown, place: string): Parsed<Plan> =>
  reading(place, "the options", () =>
    Result.gen(function* () {
      const instead = "The options are on, update and returning."
      const given = yield* optionsOf(asked, options, place, form, instead)
      const { update } = given
      const on = "on" in given ? yield* names("on", given.on, place) : []
      if (on.length === 0) {
        const instead =
          'Name the columns of a unique index, which decide whether a row is there already: { on: ["id"] }.'
        return yield* refuse(place, "on names no column", instead)
      }
      const hasChanges = isPlain(update)
      return {
        on,
        update: update === undefined || hasChanges ? undefined : yield* names("update", update, place),
        changes: hasChanges ? yield* Change.parse(update, place) : undefined,
        kept: [],
        returning: yield* Returning.parse(given.returning, place)
      }
    })
  )

/**
 * What to do about a conflict for rows that have these columns; `row` names them in a message. A row that lacks a column of
 * `on` would get NULL or a default there, which means no row that is there, and so be stored anew without a word.
 */
export const conflict = (
  plan: Plan,
  columns: Iterable<string>,
  row: string,
  place: string
): Parsed<Conflict> => {
  const given = new Set(columns)
  const keyless = plan.on.find((name) => !given.has(name))
  if (keyless !== undefined) {
    const what = `${row} lacks column ${shown(keyless)}, which on names`
    const instead =
      "Give the row a value for it: it decides whether the row is there. To store a new row, insert it."
    return refuse(place, what, instead)
  }
  if (plan.changes !== undefined) return Result.succeed({ on: plan.on, update: plan.changes })
  if (plan.update === undefined) {
    for (const name of [...plan.on, ...plan.kept]) given.delete(name)
    return Result.succeed({ on: plan.on, update: [...given] })
  }
  const missing = plan.update.find((name) => !given.has(name))
  return missing === undefined
    ? Result.succeed({ on: plan.on, update: plan.update })
    : refuse(
        place,
        `update names column ${shown(missing)}, which ${row} lacks`,
        "Give the row a value for it, or leave it out of update."
      )
}

/** The plan for rows of which the schema makes some columns: one statement has one answer to which of them change. */
export const keeping = (
  plan: Plan,
  rows: ReadonlyArray<unknown>,
  keptOf: ((row: unknown) => ReadonlyArray<string>) | undefined,
  place: string
): Parsed<Plan> => {
  if (keptOf === undefined || plan.changes !== undefined || plan.update !== undefined)
    return Result.succeed(plan)
  const kept = keptOf(rows[0])
  const ofFirst = kept.join("\0")
  const other = rows.findIndex((row) => keptOf(row).join("\0") !== ofFirst)
  if (other === -1) return Result.succeed({ ...plan, kept })
  const what = `row ${other + 1} and row 1 leave other columns to the schema's defaults`
  return refuse(place, what, 'Name those that change in a row that is there: { update: ["name"] }.')
}

const integers: ReadonlySet<number> = new Set([oids.int2, oids.int4, oids.int8, oids.oid])

/** Digits without the zeros that say nothing. */
const canonical = (digits: string): string => {
  const whole = digits.replace(/^0+(?=\d)/, "")
  return whole.includes(".") ? whole.replace(/\.?0+$/, "") : whole
}

/** A key's part such that equal parts are equal to Postgres. Unequal parts may be equal to it too, in a type not known here. */
const partOf = (types: TypeLookup, value: unknown, type: number): string | undefined => {
  const isObject = typeof value === "object" && !(value instanceof Date || value instanceof Uint8Array)
  if (isObject || hasCodec(types, type)) {
    const writing: Writing = { types, problem: undefined }
    const text = literal(writing, value, type)
    return writing.problem === undefined ? `literal ${text}` : undefined
  }
  if (typeof value === "number" && type !== oids.numeric) {
    return `${Number.isInteger(value) ? "integer" : "number"} ${value}`
  }
  if (value instanceof Date) return `date ${value.getTime()}`
  if (value instanceof Uint8Array) return `bytes ${hex(value, 0, value.length)}`
  const text = String(value)
  if (integers.has(type) && /^[+-]?\d+$/.test(text)) {
    return `integer ${BigInt(text.replace("+", ""))}`
  }
  if (type === oids.uuid) return `uuid ${text.toLowerCase().replaceAll(/[{}-]/g, "")}`
  if (type === oids.numeric && /^\d+(\.\d+)?$/.test(text)) return `numeric ${canonical(text)}`
  return `${typeof value} ${text}`
}

/** The rows met so far by their key. */
export type Seen = Map<string, number>

/**
 * Says so when a row has the key of an earlier one. NULL equals nothing, and rows that are only added, never updated, may
 * repeat: the first is kept.
 */
export const repeated = (
  seen: Seen,
  plan: Plan,
  row: unknown,
  number: number,
  { columns, types }: TableShape,
  place: string
): PoolError | undefined => {
  if (plan.update?.length === 0 || !isPlain(row)) return undefined
  const parts: Array<string> = []
  for (const name of plan.on) {
    const value = Object.hasOwn(row, name) ? row[name] : undefined
    if (value === undefined || value === null) return undefined
    const part = attempt(() => partOf(types, value, columns.get(name)?.oid ?? 0), undefined)
    // What cannot be read is refused when it is encoded.
    if (part === undefined) return undefined
    parts.push(part)
  }
  const key = parts.length === 1 ? parts[0]! : JSON.stringify(parts)
  const earlier = seen.get(key)
  if (earlier === undefined) {
    seen.set(key, number)
    return undefined
  }
  const what = `row ${number} has the same ${plan.on.map(shown).join(", ")} as row ${earlier}`
  return refusal(place, what, "One upsert changes a row of the table once: keep one of the two.")
}
