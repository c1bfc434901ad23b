/**
 * A column of values as one array parameter, for `insert … select * from unnest($1::int4[], $2::text[])`: in binary for the
 * usual types, which is fastest, else as text.
 */
import type * as Result from "effect/Result"
import type { PoolError } from "../errors/PoolError.ts"
import { putArray, writerOf } from "./BinaryWriter.ts"
import { arrayLiteral } from "./Literal.ts"
import { encoding, refusal } from "./Parameters.ts"
import type { WireValue } from "./PgType.ts"
import * as Sink from "./Sink.ts"
import type { TypeLookup } from "./TypeLookup.ts"

/** The column in binary, or `undefined` where its type or one of its values is no plain case. */
const binaryColumn = (
  types: TypeLookup,
  values: ReadonlyArray<unknown>,
  oid: number
): Uint8Array | undefined => {
  const type = types.typeOf(oid)
  const isPlain = type?.kind === "base" && type.array !== 0 && types.codecOf(oid) === undefined
  const write = isPlain ? writerOf(types, oid) : undefined
  if (write === undefined) return undefined
  const sink = Sink.make(1024 + values.length * 24)
  return putArray(sink, values, oid, write) ? sink.bytes.subarray(0, sink.at) : undefined
}

/** A column of values as one array parameter for `unnest($n::T[])`; `number` is for messages. */
export const encodeColumn = (
  types: TypeLookup,
  values: ReadonlyArray<unknown>,
  oid: number,
  number: number
): Result.Result<WireValue, PoolError> =>
  encoding(
    types,
    (writing) => binaryColumn(types, values, oid) ?? arrayLiteral(writing, values, oid),
    (problem) => refusal(problem, number)
  )
