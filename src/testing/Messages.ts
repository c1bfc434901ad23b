/**
 * Messages of Postgres's protocol as a server writes them and takes them apart.
 *
 * See the PostgreSQL manual, "Message Formats" (protocol-message-formats).
 */
import { Buffer } from "node:buffer"

/** A text with the zero behind it that ends it. */
export const cString = (text: string): Buffer => Buffer.from(`${text}\0`)

export const int32 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** A message of this type, which is a letter. */
export const message = (type: string, ...parts: ReadonlyArray<Uint8Array>): Buffer => {
  const length = parts.reduce((sum, part) => sum + part.length, 4)
  return Buffer.concat([Buffer.from(type), int32(length), ...parts])
}

export const typeOf = (bytes: Buffer): string => String.fromCharCode(bytes[0]!)

/** The first texts of a message, `count` of them, and what is behind them. */
export const texts = (
  bytes: Buffer,
  count: number,
  from = 5
): readonly [ReadonlyArray<string>, rest: Buffer] => {
  const found: Array<string> = []
  let at = from
  for (let end = bytes.indexOf(0, at); end >= 0 && found.length < count; end = bytes.indexOf(0, at)) {
    found.push(bytes.toString("utf8", at, end))
    at = end + 1
  }
  return [found, bytes.subarray(at)]
}

/** The parameters of a `Bind` behind its names; `""` for NULL. */
export const parameters = (rest: Buffer): ReadonlyArray<string> => {
  let at = 2 + 2 * rest.readUInt16BE(0)
  const count = rest.readUInt16BE(at)
  at += 2
  return Array.from({ length: count }, () => {
    const start = at + 4
    at = start + Math.max(0, rest.readInt32BE(at))
    return rest.toString("utf8", start, at)
  })
}

/** A server's error. */
export const error = (code: string, text: string, hint = "", severity = "ERROR"): Buffer => {
  const fields = [
    `S${severity}`,
    `V${severity}`,
    `C${code}`,
    `M${text}`,
    ...(hint === "" ? [] : [`H${hint}`])
  ]
  return message("E", ...fields.map(cString), Buffer.of(0))
}

/** An error of one of these SQLSTATEs with a hint, where it has none. */
export const withHint = (bytes: Buffer, codes: RegExp, hint: string): Buffer => {
  const fields = bytes.toString("latin1", 5)
  return codes.test(/(?:^|\0)C(\w{5})\0/.exec(fields)?.[1] ?? "") && !fields.includes("\0H")
    ? message("E", bytes.subarray(5, -1), cString(`H${hint}`), Buffer.of(0))
    : bytes
}

/** An error that names a statement or a portal, by the name that the client gave it. */
export const withName = (bytes: Buffer, nameOf: (at: string) => string | undefined): Buffer => {
  const fields = bytes.toString("latin1", 5)
  const named = fields.replace(
    /(prepared statement|portal|cursor) "([^"\0]+)"/,
    (whole: string, kind: string, at: string) => {
      const name = nameOf(at)
      return name === undefined ? whole : `${kind} "${Buffer.from(name).toString("latin1")}"`
    }
  )
  return named === fields ? bytes : message("E", Buffer.from(named, "latin1"))
}
