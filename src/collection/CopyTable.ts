/**
 * `COPY` of a table: its options, checked and written.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { OperationError } from "../errors/PoolError.ts"
import { quote } from "../statement/Names.ts"
import { listOf } from "../types/Catalogue.ts"
import { ownText } from "../types/Parameters.ts"
import { described, optionsOf, refuse } from "./CheckInput.ts"
import type { Condition } from "./Filter.ts"
import { where } from "./FilterSql.ts"
import { parseColumns } from "./Find.ts"
import * as SqlBuilder from "./SqlBuilder.ts"
import type { TableBackend } from "./TableBackend.ts"
import type { CopyFromOptions, CopyToOptions } from "./Types.ts"

const formats: ReadonlySet<unknown> = new Set(["csv", "text", "binary"])
const headers: ReadonlySet<unknown> = new Set([true, false, "match"])

/** A text as SQL has it, whatever the session says of backslashes. */
const literal = (text: string): string => `E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`

/** One of `COPY`'s own options as it is written, or what it has to be. */
const written = (name: string, value: unknown): Result.Result<string, string> => {
  if (name === "format") {
    return formats.has(value) ? Result.succeed(`format ${value}`) : Result.fail('"csv", "text" or "binary"')
  }
  if (name === "header") {
    return headers.has(value) ? Result.succeed(`header ${value}`) : Result.fail('true, false or "match"')
  }
  return typeof value === "string" && !value.includes("\0")
    ? Result.succeed(`${name} ${literal(value)}`)
    : Result.fail("a text")
}

const own: ReadonlyArray<string> = ["format", "header", "delimiter", "quote", "null", "encoding"]

/** The options of a call, written as `COPY` takes them. */
const textsOf = (options: object, others: ReadonlyArray<string>, place: string): SqlBuilder.Parsed<string> =>
  Result.gen(function* () {
    const texts = new Map([["format", "format csv"]])
    const given = yield* optionsOf(options, [...own, ...others], place, "{ format, header, … }")
    for (const [name, value] of Object.entries(given)) {
      if (value === undefined || others.includes(name)) continue
      const text = written(name, value)
      if (Result.isFailure(text)) {
        const what = `the option ${name} is ${typeof value === "string" ? "an unknown text" : described(value)}`
        return yield* refuse(place, what, `It is ${text.failure}.`)
      }
      texts.set(name, text.success)
    }
    return [...texts.values()].join(", ")
  })

const columnsOf = (builder: SqlBuilder.SqlBuilder, columns: unknown): string | undefined => {
  if (columns === undefined) return undefined
  const names = parseColumns("columns", columns, builder.place)
  if (Result.isSuccess(names)) return SqlBuilder.columns(builder, names.success)
  builder.problem ??= names.failure
  return undefined
}

const isUtf8 = (encoding: string | undefined): boolean =>
  encoding === undefined || /^utf-?8$|^unicode$/i.test(encoding)

/** Loads a stream of bytes or texts into a table. */
export const copyFrom = <A, E, R, E2, R2>(
  table: TableBackend<A, E, R>,
  data: Stream.Stream<Uint8Array | string, E2, R2>,
  options: CopyFromOptions<A>
): Effect.Effect<number, E2 | OperationError, R | R2> => {
  const { place } = table
  const statement = Result.flatMap(textsOf(options, ["columns", "onProgress"], place), (texts) =>
    SqlBuilder.statement(table, (builder) => {
      const columns = columnsOf(builder, options.columns)
      const into = columns === undefined ? builder.table : `${builder.table} (${columns})`
      return `copy ${into} from stdin (${texts})`
    })
  )
  if (Result.isFailure(statement)) return Effect.fail(statement.failure)
  return table.copyIn(statement.success, data, {
    place,
    takesText: isUtf8(options.encoding),
    onProgress: options.onProgress
  })
}

/** What the catalogue says of a table: whether all of its rows are its own, and the columns that are stored. */
const lookQuery = `
select c.relkind = 'r' and not c.relhassubclass as plain, (
  select pg_catalog.json_agg(a.attname order by a.attnum)::pg_catalog.text from pg_catalog.pg_attribute a
  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
) as names from pg_catalog.pg_class c where c.oid = pg_catalog.to_regclass($1)`

interface Stored {
  readonly isPlain: boolean
  readonly names: ReadonlyArray<string>
}

/** Where there is no such table, the server says so itself. */
const noTable: Stored = { isPlain: true, names: [] }

const look = <A, E, R>({
  askCatalogue,
  table
}: TableBackend<A, E, R>): Effect.Effect<Stored, OperationError, R> =>
  Effect.map(askCatalogue({ text: lookQuery, params: [ownText(table)] }), ({ rows: [row] }) => {
    const { names, plain } = row ?? {}
    const parsed: unknown = typeof names === "string" ? JSON.parse(names) : []
    return row === undefined ? noTable : { isPlain: plain === true, names: listOf(parsed).map(String) }
  })

/**
 * The statement that gives a table's data. A plain table is read without a query, which is faster; what Postgres does not copy
 * so, or would copy only in part, goes through one.
 */
const outOf = (
  builder: SqlBuilder.SqlBuilder,
  { isPlain, names: stored }: Stored,
  condition: Condition | undefined,
  columns: unknown,
  texts: string
): string => {
  const names = columnsOf(builder, columns) ?? stored.map(quote).join(", ")
  const list = names === "" ? "" : ` (${names})`
  return condition === undefined && isPlain
    ? `copy ${builder.table}${list} to stdout (${texts})`
    : `copy (select ${names} from ${builder.table}${condition === undefined ? "" : where(builder, condition)}) to stdout (${texts})`
}

/** A table's data as a stream of bytes. */
export const copyTo = <A, E, R>(
  table: TableBackend<A, E, R>,
  { columns, filter: _filter, onProgress, ...options }: CopyToOptions<A>,
  condition: Condition | undefined
): Stream.Stream<Uint8Array, OperationError, R> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const texts = yield* Effect.fromResult(textsOf(options, [], table.place))
      const stored = yield* look(table)
      const statement = SqlBuilder.statement(table, (builder) =>
        outOf(builder, stored, condition, columns, texts)
      )
      const data = table.copyOut(yield* Effect.fromResult(statement))
      if (onProgress === undefined) return data
      let bytes = 0
      return Stream.tap(data, (piece) =>
        Effect.sync(() => {
          bytes += piece.length
          onProgress({ bytes })
        })
      )
    })
  )
