/**
 * Which way rows go into a table: by `COPY`, or by `INSERT` where a `COPY` means something else, gives less or is refused.
 */
import type { TableShape } from "../types/TableShape.ts"
import { hasCodec } from "../types/TypeLookup.ts"

/** Whether rows that name these columns of a table go by `COPY`. */
export const takesCopy = (shape: TableShape, columns: ReadonlySet<string>): boolean => {
  const { hasPolicies, hasRules, kind, refusesCopy, types } = shape
  if (refusesCopy || hasPolicies || hasRules) return false
  // A foreign table takes an INSERT of many rows faster, and no COPY where its server's wrapper has none. A view takes one if a trigger
  // stores its rows, and counts those that the trigger leaves out.
  if (kind !== "r" && kind !== "p") return false
  for (const name of columns) {
    const column = shape.columns.get(name)
    // The server's refusal of an INSERT names the column; a COPY stores values even in GENERATED ALWAYS identities.
    if (column === undefined || column.isGenerated) return false
    // What a codec makes of a value is its own business, and may be an instance of a class.
    if (hasCodec(types, column.oid)) return false
  }
  return columns.size > 0
}
