/**
 * Watches what a server sends, on the socket that the driver reads, before the driver reads it.
 *
 * It keeps nothing and changes nothing: it steps over the frames of the protocol by their lengths and reports the four
 * that the pool needs. See "Message Formats" in the PostgreSQL manual.
 */

/** Called synchronously, before the driver sees the same message. */
export interface Observer {
  /** `BackendKeyData`: what a cancel request needs. */
  readonly onKey: (pid: number, secret: number) => void
  /** `RowDescription`: the type OID of each column. */
  readonly onTypes: (oids: ReadonlyArray<number>) => void
  /** A fatal `ErrorResponse`, after which the server ends the session. */
  readonly onFarewell: (farewell: Farewell) => void
  /** `ReadyForQuery`: `I` idle, `T` in a transaction, `E` in a failed one. */
  readonly onReady: (status: number) => void
}

const key = 0x4b
const description = 0x54
const ready = 0x5a
const error = 0x45

const wanted = (type: number): boolean =>
  type === ready || type === description || type === key || type === error

/** What the server says last. The driver drops it when no statement runs. */
export interface Farewell {
  readonly severity: string
  readonly code: string | undefined
  readonly message: string | undefined
  readonly detail: string | undefined
  readonly hint: string | undefined
}

/** The error, if it is one that ends the session. */
const farewellOf = (body: Uint8Array): Farewell | undefined => {
  const fields = new Map(
    new TextDecoder()
      .decode(body)
      .split("\0")
      .map((field) => [field.slice(0, 1), field.slice(1)] as const)
  )
  const severity = fields.get("V")
  if (severity !== "FATAL" && severity !== "PANIC") return undefined
  return {
    severity,
    code: fields.get("C"),
    message: fields.get("M"),
    detail: fields.get("D"),
    hint: fields.get("H")
  }
}

const readInt32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!

const fieldTail = 18

const typesOf = (body: Uint8Array, start: number): ReadonlyArray<number> => {
  const count = (body[start]! << 8) | body[start + 1]!
  const oids: Array<number> = new Array(count)
  let at = start + 2
  for (let index = 0; index < count; index++) {
    at = body.indexOf(0, at) + 1
    oids[index] = readInt32(body, at + 6) >>> 0
    at += fieldTail
  }
  return oids
}

const report = (observer: Observer, type: number, bytes: Uint8Array, start: number, end: number): void => {
  if (type === ready) observer.onReady(bytes[start]!)
  else if (type === description) observer.onTypes(typesOf(bytes, start))
  else if (type === key) observer.onKey(readInt32(bytes, start), readInt32(bytes, start + 4))
  else {
    const fields = farewellOf(bytes.subarray(start, end))
    if (fields !== undefined) observer.onFarewell(fields)
  }
}

const headerSize = 5

/** A listener for a socket's `data` event. It holds at most one unfinished message that it is to report. */
export const watch = (observer: Observer): ((chunk: Uint8Array) => void) => {
  /** Bytes of a message whose rest is still to come; only its header where the message is not wanted. */
  let kept: Uint8Array | undefined
  /** How many bytes of an unwanted message are still to come. */
  let skip = 0
  return (chunk) => {
    let bytes = chunk
    let at = 0
    if (skip > 0) {
      at = Math.min(skip, bytes.length)
      skip -= at
    } else if (kept !== undefined) {
      bytes = new Uint8Array(kept.length + chunk.length)
      bytes.set(kept)
      bytes.set(chunk, kept.length)
      kept = undefined
    }
    while (at < bytes.length) {
      if (bytes.length - at < headerSize) {
        kept = bytes.slice(at)
        return
      }
      const type = bytes[at]!
      const end = at + 1 + readInt32(bytes, at + 1)
      if (wanted(type)) {
        if (end > bytes.length) {
          kept = bytes.slice(at)
          return
        }
        report(observer, type, bytes, at + headerSize, end)
      } else if (end > bytes.length) {
        skip = end - bytes.length
        return
      }
      at = end
    }
  }
}
