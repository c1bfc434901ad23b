/**
 * Takes one row of an exchange from the bytes of its message. A row of a type that is not known waits as bytes until the type has
 * been asked for; a stream gives its rows at once, so there such a row is an error.
 */
import { Buffer } from "node:buffer"
import type { Locale } from "../types/PgType.ts"
import { UnreadableValue } from "../types/PgType.ts"
import type { TypeMap } from "../types/TypeMap.ts"
import type { Exchange } from "./Exchange.ts"
import { ProtocolViolation } from "./MessageReader.ts"
import * as PreparedStatements from "./PreparedStatements.ts"

const changedJustNow = "The statement returns a type that was made or changed a moment ago. Run it again."

/** How a session reads rows. */
interface Reading {
  readonly types: TypeMap
  readonly locale: Locale
}

const putOff = (exchange: Exchange, locale: Locale, row: Uint8Array): void => {
  exchange.late ??= { rows: [], locale: { ...locale } }
  exchange.late.rows.push(Buffer.from(row))
}

export const takeRow = (
  { locale, types }: Reading,
  exchange: Exchange,
  bytes: Buffer,
  start: number,
  stop: number
): void => {
  if (exchange.unreadable !== undefined) return
  if (exchange.state !== "open") throw new ProtocolViolation("a row out of turn")
  if (exchange.late !== undefined) {
    putOff(exchange, locale, bytes.subarray(start, stop))
    return
  }
  const { formats, prepared, shape } = exchange
  if (exchange.readRow === undefined) {
    if (prepared === undefined || formats === undefined || prepared.description === undefined) {
      throw new ProtocolViolation("a row without a description")
    }
    exchange.missing = PreparedStatements.typesToAsk(types, prepared, exchange.answers)
    if (exchange.missing.length === 0) {
      exchange.readRow = PreparedStatements.readerOf(prepared, formats, shape)
    } else if (exchange.onProgress !== undefined) {
      // A stream gives its rows at once, so that nothing can be asked for them any more.
      exchange.unreadable = new UnreadableValue(changedJustNow)
      return
    }
  }
  try {
    if (exchange.readRow !== undefined) exchange.rows.push(exchange.readRow(bytes, start, stop, locale))
    else putOff(exchange, locale, bytes.subarray(start, stop))
  } catch (error) {
    if (!(error instanceof UnreadableValue)) throw error
    if (error.type === undefined || exchange.onProgress !== undefined) exchange.unreadable = error
    else {
      exchange.missing = [error.type]
      putOff(exchange, locale, bytes.subarray(start, stop))
    }
  }
}
