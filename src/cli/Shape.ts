/**
 * What a value of a Postgres type is in JavaScript, as the pool reads it and takes it: one description, from which TypeScript's types
 * and Effect's schemas are written.
 */
import type { ResolvedSettings } from "../settings/Settings.ts"
import { camelOf } from "../statement/CamelCase.ts"
import { identifierOf, makeNames } from "./Identifiers.ts"
import type { Catalogue, Column, Table, Type } from "./ReadCatalogue.ts"

/** The settings that decide what values are, and what the program says of types and columns itself. */
export interface ShapeOptions extends Pick<ResolvedSettings, "int8" | "timestamp" | "names"> {
  /** What stands for a type, or a table's column, by its name: `numeric`, `users.data`. */
  readonly replaced: Readonly<Record<string, string>>
}

export type Plain = "boolean" | "number" | "bigint" | "string" | "Date" | "Uint8Array" | "unknown"

export type Shape =
  | { readonly tag: "plain"; readonly name: Plain }
  /** Texts by text, a text may be NULL. */
  | { readonly tag: "hstore" }
  /** Declared in the file. */
  | { readonly tag: "named"; readonly name: string }
  /** As the program says. */
  | { readonly tag: "given"; readonly text: string }
  | { readonly tag: "array"; readonly of: Shape }
  | { readonly tag: "nullable"; readonly of: Shape }
  | { readonly tag: "union"; readonly of: ReadonlyArray<Shape> }

export interface Field {
  readonly name: string
  readonly comment: string | null
  /** What comes out. */
  readonly out: Shape
  /** What goes in; `undefined` where nothing may. */
  readonly in: Shape | undefined
  /** Whether rows to be stored may lack it. */
  readonly isOptional: boolean
}

export interface Declared {
  readonly name: string
  readonly comment: string | null
}

/** What the file declares, in its order. */
export interface Shapes {
  readonly enums: ReadonlyArray<Declared & { readonly labels: ReadonlyArray<string> }>
  /** A composite stands behind those that it is made of. */
  readonly composites: ReadonlyArray<Declared & { readonly fields: ReadonlyArray<Field> }>
  readonly tables: ReadonlyArray<
    Declared & {
      /** As `pgdb.table` takes it. */
      readonly key: string
      /** The name of rows to be stored. */
      readonly insert: string
      readonly isInsertable: boolean
      readonly fields: ReadonlyArray<Field>
    }
  >
}

const plain = (name: Plain): Shape => ({ tag: "plain", name })
const nullable = (of: Shape): Shape => ({ tag: "nullable", of })
const union = (...names: ReadonlyArray<Plain>): Shape => ({ tag: "union", of: names.map(plain) })
const array = (of: Shape): Shape => ({ tag: "array", of })

const fixed: Readonly<Record<string, Shape>> = {
  bool: plain("boolean"),
  int2: plain("number"),
  int4: plain("number"),
  oid: plain("number"),
  float4: plain("number"),
  float8: plain("number"),
  bytea: plain("Uint8Array"),
  json: plain("unknown"),
  jsonb: plain("unknown"),
  record: array(plain("unknown")),
  int2vector: array(plain("number")),
  oidvector: array(plain("number"))
}

const extensions: Readonly<Record<string, Shape>> = {
  hstore_out: { tag: "hstore" },
  vector_out: array(plain("number"))
}

