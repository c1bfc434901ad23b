/**
 * The shortest digits of a double that lead back to it, for the doubles between 0.0001 and 100 000 000, where most of the
 * world's coordinates are: several times as fast as `String(value)`, which takes all others.
 *
 * The value times a power of ten, which makes a number of 17 digits, is exact as the sum of two doubles (Dekker 1971), and
 * so is its distance from the neighbours. Digits are dropped as long as what is left is nearer to the value than to these.
 */
import { putEight, withoutZeros } from "./Output.ts"

const dot = 46
const zero = 48

const powers: Float64Array = /* @__PURE__ */ new Float64Array(23).map((_, exponent) =>
  Number(`1e${exponent}`)
)

/** The upper half of the bits of a double. */
const upper = (value: number): number => {
  const shifted = value * 134_217_729
  return shifted - (shifted - value)
}

const upperPowers: Float64Array = /* @__PURE__ */ powers.map(upper)

/** Where the places of the value begin: 0 for 1 to 10, 1 for 10 to 100, −1 for 0.1 to 1. */
const magnitudeOf = (value: number): number => {
  let magnitude = 0
  if (value >= 1) while (value >= powers[magnitude + 1]!) magnitude++
  else for (let limit = 1; value < limit; magnitude--) limit = 1 / powers[1 - magnitude]!
  return magnitude
}

/** What is too near to a limit for one double to tell is left to `String`. */
const doubt = 1e-6
const tail = 100_000_000

/** The last eight of 17 digits as the shortest have them; `x` is their exact value, `reach` how far others may be off. */
const shorten = (x: number, reach: number): number => {
  let found = Math.round(x)
  if (Math.abs(Math.abs(found - x) - 0.5) < doubt) return -1
  for (let step = 10, inverse = 0.1; step < tail; step *= 10, inverse *= 0.1) {
    const next = Math.round(x * inverse) * step
    const off = Math.abs(next - x)
    if (off > reach + doubt) return found
    if (off > reach - doubt || Math.abs(off - step / 2) < doubt) return -1
    found = next
  }
  return -1
}

/**
 * Prints the value, which is no integer, and gives the place behind; 0 where it is in doubt. `unit` is what the lowest of its 53
 * bits stands for; it is no power of two, which is nearer to the double below it than to the one above.
 */
export const putShortest = (target: Uint8Array, at: number, value: number, unit: number): number => {
  const magnitude = magnitudeOf(value)
  const power = powers[16 - magnitude]!
  const upperPower = upperPowers[16 - magnitude]!
  const lowerPower = power - upperPower
  const upperValue = upper(value)
  const lowerValue = value - upperValue
  const product = value * power
  const rest =
    upperValue * upperPower -
    product +
    upperValue * lowerPower +
    lowerValue * upperPower +
    lowerValue * lowerPower
  const head = (product * 1e-8) | 0
  const last = shorten(product - head * tail + rest, (unit / 2) * power)
  if (last < 0 || last >= tail || head < tail || head >= 1_000_000_000) return 0
  let start = at + 1
  if (magnitude < 0) {
    for (; start < at - magnitude + 1; start++) target[start] = zero
    start = at - magnitude + 1
  }
  const first = (head / tail) | 0
  target[start] = zero + first
  const end = putEight(target, putEight(target, start + 1, head - first * tail), last)
  if (magnitude < 0) target[at] = zero
  for (let index = 0; index <= magnitude; index++) target[at + index] = target[at + index + 1]!
  target[at + Math.max(magnitude, 0) + 1] = dot
  return withoutZeros(target, end)
}
