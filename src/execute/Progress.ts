/**
 * How far a stream of rows has come, reported after each chunk.
 */
import * as Stream from "effect/Stream"
import { attempt, isArray, isPlain } from "../statement/PlainObject.ts"
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

/** So many values inside one are looked at: more say little more of its size, and one that refers to itself has no end. */
const mostCounted = 100_000

/** The bytes of what is in an array or object, estimated. One that throws when it is looked at has none. */
const sizeInside = (root: object): number => {
  let size = 0
  let counted = 0
  const left: Array<object> = [root]
  for (let value = left.pop(); value !== undefined && counted < mostCounted; value = left.pop()) {
    const outer = value
    const inner: ReadonlyArray<unknown> = attempt(
      () => (Array.isArray(outer) ? outer : Object.values(outer)),
      []
    )
    for (let index = 0; index < inner.length && counted++ < mostCounted; index++) {
      const one = inner[index]
      if (typeof one === "string") size += one.length
      else if (one instanceof Uint8Array) size += one.byteLength
      else if (typeof one === "object" && one !== null && !(one instanceof Date)) left.push(one)
      else size += 8
    }
  }
  return size
}

/** The bytes of a value, estimated: the length of texts and bytes, what is inside arrays and objects, eight for the rest. */
export const sizeOf = (value: unknown): number => {
  if (typeof value === "string") return value.length
  if (typeof value !== "object" || value === null) return 8
  if (value instanceof Uint8Array) return value.byteLength
  if (value instanceof Date) return 8
  // What an instance holds is its own business: it may refer to itself.
  return isArray(value) || isPlain(value) ? sizeInside(value) : 16
}

export const withProgress = <E, R>(
  rows: Stream.Stream<Row, E, R>,
  options: StreamOptions | undefined
): Stream.Stream<Row, E, R> => {
  const onProgress = attempt(() => options?.onProgress, undefined)
  if (typeof onProgress !== "function") return rows
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
