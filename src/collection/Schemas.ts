/**
 * A table's `Schema` at work: whole rows are decoded and encoded by it, single columns by its fields.
 *
 * **Details**
 *
 * A schema with fields (a struct, branded or not, a class) serves rows that have only some of the columns, and the values in filters
 * and changes; its checks of several columns see the rows that have all that it requires. A union of those serves whole rows and
 * values. Of any other schema only whole rows can be encoded, and values in filters and changes are bound as given.
 * A model's variants serve what goes in: rows are made by `insert`, and changes have what `update` fills in.
 */
import * as Effect from "effect/Effect"
import { memoize } from "effect/Function"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { isJson, json } from "../statement/Json.ts"
import { attempt, isPlain } from "../statement/PlainObject.ts"
import type { Fields } from "./CheckInput.ts"
import type { At } from "./SchemaMismatch.ts"
import { ofRows, ofValue, ofValues, tell } from "./SchemaMismatch.ts"
import type { ColumnOf } from "./Types.ts"

/** What a table handle takes as its schema: it needs no services. */
type RowCodec<Row> = Schema.Codec<Row, unknown>

type ColumnSchema = Schema.Codec<unknown, unknown>

/** Values on their way between the caller and the statement. */
export interface Translation<Row, E> {
  /** The rows of a result; `columns` are those asked for, `undefined` for all. */
  readonly rows: (
    at: At,
    rows: ReadonlyArray<Fields>,
    columns?: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyArray<Row>, E>
  readonly stored: (at: At, rows: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<unknown>, E>
  /** A value to be compared with a column or assigned to it. */
  readonly value: (at: At, column: string, value: unknown) => Effect.Effect<unknown, E>
  /** A value that a column contains: as it is where it is a part that the schema does not take by itself. */
  readonly part: (column: string, value: unknown) => Effect.Effect<unknown>
  readonly values: <K extends ColumnOf<Row>>(
    at: At,
    column: K,
    values: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<Row[K]>, E>
  /** Columns that any change fills in, unless it names them, with their values. */
  readonly filled: Effect.Effect<ReadonlyArray<readonly [column: string, value: unknown]>, E>
  /** The columns that an upsert of this row leaves as they are in one that is there; `undefined` where there are none. */
  readonly kept: ((row: unknown) => ReadonlyArray<string>) | undefined
  /** Whether some of the columns can be read without the others. */
  readonly partial: boolean
}

/** Without a schema values pass as they are; the row type is the caller's word. */
export const trusting = <Row>(): Translation<Row, never> => ({
  rows: (_, rows: ReadonlyArray<unknown>) => Effect.succeed(rows as ReadonlyArray<Row>),
  stored: (_, rows) => Effect.succeed(rows),
  value: (_, _column, value) => Effect.succeed(value),
  part: (_column, value) => Effect.succeed(value),
  values: <K extends ColumnOf<Row>>(_: At, _column: K, values: ReadonlyArray<unknown>) =>
    Effect.succeed(values as ReadonlyArray<Row[K]>),
  filled: Effect.succeed([]),
  kept: undefined,
  partial: true
})

const isColumnSchema = (value: unknown): value is ColumnSchema => Schema.isSchema(value)

/** A struct's fields. A brand or a refinement of it has them in its AST alone. */
const fieldsOf = (schema: object): ReadonlyMap<string, ColumnSchema> | undefined => {
  const fields = new Map<string, ColumnSchema>()
  if ("fields" in schema && isPlain(schema.fields)) {
    for (const [name, field] of Object.entries(schema.fields))
      if (isColumnSchema(field)) fields.set(name, field)
    return fields
  }
  const ast = isColumnSchema(schema) ? schema.ast : undefined
  if (ast === undefined || !SchemaAST.isObjects(ast) || ast.encoding || ast.indexSignatures.length > 0)
    return undefined
  for (const { name, type } of ast.propertySignatures)
    if (typeof name === "string") fields.set(name, Schema.make<ColumnSchema>(type))
  return fields
}

/** The schema of each column alone: of a union of structs, one of those that its members have for it. */
const columnsOf = (schema: object): ReadonlyMap<string, ColumnSchema> | undefined => {
  const own = fieldsOf(schema)
  // A class may have static members of another kind.
  if (own !== undefined || !("members" in schema) || !Array.isArray(schema.members)) return own
  const known = schema.members.map((member: object) => columnsOf(member))
  if (known.includes(undefined)) return undefined
  const found = new Map<string, Set<ColumnSchema>>()
  for (const [name, field] of known.flatMap((columns) => Array.from(columns ?? [])))
    found.set(name, (found.get(name) ?? new Set()).add(field))
  return new Map(
    Array.from(found, ([name, [...all]]) => [name, all.length === 1 ? all[0]! : Schema.Union(all)])
  )
}

/** A model's schema for rows that are stored, or for changes. */
const variantOf = (schema: object, name: "insert" | "update"): ColumnSchema | undefined => {
  const variant: unknown = Reflect.get(schema, name)
  return isColumnSchema(variant) && fieldsOf(variant) !== undefined ? variant : undefined
}

const hasDefault = (field: ColumnSchema | undefined): boolean =>
  field?.ast.context?.constructorDefault !== undefined

/** Makes values by a schema, with its defaults, and encodes them. */
const making = <A, I>(schema: Schema.Codec<A, I>) => {
  const encode = Schema.encodeUnknownEffect(schema)
  return (given: (typeof schema)["~type.make.in"]): Effect.Effect<I, Schema.SchemaError> =>
    Effect.flatMap(
      Effect.mapError(
        schema.makeEffect(given, { parseOptions: { onExcessProperty: "error" } }),
        (issue) => new Schema.SchemaError(issue)
      ),
      encode
    )
}

/** Makes a thing when it is first used, and once. */
export const lazy = <A>(make: () => A): (() => A) => {
  let made: { readonly value: A } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

/** Columns asked for can come from outside; so many choices of them are kept. */
const mostChoices = 100

/** Only these columns of a row, each optional when `optional` says so. */
const some = (
  fields: ReadonlyMap<string, ColumnSchema>,
  columns: Iterable<string>,
  optional: boolean
): ColumnSchema => {
  const picked: Array<[string, ColumnSchema]> = []
  for (const column of columns) {
    const field = fields.get(column)
    if (field !== undefined) picked.push([column, optional ? Schema.optionalKey(field) : field])
  }
  return Schema.Struct(Object.fromEntries(picked))
}

const filtersOf = (check: SchemaAST.Check<unknown>): ReadonlyArray<SchemaAST.Filter<unknown>> =>
  check._tag === "Filter" ? [check] : check.checks.flatMap(filtersOf)

/** Rows to be stored, which may lack columns. What the schema says of a row as a whole holds for those that lack none. */
const storable = ({ ast }: ColumnSchema, fields: ReadonlyMap<string, ColumnSchema>): ColumnSchema => {
  const required = Array.from(fields).flatMap(([name, field]) =>
    field.ast.context?.isOptional ? [] : [name]
  )
  const isWhole = (row: unknown) =>
    typeof row === "object" && row !== null && required.every((name) => Object.hasOwn(row, name))
  // A class has those of the struct that it was made of.
  const checks = (ast.checks ?? ast.encoding?.[0]?.to.checks ?? []).flatMap(filtersOf)
  const [first, ...others] = checks.map(
    ({ aborted, annotations, run }) =>
      new SchemaAST.Filter<unknown>(
        (row, ast, options) => (isWhole(row) ? run(row, ast, options) : undefined),
        annotations,
        aborted
      )
  )
  const row = some(fields, fields.keys(), true)
  return first === undefined ? row : row.check(first, ...others)
}

const hasJson = (row: unknown): row is Fields =>
  isPlain(row) && attempt(() => Object.values(row).some(isJson), false)

const mapped = (row: Fields, map: (value: unknown, column: string) => unknown): Fields =>
  Object.fromEntries(Object.entries(row).map(([column, value]) => [column, map(value, column)]))

/** Encodes rows: of `PG.json(…)` the schema gets what is in it, and that is json again behind it. */
const encodingJson =
  <E>(encode: (rows: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<unknown>, E>): typeof encode =>
  (rows) => {
    if (!rows.some(hasJson)) return encode(rows)
    const bare = rows.map((row) =>
      hasJson(row) ? mapped(row, (one) => (isJson(one) ? one.value : one)) : row
    )
    return Effect.map(encode(bare), (encoded) =>
      encoded.map((row, index) => {
        const given = rows[index]
        return hasJson(given) && isPlain(row)
          ? mapped(row, (one, column) => (isJson(given[column]) ? json(one) : one))
          : row
      })
    )
  }

export const translating = <Row>(schema: RowCodec<Row>): Translation<Row, Schema.SchemaError> => {
  const fields = fieldsOf(schema)
  const columns = columnsOf(schema)
  const decodeRows = lazy(() => Schema.decodeUnknownEffect(Schema.Array(schema)))
  const insert = variantOf(schema, "insert")
  const update = variantOf(schema, "update")
  const encodeRows = lazy(() =>
    insert !== undefined
      ? making(Schema.Array(insert))
      : fields === undefined
        ? Schema.encodeUnknownEffect(Schema.Array(schema))
        : Schema.encodeUnknownEffect(Schema.Array(storable(schema, fields)), {
            onExcessProperty: "error"
          })
  )
  const decodingSome = (columns: ReadonlyArray<string>) =>
    Schema.decodeUnknownEffect(Schema.Array(some(fields ?? new Map(), columns, false)))
  const decoders = new Map<string, ReturnType<typeof decodingSome>>()
  const decoderOfSome = (columns: ReadonlyArray<string>) => {
    // No name of a column has a NUL in it: such a statement was refused.
    const key = columns.join("\0")
    const known = decoders.get(key)
    if (known !== undefined) return known
    if (decoders.size >= mostChoices) decoders.clear()
    const decoder = decodingSome(columns)
    decoders.set(key, decoder)
    return decoder
  }
  const updated = fieldsOf(update ?? {}) ?? new Map<string, ColumnSchema>()
  // A default that the row itself has as well is one of new rows.
  const filling = new Map(
    Array.from(updated).filter(([name, field]) => hasDefault(field) && !hasDefault(fields?.get(name)))
  )
  const fill = lazy(() =>
    filling.size === 0
      ? Effect.succeed([])
      : Effect.map(making(Schema.Struct(Object.fromEntries(filling)))({}), Object.entries<unknown>)
  )
  const never: Array<string> = []
  const unlessGiven: Array<string> = []
  for (const [name, field] of fieldsOf(insert ?? {}) ?? []) {
    if (update !== undefined && !updated.has(name)) never.push(name)
    else if (hasDefault(field) && !filling.has(name)) unlessGiven.push(name)
  }
  const kept = (row: unknown) => {
    const isGiven = (name: string) =>
      typeof row === "object" &&
      row !== null &&
      attempt(() => Reflect.get(row, name), undefined) !== undefined
    return [...never, ...unlessGiven.filter((name) => !isGiven(name))]
  }
  const encoderOf = memoize((field: ColumnSchema) => Schema.encodeUnknownEffect(field))
  // What the schema knows nothing of would be left out, and more rows found.
  const partEncoderOf = memoize((field: ColumnSchema) =>
    Schema.encodeUnknownEffect(field, { onExcessProperty: "error" })
  )
  /** A value of a column; of `PG.json(…)` the schema gets what is in it. */
  const encoded = (by: typeof encoderOf, column: string, value: unknown) => {
    const field = columns?.get(column)
    if (field === undefined) return Effect.succeed(value)
    // Some make undefined of what they read from NULL.
    return isJson(value)
      ? Effect.map(by(field)(value.value), json)
      : Effect.map(by(field)(value), (encoded) => encoded ?? null)
  }
  const decoderOf = memoize((field: ColumnSchema) => Schema.decodeUnknownEffect(Schema.Array(field)))
  return {
    rows: (at, rows, columns) =>
      Effect.mapError(
        columns === undefined || fields === undefined
          ? decodeRows()(rows)
          : Effect.map(decoderOfSome(columns)(rows), (decoded) => decoded as ReadonlyArray<Row>),
        tell(at, "out", ofRows)
      ),
    stored: (at, rows) => Effect.mapError(encodingJson(encodeRows())(rows), tell(at, "in", ofRows)),
    value: (at, column, value) =>
      Effect.mapError(encoded(encoderOf, column, value), tell(at, "in", ofValue(column))),
    part: (column, value) => Effect.orElseSucceed(encoded(partEncoderOf, column, value), () => value),
    values: <K extends ColumnOf<Row>>(at: At, column: K, values: ReadonlyArray<unknown>) => {
      const field = columns?.get(column)
      const decoded = field === undefined ? Effect.succeed(values) : decoderOf(field)(values)
      return Effect.map(
        Effect.mapError(decoded, tell(at, "out", ofValues(column))),
        (decoded) => decoded as ReadonlyArray<Row[K]>
      )
    },
    filled: Effect.suspend(() => fill()),
    kept: never.length + unlessGiven.length === 0 ? undefined : kept,
    partial: fields !== undefined
  }
}
