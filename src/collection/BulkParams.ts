/**
 * The parameters of a bulk statement: each is one column of many rows, encoded as one array.
 */
import * as Data from "effect/Data"
import * as Iterable from "effect/Iterable"
import * as Result from "effect/Result"
import type { PoolError } from "../errors/PoolError.ts"
import { refused } from "../errors/PoolError.ts"
import type { Tell } from "../execute/Job.ts"
import { encodeColumn } from "../types/ArrayColumn.ts"
import { oids } from "../types/BuiltinTypes.ts"
import { encodeParameters } from "../types/ColumnValues.ts"
import { type Encoded, encodeValue, type One } from "../types/Parameters.ts"
import type { WireValue } from "../types/PgType.ts"
import { builtinLookup, hasCodec, type TypeLookup } from "../types/TypeLookup.ts"
import { shown } from "./CheckInput.ts"

/** One column of many rows, or one value beside the rows. */
export class ColumnParam extends Data.Class<{
  readonly column: string
  /** The OID of the column's type; a domain's is the type beneath it. 0 where it is not known. */
  readonly type: number
  /**
   * How the values travel: as an array; as texts, cast one by one, since they are arrays themselves and arrays of arrays would be
   * flattened; or as the one value that it is.
   */
  readonly form: "array" | "texts" | "one"
  readonly values: ReadonlyArray<unknown>
  /** The number of each value's row in the whole call. */
  readonly rows: ReadonlyArray<number>
}> {}

/** Each of the values by itself, up to the first that cannot be written: its error says in which row and column it is. */
const bindEach = (
  types: TypeLookup,
  { column, rows, type, values }: ColumnParam,
  number: number,
  place: string
): Result.Result<ReadonlyArray<WireValue>, PoolError> =>
  Result.all(
    Iterable.map(values, (value, index) =>
      Result.mapError(encodeValue(types, value, type, number), ({ message }) =>
        refused(`${place}, row ${rows[index]}, column ${shown(column)}: ${message}`)
      )
    )
  )

/** The values as one array, of texts where the array's own type cannot be. */
const bindArray = (
  types: TypeLookup,
  param: ColumnParam,
  number: number,
  place: string
): Result.Result<WireValue, PoolError> => {
  if (param.form === "texts") {
    return Result.flatMap(bindEach(types, param, number, place), (texts) =>
      encodeColumn(builtinLookup, texts, oids.text, number)
    )
  }
  return Result.orElse(encodeColumn(types, param.values, param.type, number), (error) =>
    Result.flatMap(bindEach(types, param, number, place), () => Result.fail(error))
  )
}

/** One value, and the type that it is declared with: by its column, or by itself. */
const bindOne = (
  types: TypeLookup,
  { column, type, values }: ColumnParam,
  place: string
): Result.Result<One, PoolError> => {
  const role = { column, role: type === 0 ? "given" : "stored" } as const
  return Result.map(encodeParameters(types, values, [type], [role], place), ({ types, values }) => ({
    type: types[0] ?? 0,
    value: values[0] ?? null
  }))
}

/** The column and the rows of a parameter, for messages. */
export const describe = ({ column, form, rows }: ColumnParam): string =>
  form === "one"
    ? `a value for ${column === "" ? "the update" : `the column ${JSON.stringify(column)}`}`
    : `the column ${JSON.stringify(column)} of rows ${rows[0]} to ${rows.at(-1)}`

/**
 * Says of an error what `tell` does, and has its texts hide the values beside the rows, too; all values where a codec has made of
 * them what is not known here.
 */
export const hiding = (types: TypeLookup, tell: Tell, params: ReadonlyArray<ColumnParam>): Tell => {
  const beside = params.flatMap(({ form, values }) => (form === "one" ? values : []))
  const isCoded = params.some(({ type }) => hasCodec(types, type))
  return (fields) => {
    const about = tell(fields)
    const given = isCoded ? undefined : about.params
    return { ...about, params: given === undefined ? undefined : [...given, ...beside] }
  }
}

/** The parameters as they are sent; `place` is the call as a message names it. */
export const bind = (
  types: TypeLookup,
  params: ReadonlyArray<ColumnParam>,
  place: string
): Result.Result<Encoded, PoolError> => {
  const all = params.map((param, index) =>
    param.form === "one"
      ? bindOne(types, param, place)
      : Result.map(bindArray(types, param, index + 1, place), (value): One => ({ type: 0, value }))
  )
  return Result.map(Result.all(all), (bound) => ({
    types: bound.map(({ type }) => type),
    values: bound.map(({ value }) => value)
  }))
}
