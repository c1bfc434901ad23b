/**
 * The bytes that arrive on a link, and who takes them: the start-up at first, the session then.
 *
 * Plain links of a process read into one buffer that is used again with each chunk, which saves the memory of 64 KiB that Node
 * would take for each read, and the stream in between. A chunk is therefore valid during the call only: what takes it copies what it keeps.
 */
import { Buffer } from "node:buffer"
import type { OnReadOpts } from "node:net"
import * as Predicate from "effect/Predicate"

export interface Incoming {
  /** Takes a chunk, which is valid during the call only. */
  onChunk: (chunk: Buffer) => void
}

/** A server that speaks before it is spoken to is not a Postgres server: its first chunk is kept for the error that says so. */
export const make = (): Incoming => {
  let early: Buffer | undefined
  let take: Incoming["onChunk"] = (chunk) => {
    early ??= Buffer.from(chunk)
  }
  return {
    get onChunk() {
      return take
    },
    set onChunk(onChunk) {
      take = onChunk
      const first = early
      early = undefined
      if (first !== undefined) onChunk(first)
    }
  }
}

/** What one read of a socket brings at the most. */
const buffer = /* @__PURE__ */ Buffer.allocUnsafeSlow(65_536)

/** Cloudflare's runtime serves each request apart from all others, and takes a buffer to read into away for good. */
export const isCloudflare = (): boolean => {
  const navigator: unknown = Reflect.get(globalThis, "navigator")
  return Predicate.hasProperty(navigator, "userAgent") && navigator.userAgent === "Cloudflare-Workers"
}

/** Options of a socket that reads into the one buffer, where the platform can; one that reads into another says so by `bytes`. */
export const intoOneBuffer = (incoming: Incoming): { readonly onread?: OnReadOpts } => {
  if (isCloudflare()) return {}
  const callback = (size: number, bytes: Uint8Array): boolean => {
    const chunk = bytes === buffer ? buffer : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    incoming.onChunk(chunk.subarray(0, size))
    return true
  }
  return { onread: { buffer, callback } }
}
