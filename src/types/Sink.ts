/**
 * Bytes that grow as they are written: the messages to the server, and the rows of a `COPY`.
 */
import { Buffer } from "node:buffer"

/** Written so far are the bytes before `at`. */
export interface Sink {
  bytes: Buffer
  at: number
}

export const make = (size: number): Sink => ({ bytes: Buffer.allocUnsafeSlow(size), at: 0 })

/** Makes room for so many bytes. */
export const reserve = (sink: Sink, size: number): void => {
  if (sink.at + size <= sink.bytes.length) return
  const larger = Buffer.allocUnsafeSlow(Math.max(sink.bytes.length * 2, sink.at + size))
  larger.set(sink.bytes.subarray(0, sink.at))
  sink.bytes = larger
}

export const setInt32 = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

/** Writes an integer for which there is room, as all that follow. */
export const putInt16 = (sink: Sink, value: number): void => {
  const { at, bytes } = sink
  bytes[at] = value >>> 8
  bytes[at + 1] = value
  sink.at = at + 2
}

export const putInt32 = (sink: Sink, value: number): void => {
  setInt32(sink.bytes, sink.at, value)
  sink.at += 4
}

/** An integer of 64 bits that a number holds exactly. */
export const putInt64 = (sink: Sink, value: number): void => {
  const high = Math.floor(value / 4_294_967_296)
  setInt32(sink.bytes, sink.at, high)
  setInt32(sink.bytes, sink.at + 4, value - high * 4_294_967_296)
  sink.at += 8
}

/** Up to this length a loop over the characters is faster than a call out of JavaScript. */
const longestLoop = 32

/** Writes a text for which there is room: three bytes for each of its units. */
export const putText = (sink: Sink, text: string): void => {
  const { at, bytes } = sink
  const { length } = text
  if (length <= longestLoop) {
    let index = 0
    for (; index < length; index++) {
      const code = text.charCodeAt(index)
      if (code > 127) break
      bytes[at + index] = code
    }
    if (index === length) {
      sink.at = at + length
      return
    }
  }
  sink.at = at + bytes.write(text, at)
}
