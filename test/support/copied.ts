/** What a `COPY` gives, and data for one. */
import { Buffer } from "node:buffer"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/** All bytes of a stream. */
export const bytesOf = <E, R>(data: Stream.Stream<Uint8Array, E, R>): Effect.Effect<Buffer, E, R> =>
  Effect.map(Stream.runCollect(data), (pieces) => Buffer.concat(Array.from(pieces)))

/** All bytes of a stream as text. */
export const textOf = <E, R>(data: Stream.Stream<Uint8Array, E, R>): Effect.Effect<string, E, R> =>
  Effect.map(bytesOf(data), String)
