/**
 * Values made of values: arrays, composites and records, ranges and multiranges. What is inside is read by the OID that
 * the wire names, when it is read, so that a type learnt later serves statements prepared before.
 */
import type { Read } from "./Bytes.ts"
import { int32, uint32 } from "./Bytes.ts"
import type { Output, Write } from "./Output.ts"
import { anyText, byte, printed, reserve, text } from "./Output.ts"
import type { Attribute, Reader, Session } from "./Session.ts"
import { askServer, knownReader, missType, readerOf } from "./Session.ts"
import { put } from "./System.ts"

const elements = (read: Read, bytes: Uint8Array, offset: number, count: number): ReadonlyArray<unknown> => {
  const values: Array<unknown> = new Array(count)
  let at = offset
  for (let index = 0; index < count; index++) {
    const size = int32(bytes, at)
    at += 4
    if (size < 0) {
      values[index] = null
    } else {
      values[index] = read(bytes, at, size)
      at += size
    }
  }
  return values
}

/** A flat list of values as nested arrays of these lengths. */
const nested = (values: ReadonlyArray<unknown>, shape: ReadonlyArray<number>): ReadonlyArray<unknown> => {
  let level = values
  for (let depth = shape.length - 1; depth > 0; depth--) {
    const length = shape[depth]!
    level = Array.from({ length: level.length / length }, (_, index) =>
      level.slice(index * length, (index + 1) * length)
    )
  }
  return level
}

/** Arrays of any number of dimensions; lower bounds are not kept, NULL elements are `null`. */
export const arrayReader = (session: Session): Reader => ({
  value: (bytes, offset) => {
    const dimensions = int32(bytes, offset)
    if (dimensions === 0) return []
    const read = readerOf(session, uint32(bytes, offset + 8)).value
    if (dimensions === 1) return elements(read, bytes, offset + 20, int32(bytes, offset + 12))
    const shape = Array.from({ length: dimensions }, (_, depth) => int32(bytes, offset + 12 + depth * 8))
    const count = shape.reduce((product, length) => product * length, 1)
    return nested(elements(read, bytes, offset + 12 + dimensions * 8, count), shape)
  },
  write: undefined
})

/** An anonymous record: its values in order. */
export const recordReader = (session: Session): Reader => ({
  value: (bytes, offset) => {
    const count = int32(bytes, offset)
    const values: Array<unknown> = new Array(count)
    let at = offset + 4
    for (let index = 0; index < count; index++) {
      const size = int32(bytes, at + 4)
      values[index] = size < 0 ? null : readerOf(session, uint32(bytes, at)).value(bytes, at + 8, size)
      at += 8 + Math.max(size, 0)
    }
    return values
  },
  write: undefined
})

/** A composite as an object. Attributes other than those on the wire mean that the type was altered: it is looked up again. */
export const compositeReader = (
  session: Session,
  oid: number,
  attributes: ReadonlyArray<Attribute>
): Reader => ({
  value: (bytes, offset) => {
    if (int32(bytes, offset) !== attributes.length) return missType(session, oid)
    const object: Record<string, unknown> = {}
    let at = offset + 4
    for (const attribute of attributes) {
      if (uint32(bytes, at) !== attribute.oid) return missType(session, oid)
      const size = int32(bytes, at + 4)
      const value = size < 0 ? null : readerOf(session, attribute.oid).value(bytes, at + 8, size)
      put(object, attribute.name, value)
      at += 8 + Math.max(size, 0)
    }
    return object
  },
  write: undefined
})

/** A domain as its base type. */
export const domainReader = (session: Session, oid: number, base: number): Reader => ({
  value: (bytes, offset, size) => readerOf(session, base).value(bytes, offset, size),
  write: (out, bytes, offset, size) => {
    const known = knownReader(session, base)
    if (known === undefined) missType(session, base)
    else if (known.write === undefined) anyText(out, askServer(session, oid, bytes, offset, size))
    else known.write(out, bytes, offset, size)
  }
})

