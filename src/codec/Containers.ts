/**
 * Values made of values: arrays, composites and records, ranges and multiranges. What is inside is read by the OID that
 * the wire names, when it is read, so that a type learnt later serves statements prepared before.
 */
import type { Read } from "./Bytes.ts"
import { int32, uint32 } from "./Bytes.ts"
import type { Attribute, Reader, Session } from "./Session.ts"
import { askServer, missType, readerOf } from "./Session.ts"
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
  text: undefined
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
  text: undefined
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
  text: undefined
})

/** A domain as its base type. */
export const domainReader = (session: Session, oid: number, base: number): Reader => ({
  value: (bytes, offset, size) => readerOf(session, base).value(bytes, offset, size),
  text: (bytes, offset, size) => {
    const known = session.readers.get(base)
    if (known?.text !== undefined) return known.text(bytes, offset, size)
    if (known !== undefined) return askServer(session, oid, bytes, offset, size)
    missType(session, base)
    return ""
  }
})

const special = /["\\()[\],\s]/

const quoted = (text: string): string =>
  text.includes('"') || text.includes("\\")
    ? `"${text.replaceAll("\\", "\\\\").replaceAll('"', '""')}"`
    : `"${text}"`

/** Texts of these numbers never need quotes as the bound of a range. */
const plainBounds = new Set([20, 21, 23, 26, 700, 701, 1700])

const boundAt = (text: Read<string>, isPlain: boolean, bytes: Uint8Array, offset: number): string => {
  const bound = text(bytes, offset + 4, int32(bytes, offset))
  return !isPlain && (bound === "" || special.test(bound)) ? quoted(bound) : bound
}

/** A range in the text of its type: `[1,5)`, `empty`, `(,)`. */
export const rangeReader = (session: Session, oid: number, element: number): Reader => {
  const isPlain = plainBounds.has(element)
  const value = (bytes: Uint8Array, offset: number, size: number): string => {
    const known = session.readers.get(element)
    if (known === undefined) {
      missType(session, element)
      return ""
    }
    const text = known.text
    if (text === undefined) return askServer(session, oid, bytes, offset, size)
    const flags = bytes[offset]!
    if ((flags & 1) !== 0) return "empty"
    let at = offset + 1
    let range = (flags & 2) !== 0 ? "[" : "("
    if ((flags & 8) === 0) {
      range += boundAt(text, isPlain, bytes, at)
      at += 4 + int32(bytes, at)
    }
    range += ","
    if ((flags & 16) === 0) range += boundAt(text, isPlain, bytes, at)
    return range + ((flags & 4) !== 0 ? "]" : ")")
  }
  return { value, text: value }
}

/** `{[1,3),[5,7)}`. */
export const multirangeReader = (session: Session, range: number): Reader => {
  const value = (bytes: Uint8Array, offset: number): string => {
    const known = session.readers.get(range)?.text
    if (known === undefined) {
      missType(session, range)
      return ""
    }
    const texts: Array<string> = []
    let at = offset + 4
    for (let count = int32(bytes, offset); count > 0; count--) {
      const size = int32(bytes, at)
      texts.push(known(bytes, at + 4, size))
      at += 4 + size
    }
    return `{${texts.join(",")}}`
  }
  return { value, text: value }
}
