/**
 * Postgres values to JavaScript values and back, one `Codec` per pool, shared by its connections.
 *
 * The driver reads through the registry of this codec. Its own readers stay where they give what is promised; all other
 * types are read here. A reader never fails, since the driver would end the connection after the statement took effect: what
 * it cannot read it leaves as a marker and counts, and `settle` puts that right once the rows are there.
 */

import type * as PgConnection from "@effect/sql-pg/PgConnection"
import * as PgTypes from "@effect/sql-pg/PgTypes"
import type * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { SqlError } from "effect/sql/SqlError"
import type { PoolError } from "../PoolError.ts"
import { copy } from "./Bytes.ts"
import type { Query } from "./Catalogue.ts"
import * as Catalogue from "./Catalogue.ts"
import type { Batch } from "./Expected.ts"
import * as Expected from "./Expected.ts"
import * as Parameters from "./Parameters.ts"
import { registerBuiltins } from "./Scalars.ts"
import type { CodecOptions, Reader, Session } from "./Session.ts"
import { makeSession, readerOf } from "./Session.ts"
import * as Settle from "./Settle.ts"

export type { Query } from "./Catalogue.ts"
export type { Batch } from "./Expected.ts"
export type { CodecOptions } from "./Session.ts"

export interface Codec {
  /** Given to every driver connection of the pool. */
  readonly registry: PgTypes.Registry
  /** Asks for the types of users, the time zone and the format of money, in one query. For a pool's first connection. */
  readonly learn: (query: Query) => Effect.Effect<void, SqlError>
  /** A statement changed types: what is known of them may be stale, and is asked for again when it is needed. */
  readonly forget: () => void
  /** Before rows of these types are read: makes sure that each has a reader. */
  readonly meet: (oids: ReadonlyArray<number>) => void
  /** How many values could not be read at once so far: compare before and after a statement. */
  readonly flagged: () => number
  /** Whether a row holds what could not be read at once. */
  readonly isOpen: (row: PgConnection.Row) => boolean
  /** Puts values in the place of what could not be read at once, or fails naming the column. Rows are changed in place. */
  readonly settle: (
    rows: ReadonlyArray<PgConnection.Row>,
    query: Query
  ) => Effect.Effect<ReadonlyArray<PgConnection.Row>, SqlError>
  /**
   * Parameters as the driver takes them, where that needs no knowledge of the types that the statement expects;
   * `undefined` where it does, and for parameters that will be refused.
   */
  readonly bind: (params: ReadonlyArray<unknown>) => ReadonlyArray<unknown> | undefined
  /** The same by the types that `parameterTypes` told; `undefined` types: as good as their values tell. */
  readonly bindTyped: (
    params: ReadonlyArray<unknown>,
    types: ReadonlyArray<number> | undefined
  ) => Result.Result<ReadonlyArray<unknown>, PoolError>
  /**
   * The types that the server expects for the parameters of this text, asked for in one round trip and remembered;
   * `undefined` where it cannot tell. In a transaction a savepoint keeps a failure from spoiling it.
   */
  readonly parameterTypes: (
    text: string,
    params: ReadonlyArray<unknown>,
    batch: Batch,
    inTransaction: boolean
  ) => Effect.Effect<ReadonlyArray<number> | undefined, SqlError>
  /** A statement failed: the types of its parameters may be others now. */
  readonly forgetParameters: (text: string) => void
  /** One value for a column of a known type, where a string for json is a json string. `number` is for messages. */
  readonly bindValue: (value: unknown, oid: number, number: number) => Result.Result<unknown, PoolError>
  /** A column of values as one array parameter for `unnest($n::T[])`. */
  readonly bindColumn: (
    values: ReadonlyArray<unknown>,
    oid: number,
    number: number
  ) => Result.Result<unknown, PoolError>
  /** Makes sure that these types, and what is inside them, are known to `bindValue` and `bindColumn`. */
  readonly know: (oids: ReadonlyArray<number>, query: Query) => Effect.Effect<void, SqlError>
  /** Whether one of these types, or one inside it, is not known yet. */
  readonly lacks: (oids: ReadonlyArray<number>) => boolean
}

/** Built-in types that the driver reads as promised, as fast as could be done here. Texts are faster by `Ascii.ts`. */
const keptNames = ["bool", "int2", "int4", "oid", "json", "jsonb", "float4", "float8", "numeric", "uuid"]

const isBytes = (value: unknown): value is Uint8Array => value instanceof Uint8Array

/** What the driver reads and writes one type with. */
const driverCodec = (session: Session, oid: number, fixed: Reader | undefined): PgTypes.Codec<unknown> => {
  const read = (bytes: Uint8Array, offset: number, size: number) => {
    const before = session.troubles
    try {
      const value = (fixed ?? readerOf(session, oid)).value(bytes, offset, size)
      if (session.troubles === before) return Result.succeed(value)
    } catch {
      session.troubles++
    }
    return Result.succeed(Settle.marker(oid, copy(bytes, offset, size)))
  }
  return {
    read,
    decode: (bytes) => read(bytes, 0, bytes.length),
    encode: (value) => (isBytes(value) ? Result.succeed(value) : PgTypes.encode(value, oid)),
    write: (sink, value) => {
      if (isBytes(value)) {
        sink.raw(value)
        return Result.void
      }
      const encoded = PgTypes.encode(value, oid)
      if (Result.isFailure(encoded)) return Result.fail(encoded.failure)
      sink.raw(encoded.success)
      return Result.void
    }
  }
}

/** The codec of one pool. */
export const make = (options: CodecOptions): Codec => {
  const session = makeSession(options)
  registerBuiltins(session)
  const builtins = new Set(session.types.keys())
  const registry = PgTypes.makeRegistry()
  const met = new Set<number>()
  for (const [oid, reader] of session.readers) {
    met.add(oid)
    const isKept = keptNames.includes(session.types.get(oid)?.name ?? "")
    if (!isKept) registry.register(oid, driverCodec(session, oid, reader))
  }
  const expected = Expected.make(session)
  const meet = (oids: ReadonlyArray<number>): void => {
    for (const oid of oids) {
      if (met.has(oid)) continue
      met.add(oid)
      registry.register(oid, driverCodec(session, oid, undefined))
    }
  }
  return {
    registry,
    learn: (query) => Catalogue.learn(session, query),
    forget: () => {
      Catalogue.forget(session, builtins)
      expected.forget()
    },
    meet,
    flagged: () => session.troubles,
    isOpen: Settle.isOpen,
    settle: (rows, query) => Settle.settle(session, rows, query, meet),
    bind: Parameters.bind,
    bindTyped: (params, types) => Parameters.bindTyped(session, params, types),
    parameterTypes: expected.parameterTypes,
    forgetParameters: expected.forgetText,
    bindValue: (value, oid, number) => Parameters.bindValue(session, value, oid, number),
    bindColumn: (values, oid, number) => Parameters.bindColumn(session, values, oid, number),
    know: (oids, query) => expected.know(oids, query),
    lacks: (oids) => expected.lacks(oids)
  }
}
