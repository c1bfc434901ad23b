/**
 * The bytes that arrive on a link, and who takes them: the start-up at first, the session then.
 *
 * Plain links of a process read into one buffer that is used again with each chunk, which saves the memory of 64 KiB that Node
 * would take for each read, and the stream in between. A chunk is therefore valid during the call only: what takes it copies what it keeps.
 */
import { Buffer } from "node:buffer"
import type { OnReadOpts, Socket } from "node:net"

export interface Incoming {
  /** Takes a chunk, which is valid during the call only. */
  onChunk: (chunk: Buffer) => void
}

export const make = (): Incoming => ({ onChunk: () => undefined })

/** What one read of a socket brings at the most. */
const buffer = /* @__PURE__ */ Buffer.allocUnsafeSlow(65_536)

/** How a socket that is made with this option reads. */
export const intoOneBuffer = (incoming: Incoming): OnReadOpts => ({
  buffer,
  callback: (size) => {
    incoming.onChunk(buffer.subarray(0, size))
    return true
  }
})

/** Takes what a socket emits: that of TLS, or one of a platform that does not know the option above. */
export const fromEvents = (incoming: Incoming, socket: Socket): void => {
  socket.on("data", (chunk: Buffer) => incoming.onChunk(chunk))
}
