/**
 * How far a stream of rows has come, told after each piece.
 */
import * as Stream from "effect/Stream"
import type { Progress, Row, StreamOptions } from "./Operations.ts"

const perValue = 8

/** An estimate of a row's size: the length of texts and bytes, and eight for any other value. */
export const sizeOf = (row: Row): number => {
  let size = 0
  for (const name in row) {
    const value = row[name]
    if (typeof value === "string" || value instanceof Uint8Array) size += value.length
    else if (value !== null) size += perValue
  }
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
