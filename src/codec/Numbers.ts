/**
 * Numbers: `float4` and `float8` as the server prints them, `numeric` with every digit, `money` in the server's own format.
 */
import { bigInt64, exactInt64, float32, float64, int16, int32, uint16, uint32 } from "./Bytes.ts"
import type { Write } from "./Output.ts"
import { putFour, putPair, putSmall, putText, reserve, text, withoutZeros } from "./Output.ts"
import { putShortest } from "./Shortest.ts"

const scratch = new DataView(new ArrayBuffer(8))

/** The neighbour of a positive finite number, one step up or down. */
const neighbour = (value: number, step: bigint): number => {
  scratch.setFloat64(0, value)
  scratch.setBigInt64(0, scratch.getBigInt64(0) + step)
  return scratch.getFloat64(0)
}

/** The same for a number that is a float4. */
const neighbour32 = (value: number, step: number): number => {
  scratch.setFloat32(0, value)
  scratch.setInt32(0, scratch.getInt32(0) + step)
  return scratch.getFloat32(0)
}

const integerOf = (text: string): bigint => {
  const [digits, exponent] = text.split("e")
  const [whole, fraction = ""] = digits!.split(".")
  return BigInt(whole! + fraction.padEnd(Number(exponent), "0").slice(0, Number(exponent)))
}

/**
 * Whether a short decimal lies halfway between two numbers. JavaScript takes such a decimal where rounding to even
 * leads back to the number; Postgres only takes decimals strictly inside (`1e23` is `9.999999999999999e+22` there).
 */
const isHalfway = (text: string, value: number, single: boolean): boolean => {
  const decimal = integerOf(text) * 2n
  const exact = BigInt(value)
  const next = BigInt(single ? neighbour32(value, 1) : neighbour(value, 1n))
  const previous = BigInt(single ? neighbour32(value, -1) : neighbour(value, -1n))
  return decimal === exact + next || decimal === exact + previous
}

/** The shortest decimal that leads back to the number, as `d.ddde±x`. */
const shortest = (value: number, single: boolean): string => {
  if (!single) {
    const text = value.toExponential()
    if (value < 9007199254740992 || value > 1e300 || !isHalfway(text, value, false)) return text
  }
  for (let digits = single ? 0 : 1; digits < 17; digits++) {
    const text = value.toExponential(digits)
    const back = single ? Math.fround(Number(text)) : Number(text)
    if (back === value && (value < 8388608 || value > 3e38 || !isHalfway(text, value, single))) return text
  }
  return value.toExponential(16)
}

