/**
 * How far a stream of rows has come, reported after each chunk.
 */
import * as Stream from "effect/Stream"
import { isPlain } from "../statement/PlainObject.ts"
import type { Row } from "./Outcome.ts"

/** Options of `stream`. */
export interface StreamOptions {
  /** Called after each piece that was read, with the totals so far. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** How far long work has come. */
export interface Progress {
  readonly rows: number
  /** An estimate, from the texts' and bytes' lengths. */
  readonly bytes: number
}

/** The bytes of a value, estimated: the length of texts and bytes, what is inside arrays and objects, eight for the rest. */
export const sizeOf = (value: unknown): number => {
  if (typeof value === "string") return value.length
  if (typeof value !== "object" || value === null) return 8
  if (value instanceof Uint8Array) return value.byteLength
  if (value instanceof Date) return 8
  // What an instance holds is its own business: it may refer to itself.
  if (!Array.isArray(value) && !isPlain(value)) return 16
  let size = 0
  for (const inner of Array.isArray(value) ? value : Object.values(value)) size += sizeOf(inner)
  return size
}

export const withProgress = <E, R>(
  rows: Stream.Stream<Row, E, R>,
  options: StreamOptions | undefined
): Stream.Stream<Row, E, R> => {
  const onProgress = options?.onProgress
  if (onProgress === undefined) return rows
  return Stream.suspend(() => {
    const total = { rows: 0, bytes: 0 }
    return Stream.mapArray(rows, (piece) => {
      total.rows += piece.length
      for (const row of piece) total.bytes += sizeOf(row)
      const progress: Progress = { ...total }
      onProgress(progress)
      return piece
    })
  })
}
