/**
 * The parameters of a bulk statement: each is one column of many rows, encoded as one array.
 */
import * as Result from "effect/Result"
import type { PoolError } from "../errors/PoolError.ts"
import { refused } from "../errors/PoolError.ts"
import { encodeColumn } from "../types/ArrayColumn.ts"
import { encodeValue } from "../types/Parameters.ts"
import type { WireValue } from "../types/PgType.ts"
import type { TypeMap } from "../types/TypeMap.ts"
import { shown } from "./CheckInput.ts"

/** One column of many rows. */
export interface ColumnParam {
  readonly column: string
  /** The OID of the column's type; a domain's is the type beneath it. 0 where it is not known. */
  readonly type: number
  /** Whether the values travel as texts, cast one by one: the values are arrays, and arrays of arrays would be flattened. */
  readonly asTexts: boolean
  readonly values: ReadonlyArray<unknown>
  /** The number of each value's row in the whole call. */
  readonly rows: ReadonlyArray<number>
}

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

/** The column and the rows of a parameter, for messages. */
export const describe = ({ column, rows }: ColumnParam): string =>
  `the column ${JSON.stringify(column)} of rows ${rows[0]} to ${rows.at(-1)}`

/** The types that have to be known before `bind`. */
export const typesOf = (params: ReadonlyArray<ColumnParam>): ReadonlyArray<number> =>
  params.map(({ type }) => type).filter((type) => type !== 0)

/** The parameters as they are sent; `place` is the call as a message names it. */
export const bind = (
  types: TypeMap,
  params: ReadonlyArray<ColumnParam>,
  place: string
): Result.Result<ReadonlyArray<WireValue>, PoolError> => {
  const bound: Array<WireValue> = []
  for (const param of params) {
    const number = bound.length + 1
    const one = param.asTexts
      ? bindTexts(types, param, number, place)
      : encodeColumn(types, param.values, param.type, number)
    if (Result.isFailure(one)) {
      return Result.fail(param.asTexts ? one.failure : locate(types, param, number, place, one.failure))
    }
    bound.push(one.success)
  }
  return Result.succeed(bound)
}
