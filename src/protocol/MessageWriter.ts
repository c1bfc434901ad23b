/**
 * Frontend messages of the extended query protocol and of `COPY`, written one behind another into one growing buffer, which
 * the session hands to its socket in one write.
 *
 * `PgProtocol` encodes these messages too, each into a buffer of its own, always asks for binary results and takes 32 767
 * parameters at the most. A `Bind` with a format for each column and 65 535 parameters has to be written here. The messages
 * of the start-up, which are sent once, come from `PgProtocol`.
 *
 * See the PostgreSQL manual, "Message Formats" (protocol-message-formats).
 */

import { Buffer } from "node:buffer"
import type { WireValue } from "../types/PgType.ts"
import { make as makeSink, putInt16, putInt32, putText, reserve, type Sink, setInt32 } from "../types/Sink.ts"

/** The messages written so far. */
export type MessageWriter = Sink

const firstSize = 2_048
/** A larger buffer is let go once its content was taken, so that one long statement does not cost memory for ever. */
const keptSize = 65_536

export const make = (): MessageWriter => makeSink(firstSize)

const putCString = (writer: MessageWriter, text: string): void => {
  putText(writer, text)
  writer.bytes[writer.at++] = 0
}

/** Begins a message of this type for which there is room, and says where its length goes. */
const begin = (writer: MessageWriter, type: number): number => {
  writer.bytes[writer.at] = type
  writer.at += 5
  return writer.at - 4
}

const end = (writer: MessageWriter, lengthAt: number): void =>
  setInt32(writer.bytes, lengthAt, writer.at - lengthAt)

/** `Parse`: prepares a statement under a name, `""` for the unnamed one; a type of 0 is left to the server. */
export const parse = (
  writer: MessageWriter,
  name: string,
  text: string,
  types: ReadonlyArray<number>
): void => {
  reserve(writer, 16 + (name.length + text.length) * 3 + types.length * 4)
  const lengthAt = begin(writer, 0x50)
  putCString(writer, name)
  putCString(writer, text)
  putInt16(writer, types.length)
  for (const type of types) putInt32(writer, type)
  end(writer, lengthAt)
}

/** `Describe` of a prepared statement: asks for its `ParameterDescription` and `RowDescription`. */
export const describe = (writer: MessageWriter, name: string): void => {
  reserve(writer, 8 + name.length * 3)
  const lengthAt = begin(writer, 0x44)
  writer.bytes[writer.at++] = 0x53
  putCString(writer, name)
  end(writer, lengthAt)
}

/** The result formats of a `Bind` that asks for text in all columns. */
export const allText: Uint8Array = /* @__PURE__ */ Uint8Array.of(0, 0)

/** The result formats of a `Bind`, a flag for each column: `true` is binary. */
export const formatsOf = (binary: ReadonlyArray<boolean>): Uint8Array => {
  if (!binary.includes(true)) return allText
  if (!binary.includes(false)) return Uint8Array.of(0, 1, 0, 1)
  const formats = new Uint8Array(2 + binary.length * 2)
  formats[0] = binary.length >>> 8
  formats[1] = binary.length
  for (let index = 0; index < binary.length; index++) formats[3 + index * 2] = binary[index] ? 1 : 0
  return formats
}

const sizeOf = (value: WireValue): number =>
  value === null ? 4 : typeof value === "string" ? 4 + value.length * 3 : 4 + value.length

/** `Bind`: parameters for a prepared statement, as a portal of this name; `formats` as `formatsOf` gives them. */
export const bind = (
  writer: MessageWriter,
  portal: string,
  statement: string,
  params: ReadonlyArray<WireValue>,
  formats: Uint8Array
): void => {
  let size = 16 + (portal.length + statement.length) * 3 + formats.length
  let hasBytes = false
  for (let index = 0; index < params.length; index++) {
    const value = params[index]!
    size += sizeOf(value) + 2
    if (typeof value === "object" && value !== null) hasBytes = true
  }
  reserve(writer, size)
  const lengthAt = begin(writer, 0x42)
  putCString(writer, portal)
  putCString(writer, statement)
  if (hasBytes) {
    putInt16(writer, params.length)
    for (const value of params) putInt16(writer, typeof value === "object" && value !== null ? 1 : 0)
  } else putInt16(writer, 0)
  putInt16(writer, params.length)
  for (let index = 0; index < params.length; index++) {
    const value = params[index]!
    if (value === null) {
      putInt32(writer, -1)
      continue
    }
    const valueAt = writer.at
    writer.at += 4
    if (typeof value === "string") putText(writer, value)
    else {
      writer.bytes.set(value, writer.at)
      writer.at += value.length
    }
    setInt32(writer.bytes, valueAt, writer.at - valueAt - 4)
  }
  writer.bytes.set(formats, writer.at)
  writer.at += formats.length
  end(writer, lengthAt)
}

/** `Execute`: runs a portal up to so many rows, 0 for all. */
export const execute = (writer: MessageWriter, portal: string, maxRows: number): void => {
  reserve(writer, 16 + portal.length * 3)
  const lengthAt = begin(writer, 0x45)
  putCString(writer, portal)
  putInt32(writer, maxRows)
  end(writer, lengthAt)
}

/** `Close` of a prepared statement or a portal; closing one that does not exist is not an error. */
export const close = (writer: MessageWriter, kind: "statement" | "portal", name: string): void => {
  reserve(writer, 8 + name.length * 3)
  const lengthAt = begin(writer, 0x43)
  writer.bytes[writer.at++] = kind === "statement" ? 0x53 : 0x50
  putCString(writer, name)
  end(writer, lengthAt)
}

const empty = (writer: MessageWriter, type: number): void => {
  reserve(writer, 5)
  end(writer, begin(writer, type))
}

export const sync = (writer: MessageWriter): void => empty(writer, 0x53)
export const flush = (writer: MessageWriter): void => empty(writer, 0x48)
export const copyDone = (writer: MessageWriter): void => empty(writer, 0x63)

/** The beginning of a `CopyData` whose `size` bytes of data come next. */
export const copyHeader = (writer: MessageWriter, size: number): void => {
  reserve(writer, 5)
  writer.bytes[writer.at++] = 0x64
  putInt32(writer, size + 4)
}

export const copyData = (writer: MessageWriter, data: Uint8Array): void => {
  reserve(writer, 5 + data.length)
  copyHeader(writer, data.length)
  writer.bytes.set(data, writer.at)
  writer.at += data.length
}

/** `CopyFail`: the server ends the `COPY` with this message as its error. */
export const copyFail = (writer: MessageWriter, reason: string): void => {
  reserve(writer, 6 + reason.length * 3)
  const lengthAt = begin(writer, 0x66)
  putCString(writer, reason)
  end(writer, lengthAt)
}

/** The bytes written so far, as a buffer of their own; the writer is empty then. */
export const take = (writer: MessageWriter): Buffer => {
  const { at, bytes } = writer
  writer.at = 0
  if (bytes.length > keptSize) {
    writer.bytes = Buffer.allocUnsafeSlow(firstSize)
    return bytes.subarray(0, at)
  }
  const taken = Buffer.allocUnsafe(at)
  bytes.copy(taken, 0, 0, at)
  return taken
}