const quote = 34
const comma = 44
const openBrace = 123
const closeBrace = 125

/** What makes the bound of a range stand in quotes: `"\()[],` and white space. */
const isSpecial = (code: number): boolean =>
  code <= 32
    ? code === 32 || (code >= 9 && code <= 13)
    : code === 34 || code === 40 || code === 41 || code === 44 || (code >= 91 && code <= 93)

/** Puts what was printed from `start` in quotes. */
const putInQuotes = (out: Output, start: number): void => {
  const bound = out.bytes.toString("latin1", start, out.at)
  const inside = bound.replaceAll("\\", "\\\\").replaceAll('"', '""')
  out.at = start
  reserve(out, inside.length)
  byte(out, quote)
  text(out, inside)
  byte(out, quote)
}

/** Texts of these types never need quotes as the bound of a range. */
const plainBounds = new Set([20, 21, 23, 26, 700, 701, 1700])

/** Finite ones always do, and hold nothing that has to be doubled. */
const spacedBounds = new Set([1114, 1184])

type Bound = (out: Output, write: Write, bytes: Uint8Array, offset: number, size: number) => void

const plainBound: Bound = (out, write, bytes, offset, size) => write(out, bytes, offset, size)

const spacedBound: Bound = (out, write, bytes, offset, size) => {
  const start = out.at
  byte(out, quote)
  write(out, bytes, offset, size)
  if (out.at - start > 10) byte(out, quote)
  else {
    // Infinite.
    out.bytes.copyWithin(start, start + 1, out.at)
    out.at--
  }
}

const anyBound: Bound = (out, write, bytes, offset, size) => {
  const start = out.at
  write(out, bytes, offset, size)
  let at = start
  while (at < out.at && !isSpecial(out.bytes[at]!)) at++
  if (at < out.at || out.at === start) putInQuotes(out, start)
}

/** A range in the text of its type: `[1,5)`, `empty`, `(,)`. */
export const rangeReader = (session: Session, oid: number, element: number): Reader => {
  const bound = plainBounds.has(element) ? plainBound : spacedBounds.has(element) ? spacedBound : anyBound
  // Found once: how the values of a type are printed does not change as long as this reader is in use.
  let known: Reader | undefined
  const write: Write = (out, bytes, offset, size) => {
    known ??= knownReader(session, element)
    if (known === undefined) {
      missType(session, element)
      return
    }
    const writeBound = known.write
    if (writeBound === undefined) {
      anyText(out, askServer(session, oid, bytes, offset, size))
      return
    }
    reserve(out, 0)
    const flags = bytes[offset]!
    if ((flags & 1) !== 0) {
      text(out, "empty")
      return
    }
    let at = offset + 1
    byte(out, (flags & 2) !== 0 ? 91 : 40)
    if ((flags & 8) === 0) {
      const length = int32(bytes, at)
      bound(out, writeBound, bytes, at + 4, length)
      at += 4 + length
    }
    byte(out, comma)
    if ((flags & 16) === 0) bound(out, writeBound, bytes, at + 4, int32(bytes, at))
    byte(out, (flags & 4) !== 0 ? 93 : 41)
  }
  return { value: printed(write), write }
}

/** `{[1,3),[5,7)}`. */
export const multirangeReader = (session: Session, range: number): Reader => {
  let known: Write | undefined
  const write: Write = (out, bytes, offset) => {
    known ??= knownReader(session, range)?.write
    if (known === undefined) {
      missType(session, range)
      return
    }
    byte(out, openBrace)
    let at = offset + 4
    const count = int32(bytes, offset)
    for (let index = 0; index < count; index++) {
      if (index > 0) byte(out, comma)
      const size = int32(bytes, at)
      known(out, bytes, at + 4, size)
      at += 4 + size
    }
    byte(out, closeBrace)
  }
  return { value: printed(write), write }
}
