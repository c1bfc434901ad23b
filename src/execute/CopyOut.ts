/**
 * The data of a `COPY … TO STDOUT`, gathered from the messages of each chunk that arrives.
 */
import { Buffer } from "node:buffer"
import type { CopyHandler, Exchange } from "../protocol/Exchange.ts"

export interface CopyOut extends CopyHandler {
  /** Makes what has arrived the exchange's one row. */
  readonly gather: (exchange: Exchange) => void
}

const nothing = /* @__PURE__ */ Buffer.allocUnsafeSlow(0)

/** A chunk is copied as it is, and the headers of its messages are closed up in the copy: measured, the fastest way. */
export const make = (): CopyOut => {
  let source: Buffer | undefined
  let data = nothing
  let at = 0
  /** From a place in the chunk to the same in the copy. */
  let shift = 0
  return {
    onIn: () => undefined,
    onData: (bytes, start, end) => {
      if (bytes === source) data.copyWithin(at, start + shift, end + shift)
      else {
        // In front of a chunk stands the message that the last one had begun.
        const larger = Buffer.allocUnsafeSlow(at + bytes.length - start)
        larger.set(data.subarray(0, at))
        larger.set(bytes.subarray(start), at)
        data = larger
        source = bytes
        shift = at - start
      }
      at += end - start
    },
    gather: (exchange) => {
      if (source === undefined) return
      exchange.rows.push(new Uint8Array(data.buffer, data.byteOffset, at))
      source = undefined
      data = nothing
      at = 0
    }
  }
}