const floatText = (value: number, single: boolean): string => {
  // Between these JavaScript writes the same digits in the same form.
  if (!single && Math.abs(value) >= 0.0001 && Math.abs(value) < 1e15) return String(value)
  if (value === 0) return Object.is(value, -0) ? "-0" : "0"
  if (!Number.isFinite(value)) return String(value)
  const sign = value < 0 ? "-" : ""
  const text = shortest(Math.abs(value), single)
  const at = text.indexOf("e")
  const mantissa = text.slice(0, at)
  const exponent = Number(text.slice(at + 1))
  if (exponent < -4 || exponent >= (single ? 6 : 15)) {
    const size = Math.abs(exponent)
    return `${sign}${mantissa}e${exponent < 0 ? "-" : "+"}${size < 10 ? "0" : ""}${size}`
  }
  const digits = mantissa.replace(".", "")
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`
  if (digits.length <= exponent + 1) return sign + digits.padEnd(exponent + 1, "0")
  return `${sign}${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`
}

/** What the lowest bit of a double stands for, by its biased exponent; 0 where it is far from 0.0001 to 100 000 000. */
const units: Float64Array = /* @__PURE__ */ new Float64Array(2048).map((_, exponent) =>
  exponent >= 1009 && exponent < 1050 ? 2 ** (exponent - 1075) : 0
)

/** Seven places behind the dot hold a number below 100 000 000 in at most 15 digits, which lead back to one number only. */
const places = 10_000_000

/** A number that has so many places, behind its dot: the zeros at the end are left out. */
const putPlaces = (target: Uint8Array, at: number, value: number): number => {
  const high = (value / 1000) | 0
  const rest = value - high * 1000
  let end = putFour(target, at, high)
  if (rest !== 0) {
    const first = (rest / 100) | 0
    target[end] = zero + first
    end = putPair(target, end + 1, rest - first * 100)
  }
  return withoutZeros(target, end)
}

/** A float8 as the server prints it: few digits are tried first, and most of the others come fast too. */
export const putFloat8 = (target: Uint8Array, start: number, bytes: Uint8Array, offset: number): number => {
  const high = int32(bytes, offset)
  const low = uint32(bytes, offset + 4)
  if (high === 0 && low === 0) {
    target[start] = zero
    return start + 1
  }
  const unit = units[(high >>> 20) & 0x7ff]!
  const fraction = (high & 0xfffff) * 4_294_967_296 + low
  const size = (fraction + 4_503_599_627_370_496) * unit
  if (size < 0.0001 || size >= 100_000_000)
    return putText(target, start, floatText(float64(bytes, offset), false))
  let at = start
  if (high < 0) target[at++] = minus
  const whole = size | 0
  if (whole === size) return putSmall(target, at, whole)
  const shifted = Math.round(size * places)
  if (shifted / places === size) {
    at = putSmall(target, at, whole)
    target[at] = dot
    return putPlaces(target, at + 1, shifted - whole * places)
  }
  const end = fraction === 0 ? 0 : putShortest(target, at, size, unit)
  return end > 0 ? end : putText(target, at, String(size))
}

export const writeFloat8: Write = (out, bytes, offset) => {
  out.at = putFloat8(out.bytes, out.at, bytes, offset)
}

/** A float4 as the server prints it. */
export const writeFloat4: Write = (out, bytes, offset) => text(out, floatText(float32(bytes, offset), true))

const dot = 46
const minus = 45
const zero = 48

/** `numeric`: every digit the server holds, the trailing zeros of its scale included. */
export const writeNumeric: Write = (out, bytes, offset) => {
  const count = uint16(bytes, offset, 2)
  const weight = int16(bytes, offset + 2, 2)
  const sign = uint16(bytes, offset + 4, 2)
  const scale = uint16(bytes, offset + 6, 2)
  if (sign >= 0xc000) {
    text(out, sign === 0xc000 ? "NaN" : sign === 0xd000 ? "Infinity" : "-Infinity")
    return
  }
  reserve(out, Math.max(weight + 1, 0) * 4 + scale)
  const target = out.bytes
  let { at } = out
  if (sign === 0x4000) target[at++] = minus
  const first = offset + 8
  at = putSmall(target, at, weight < 0 || count === 0 ? 0 : uint16(bytes, first, 2))
  for (let index = 1; index <= weight; index++) {
    at = putFour(target, at, index < count ? uint16(bytes, first + index * 2, 2) : 0)
  }
  if (scale > 0) {
    target[at++] = dot
    const end = at + scale
    // Groups that are zero at either end are not on the wire; the last one may go beyond the scale.
    for (let index = weight + 1; at < end; index++) {
      at = putFour(target, at, index >= 0 && index < count ? uint16(bytes, first + index * 2, 2) : 0)
    }
    at = end
  }
  out.at = at
}

/** How the server writes `money`: a matter of its setting `lc_monetary`. */
export interface MoneyFormat {
  readonly fraction: number
  readonly point: string
  readonly separator: string
  readonly group: number
  readonly positive: readonly [before: string, after: string]
  readonly negative: readonly [before: string, after: string]
}

/** The format of the locale `C`. */
export const defaultMoney: MoneyFormat = {
  fraction: 2,
  point: ".",
  separator: ",",
  group: 3,
  positive: ["$", ""],
  negative: ["-$", ""]
}

/** The format as two samples show it: the texts of 1234567 and of −1234567 units. */
export const moneyFormat = (positive: string, negative: string): MoneyFormat => {
  const around = (text: string): readonly [string, string, string] => {
    const first = text.search(/\d/)
    const last = text.search(/\d\D*$/)
    return [text.slice(0, first), text.slice(first, last + 1), text.slice(last + 1)]
  }
  const [before, body, after] = around(positive)
  const [minusBefore, , minusAfter] = around(negative)
  const whole = /^1\D*2\D*3\D*4\D*5\D*6\D*7/.exec(body)?.[0] ?? body
  const rest = body.slice(whole.length)
  const zeros = /0*$/.exec(rest)?.[0].length ?? 0
  const parts = whole.split(/\D+/)
  return {
    fraction: zeros,
    point: rest.slice(0, rest.length - zeros),
    separator: /\D+/.exec(whole)?.[0] ?? "",
    group: parts.length > 1 ? parts[parts.length - 1]!.length : 0,
    positive: [before, after],
    negative: [minusBefore, minusAfter]
  }
}

/** `money` as the server prints it. */
export const moneyText = (bytes: Uint8Array, offset: number, format: MoneyFormat): string => {
  const exact = exactInt64(bytes, offset)
  const units = Number.isNaN(exact) ? String(bigInt64(bytes, offset)) : String(exact)
  const minus = units.startsWith("-")
  const digits = (minus ? units.slice(1) : units).padStart(format.fraction + 1, "0")
  const whole = digits.slice(0, digits.length - format.fraction)
  let grouped = whole
  if (format.group > 0) {
    const first = whole.length % format.group
    grouped = whole.slice(0, first)
    for (let at = first; at < whole.length; at += format.group) {
      grouped += (at === 0 ? "" : format.separator) + whole.slice(at, at + format.group)
    }
  }
  const [before, after] = minus ? format.negative : format.positive
  const fraction = format.fraction === 0 ? "" : format.point + digits.slice(digits.length - format.fraction)
  return before + grouped + fraction + after
}
