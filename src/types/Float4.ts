/**
 * `float4` from its bytes as the number that the server prints: the shortest decimal that leads back to it.
 *
 * The server's algorithm is Ryu: U. Adams, "Ryū: fast float-to-string conversion", PLDI 2018.
 */
import { float32 } from "./Bytes.ts"
import type { ReadBinary } from "./PgType.ts"

const smallestNormal = 2 ** -126
/** Whole numbers below this are shown as they are. */
const exactBelow = 2 ** 24

/** The decimal of so many digits that is nearest to a value; of two that are equally near, the one with an even last digit. */
const nearest = (value: number, digits: number): number => {
  const text = value.toPrecision(digits)
  const decimal = Number(text)
  const exponent = text.indexOf("e")
  const last = text.charCodeAt(exponent < 0 ? text.length - 1 : exponent - 1)
  if (last % 2 === 0) return decimal
  const other = 2 * value - decimal
  return other !== decimal && Number(other.toPrecision(digits)) === other ? other : decimal
}

/** Whether a decimal lies in the middle between a value and its neighbour: then one digit more is shown. */
const isHalfway = (decimal: number, value: number): boolean => {
  const other = 2 * decimal - value
  return other !== value && Math.fround(other) === other
}

/** The digits of a decimal, all that the longest of those below can have. */
const mantissa = (text: string): string => text.replace(/e.*$|[-.]/g, "").padEnd(100, "0")

/**
 * A number as the `real` that the server makes of its text. Where a number lies in the middle of two, that is not the nearest
 * one to itself but the nearest to the decimal that stands for it.
 */
export const singleOf = (value: number): number => {
  const nearest = Math.fround(value)
  if (!Number.isFinite(nearest) || !isHalfway(value, nearest)) return nearest
  const other = 2 * value - nearest
  const shown = mantissa(value.toExponential())
  const exact = mantissa(value.toExponential(99))
  if (shown === exact) return nearest
  return shown > exact === Math.abs(other) > Math.abs(nearest) ? other : nearest
}

export const float4: ReadBinary<number> = (bytes, offset) => {
  const value = float32(bytes, offset)
  if (!Number.isFinite(value) || (Number.isInteger(value) && Math.abs(value) < exactBelow)) return value
  // Six digits tell every value but the smallest, which have fewer.
  for (let digits = Math.abs(value) < smallestNormal ? 1 : 6; digits < 9; digits++) {
    const short = nearest(value, digits)
    if (Math.fround(short) === value && !isHalfway(short, value)) return short
  }
  return Number(value.toPrecision(9))
}
