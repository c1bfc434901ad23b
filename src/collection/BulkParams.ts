/**
 * The parameters of a bulk statement: each is one column of many rows, encoded as one array.
 */
import * as Result from "effect/Result"
import type { PoolError } from "../errors/PoolError.ts"
import { refused } from "../errors/PoolError.ts"
import { encodeColumn } from "../types/ArrayColumn.ts"
import { encodeColumnValues } from "../types/ColumnValues.ts"
import { type Encoded, encodeValue, type One } from "../types/Parameters.ts"
import type { WireValue } from "../types/PgType.ts"
import type { TypeMap } from "../types/TypeMap.ts"
import { shown } from "./CheckInput.ts"

const ColumnParamId: unique symbol = Symbol("effect-global-pool/ColumnParam")

/** One column of many rows, or one value beside the rows. */
export interface ColumnParam {
  readonly [ColumnParamId]: true
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
}

export const columnParam = (param: Omit<ColumnParam, typeof ColumnParamId>): ColumnParam => ({
  [ColumnParamId]: true,
  ...param
})

export const isColumnParam = (value: unknown): value is ColumnParam =>
  typeof value === "object" && value !== null && ColumnParamId in value

const text = 25

/** The same error, with the row and the column that it is about. */
const located = (param: ColumnParam, index: number, place: string, error: PoolError): PoolError =>
  refused(`${place}, row ${param.rows[index]}, column ${shown(param.column)}: ${error.message}`)

/** Where one of the values cannot be written, which. */
const locate = (
  types: TypeMap,
  param: ColumnParam,
  number: number,
  place: string,
  error: PoolError
): PoolError => {
  for (let index = 0; index < param.values.length; index++) {
    const one = encodeValue(types, param.values[index], param.type, number)
    if (Result.isFailure(one)) return located(param, index, place, one.failure)
  }
  return error
}

const bindTexts = (
  types: TypeMap,
  param: ColumnParam,
  number: number,
  place: string
): Result.Result<WireValue, PoolError> => {
  const texts: Array<WireValue> = []
  for (let index = 0; index < param.values.length; index++) {
    const one = encodeValue(types, param.values[index], param.type, number)
    if (Result.isFailure(one)) return Result.fail(located(param, index, place, one.failure))
    texts.push(one.success)
  }
  return encodeColumn(types, texts, text, number)
}

/** One value, and the type that it is declared with: by its column, or by itself. */
const bindOne = (
  types: TypeMap,
  { column, type, values }: ColumnParam,
  place: string
): Result.Result<One, PoolError> => {
  const role = { column, role: type === 0 ? "given" : "stored" } as const
  return Result.map(encodeColumnValues(types, values, [type], [role], place), ({ types, values }) => ({
    type: types[0] ?? 0,
    value: values[0] ?? null
  }))
}

/** The column and the rows of a parameter, for messages. */
export const describe = ({ column, form, rows }: ColumnParam): string =>
  form === "one"
    ? `a value for ${column === "" ? "the update" : `the column ${JSON.stringify(column)}`}`
    : `the column ${JSON.stringify(column)} of rows ${rows[0]} to ${rows.at(-1)}`

/** The types that have to be known before `bind`. */
export const typesOf = (params: ReadonlyArray<ColumnParam>): ReadonlyArray<number> =>
  params.map(({ type }) => type).filter((type) => type !== 0)

/** The parameters as they are sent; `place` is the call as a message names it. */
export const bind = (
  types: TypeMap,
  params: ReadonlyArray<ColumnParam>,
  place: string
): Result.Result<Encoded, PoolError> => {
  const encoded = { types: [] as number[], values: [] as WireValue[] }
  for (const param of params) {
    const number = encoded.values.length + 1
    if (param.form === "one") {
      const one = bindOne(types, param, place)
      if (Result.isFailure(one)) return Result.fail(one.failure)
      encoded.types.push(one.success.type)
      encoded.values.push(one.success.value)
      continue
    }
    const asTexts = param.form === "texts"
    const one = asTexts
      ? bindTexts(types, param, number, place)
      : encodeColumn(types, param.values, param.type, number)
    if (Result.isFailure(one)) {
      return Result.fail(asTexts ? one.failure : locate(types, param, number, place, one.failure))
    }
    encoded.types.push(0)
    encoded.values.push(one.success)
  }
  return Result.succeed(encoded)
}
