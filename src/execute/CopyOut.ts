/**
 * The data of a `COPY … TO STDOUT`, gathered from the messages of each chunk that arrives.
 */
import type { CopyHandler, Exchange } from "../protocol/Exchange.ts"
import * as Sink from "../types/Sink.ts"

/** About what one read of a socket brings. */
const chunkSize = 65_536
/** Up to this size a loop is faster than a call out of JavaScript. */
const longestLoop = 48

export interface CopyOut extends CopyHandler {
  /** Makes what has arrived the exchange's one row. */
  readonly gather: (exchange: Exchange) => void
}

export const make = (): CopyOut => {
  let sink: Sink.Sink | undefined
  return {
    onIn: () => undefined,
    onData: (bytes, start, end) => {
      const size = end - start
      sink ??= Sink.make(chunkSize)
      Sink.reserve(sink, size)
      if (size > longestLoop) bytes.copy(sink.bytes, sink.at, start, end)
      else for (let index = 0; index < size; index++) sink.bytes[sink.at + index] = bytes[start + index]!
      sink.at += size
    },
    gather: (exchange) => {
      if (sink === undefined) return
      exchange.rows.push(new Uint8Array(sink.bytes.buffer, sink.bytes.byteOffset, sink.at))
      sink = undefined
    }
  }
}