/** A name as `pgdb.table` reads it. */
const tableKey = ({ isVisible, name, schema }: Table): string => {
  const part = (name: string) => (/[".]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name)
  return isVisible ? part(name) : `${part(schema)}.${part(name)}`
}

/** What a table is called before a column in `replaced`: first as `pgdb.table` reads it, then with its schema. */
export const keysOf = (table: Table): readonly [string, string] => [
  tableKey(table),
  `${table.schema}.${table.name}`
]

const byName = (left: { readonly name: string }, right: { readonly name: string }): number =>
  left.name < right.name ? -1 : left.name > right.name ? 1 : 0

/** What the file declares for a catalogue. */
export const shapesOf = ({ tables, types }: Catalogue, options: ShapeOptions): Shapes => {
  const { int8, names: naming, replaced, timestamp } = options
  const take = makeNames()
  const visible = new Set(tables.filter(({ isVisible }) => isVisible).map(({ schema }) => schema))
  const full = (schema: string, name: string) => (visible.has(schema) ? name : `${schema}_${name}`)

  const tableNames = tables.map(({ name, schema }) => {
    const own = take(identifierOf(full(schema, name)))
    return { own, insert: take(`${own}Insert`) }
  })
  const typeNames = new Map<number, string>()
  for (const { isRow, kind, name, oid, schema } of types.values()) {
    if (kind !== "enum" && kind !== "composite") continue
    typeNames.set(oid, take(`${identifierOf(full(schema, name))}${isRow ? "Record" : ""}`))
  }

  const replacement = (...keys: ReadonlyArray<string>): Shape | undefined => {
    const key = keys.find((key) => Object.hasOwn(replaced, key))
    const text = key === undefined ? undefined : replaced[key]
    return text === undefined ? undefined : { tag: "given", text }
  }

  const baseShape = ({ name, output, schema }: Type, isIn: boolean): Shape => {
    if (schema === "pg_catalog") {
      if (name === "int8") {
        return isIn ? union("number", "bigint", "string") : plain(int8)
      }
      if (name === "numeric" && isIn) return union("string", "number", "bigint")
      if (name === "timestamp" || name === "timestamptz") {
        return isIn ? union("Date", "string") : plain(timestamp === "date" ? "Date" : "string")
      }
      return fixed[name] ?? plain("string")
    }
    return extensions[output] ?? plain("string")
  }

  const used = new Set<number>()
  const shapeOf = (oid: number, dimensions: number, isIn: boolean): Shape => {
    const type = types.get(oid)
    if (type === undefined) return plain("string")
    const own = replacement(`${type.schema}.${type.name}`, type.name)
    if (own !== undefined) return own
    switch (type.kind) {
      case "domain":
        return shapeOf(type.of, type.dimensions, isIn)
      case "array": {
        let shape = shapeOf(type.of, 0, isIn)
        for (let depth = Math.max(1, dimensions); depth > 0; depth--)
          shape = array(depth === dimensions || dimensions < 2 ? nullable(shape) : shape)
        return shape
      }
      case "enum":
      case "composite":
        used.add(oid)
        return { tag: "named", name: typeNames.get(oid) ?? "unknown" }
      default:
        return baseShape(type, isIn)
    }
  }

  const domains = (oid: number): ReadonlyArray<Type> => {
    const type = types.get(oid)
    return type?.kind === "domain" ? [type, ...domains(type.of)] : []
  }

  const fieldOf = (column: Column, keys: ReadonlyArray<string>): Field => {
    const above = domains(column.type)
    const isNullable = column.isNullable && !above.some(({ isNotNull }) => isNotNull)
    const own = replacement(...keys.map((key) => `${key}.${column.name}`))
    const shape = (isIn: boolean) => {
      const bare = own ?? shapeOf(column.type, column.dimensions, isIn)
      return isNullable || (column.mayHoldNull && !isIn) ? nullable(bare) : bare
    }
    return {
      name: naming === "camel" ? camelOf(column.name) : column.name,
      comment: column.comment,
      out: shape(false),
      in: column.isWritable ? shape(true) : undefined,
      isOptional: isNullable || column.hasDefault || above.some(({ hasDefault }) => hasDefault)
    }
  }

  const shaped = tables.map((table, index) => {
    const keys = keysOf(table)
    const { own = "", insert = "" } = tableNames[index] ?? {}
    const fields = table.columns.map((column) => fieldOf(column, keys))
    return {
      name: own,
      insert,
      key: keys[0],
      comment: table.comment,
      isInsertable: table.isInsertable,
      fields
    }
  })

  const composites: Array<Shapes["composites"][number]> = []
  const done = new Set<number>()
  const declare = (oid: number): void => {
    const type = types.get(oid)
    if (type === undefined || done.has(oid)) return
    done.add(oid)
    if (type.kind === "array" || type.kind === "domain") declare(type.of)
    if (type.kind !== "composite") return
    // What its attributes name is declared before it.
    const fields = type.attributes.map((attribute): Field => {
      const shape = (isIn: boolean) => nullable(shapeOf(attribute.type, attribute.dimensions, isIn))
      return { ...attribute, out: shape(false), in: shape(true), isOptional: false }
    })
    for (const attribute of type.attributes) declare(attribute.type)
    if (used.has(oid)) composites.push({ name: typeNames.get(oid) ?? "", comment: type.comment, fields })
  }
  for (const oid of Array.from(used)) declare(oid)

  const enums = Array.from(types.values())
    .filter(({ oid }) => used.has(oid) && types.get(oid)?.kind === "enum")
    .map(({ comment, labels, oid }) => ({ name: typeNames.get(oid) ?? "", comment, labels }))
  return { enums: enums.sort(byName), composites, tables: shaped }
}
