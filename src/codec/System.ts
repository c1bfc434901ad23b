/**
 * The server's own small types as it prints them: `"char"`, bit strings, `uuid`, `tid`, transaction ids, snapshots,
 * positions in the log, statistics.
 */
import type { Read } from "./Bytes.ts"
import { bigUint64, exactInt64, hex, int32, int64Text, uint16, uint32, utf8 } from "./Bytes.ts"
import type { Write } from "./Output.ts"
import { putDigits, putText, reserve } from "./Output.ts"

/** `"char"` is one byte: nothing for zero, an escape such as `\377` past ASCII. */
export const readChar: Read<string> = (bytes, offset) => {
  const code = bytes[offset]!
  return code === 0 ? "" : code < 128 ? String.fromCharCode(code) : `\\${code.toString(8)}`
}

export const readUuid: Read<string> = (bytes, offset) => {
  const digits = hex(bytes, offset, 16)
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-${digits.slice(12, 16)}-${digits.slice(16, 20)}-${digits.slice(20)}`
}

const eightBits: ReadonlyArray<string> = /* @__PURE__ */ Array.from({ length: 256 }, (_, value) =>
  value.toString(2).padStart(8, "0")
)

/** `bit` and `varbit`: a digit per bit. */
export const readBits: Read<string> = (bytes, offset, size) => {
  const count = int32(bytes, offset)
  let text = ""
  for (let index = 4; index < size; index++) text += eightBits[bytes[offset + index]!]
  return text.length === count ? text : text.slice(0, count)
}

/** A row's place in its table: block and number. */
export const readTid: Read<string> = (bytes, offset) =>
  `(${uint32(bytes, offset)},${uint16(bytes, offset + 4, 2)})`

export const readXid: Read<string> = (bytes, offset) => String(uint32(bytes, offset))

export const readXid8: Read<string> = (bytes, offset) => String(bigUint64(bytes, offset))

/** A position in the write-ahead log; from Postgres 19 on its second half is padded to eight digits. */
export const lsnText = (bytes: Uint8Array, offset: number, padded: boolean): string => {
  const low = hex(bytes, offset + 4, 4)
  return `${trimmed(hex(bytes, offset, 4))}/${padded ? low : trimmed(low)}`.toUpperCase()
}

const trimmed = (digits: string): string => {
  let at = 0
  while (at < digits.length - 1 && digits.charCodeAt(at) === 48) at++
  return digits.slice(at)
}

const putInt64 = (target: Uint8Array, at: number, bytes: Uint8Array, offset: number): number => {
  const value = exactInt64(bytes, offset)
  return value >= 0 ? putDigits(target, at, value) : putText(target, at, int64Text(bytes, offset, 8))
}

const colon = 58
const comma = 44

/** `pg_snapshot`: `xmin:xmax:` and the transactions under way. */
export const writeSnapshot: Write = (out, bytes, offset) => {
  const count = int32(bytes, offset)
  reserve(out, count * 21)
  const target = out.bytes
  let at = putInt64(target, out.at, bytes, offset + 4)
  target[at++] = colon
  at = putInt64(target, at, bytes, offset + 12)
  target[at++] = colon
  for (let index = 0; index < count; index++) {
    if (index > 0) target[at++] = comma
    at = putInt64(target, at, bytes, offset + 20 + index * 8)
  }
  out.at = at
}

export const readHexadecimal: Read<string> = (bytes, offset, size) => `\\x${hex(bytes, offset, size)}`

/** A text behind one byte of version: `jsonpath`, `ltree`, `lquery`. */
export const readVersionedText: Read<string> = (bytes, offset, size) => utf8(bytes, offset + 1, size - 1)

/** Reads the server's own memory layout, which statistics are sent in: little or big endian, as their magic number shows. */
const native = (bytes: Uint8Array, offset: number, size: number, magic: number) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, size)
  const little = view.getUint32(0, true) === magic
  let at = 8
  return {
    uint32: () => {
      at += 4
      return view.getUint32(at - 4, little)
    },
    int16: () => {
      at += 2
      return view.getInt16(at - 2, little)
    },
    float64: () => {
      at += 8
      return view.getFloat64(at - 8, little)
    }
  }
}

/** `pg_ndistinct`: `{"1, 2": 3}`. */
export const readNdistinct: Read<string> = (bytes, offset, size) => {
  const data = native(bytes, offset, size, 0xa352bfa4)
  const items: Array<string> = []
  for (let count = data.uint32(); count > 0; count--) {
    const distinct = data.float64()
    const attributes: Array<number> = []
    for (let left = data.uint32(); left > 0; left--) attributes.push(data.int16())
    items.push(`"${attributes.join(", ")}": ${Math.trunc(distinct)}`)
  }
  return `{${items.join(", ")}}`
}

/** `pg_dependencies`: `{"1 => 2": 1.000000}`. */
export const readDependencies: Read<string> = (bytes, offset, size) => {
  const data = native(bytes, offset, size, 0xb4549a2c)
  const items: Array<string> = []
  for (let count = data.uint32(); count > 0; count--) {
    const degree = data.float64()
    const attributes: Array<number> = []
    for (let left = data.int16(); left > 0; left--) attributes.push(data.int16())
    const dependent = attributes.pop()
    items.push(`"${attributes.join(", ")} => ${dependent}": ${degree.toFixed(6)}`)
  }
  return `{${items.join(", ")}}`
}

/** `vector` of the extension pgvector: the count of its dimensions, two bytes unused, float4 each. */
export const readVector: Read<ReadonlyArray<number>> = (bytes, offset) => {
  const count = uint16(bytes, offset, 2)
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset + 4, count * 4)
  return Array.from({ length: count }, (_, index) => view.getFloat32(index * 4))
}

/** PostGIS in the form that psql shows. */
export const readGeometry: Read<string> = (bytes, offset, size) => hex(bytes, offset, size).toUpperCase()

/** `hstore` as an object. */
export const readHstore: Read<Readonly<Record<string, string | null>>> = (bytes, offset) => {
  const object: Record<string, string | null> = {}
  let at = offset + 4
  const next = (): string | null => {
    const size = int32(bytes, at)
    at += 4
    if (size < 0) return null
    at += size
    return utf8(bytes, at - size, size)
  }
  for (let count = int32(bytes, offset); count > 0; count--) {
    const key = next() ?? ""
    put(object, key, next())
  }
  return object
}

/** Sets a property of its own, also one called `__proto__`. */
export const put = <A>(object: Record<string, A>, key: string, value: A): void => {
  if (key !== "__proto__") object[key] = value
  else Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
}
