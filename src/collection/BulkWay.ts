/**
 * Which way rows go into a table: by a binary `COPY`, by a `COPY` of texts where a column's type has no simple binary form, or by
 * an `INSERT` where a `COPY` means something else, gives less or is refused.
 */
import { writerOf } from "../types/BinaryWriter.ts"
import type { TableShape } from "../types/TableShape.ts"
import { hasCodec } from "../types/TypeLookup.ts"

export type BulkWay = "binary" | "text" | "insert"

/** What else a call wants. */
export interface Wanted {
  /** Some of the rows may be there already. */
  readonly upsert?: boolean
  /** Rows come back. */
  readonly returning?: boolean
}

/** The way of rows that name these columns of a table. */
export const wayOf = (
  shape: TableShape,
  columns: Iterable<string>,
  { returning = false, upsert = false }: Wanted = {}
): BulkWay => {
  const { hasPolicies, hasRules, kind, lacksBinary, refusesCopy, types } = shape
  if (upsert || returning || refusesCopy || hasPolicies || hasRules) return "insert"
  // A foreign table takes an INSERT of many rows faster, and no COPY where its server's wrapper has none. A view takes one if a trigger
  // stores its rows, and counts those that the trigger leaves out.
  if (kind !== "r" && kind !== "p") return "insert"
  let way: BulkWay | undefined
  for (const name of columns) {
    const column = shape.columns.get(name)
    // The server's refusal of an INSERT names the column; a COPY stores values even in GENERATED ALWAYS identities.
    if (column === undefined || column.isGenerated) return "insert"
    // What a codec makes of a value is its own business, and may be an instance of a class.
    if (hasCodec(types, column.oid)) return "insert"
    if (lacksBinary || writerOf(types, column.oid) === undefined) way = "text"
    way ??= "binary"
  }
  return way ?? "insert"
}
