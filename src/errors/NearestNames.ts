/**
 * Names that someone could have meant.
 */

/** How many characters have to be changed, put in, left out or swapped with their neighbour to get from one to the other. */
const distance = (left: string, right: string): number => {
  let beforeLast: Array<number> = []
  let last = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let i = 1; i <= left.length; i++) {
    const row = [i]
    for (let j = 1; j <= right.length; j++) {
      const same = left[i - 1] === right[j - 1]
      const swapped = left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]
      row.push(
        Math.min(
          last[j]! + 1,
          row[j - 1]! + 1,
          last[j - 1]! + (same ? 0 : 1),
          swapped ? beforeLast[j - 2]! + 1 : Number.POSITIVE_INFINITY
        )
      )
    }
    beforeLast = last
    last = row
  }
  return last[right.length]!
}

/** How many first letters make a long name. */
const stem = 10

/** Whether a name is most likely another one misspelled: other capitals or separators, one wrong character, another end. */
export const isSlip = (name: string, meant: string): boolean => {
  const [left, right] = [name, meant].map((one) => one.toLowerCase().replaceAll(/[^a-z0-9]/g, ""))
  if (left === undefined || right === undefined || left === right) return true
  if (right.length > stem && left.slice(0, stem) === right.slice(0, stem)) return true
  return right.length > 3 && distance(left, right) === 1
}

/**
 * Up to three of the names that are spelled most like `name`, the nearest first; upper and lower case count as the same.
 * Empty when none is near.
 */
export const nearest = (name: string, names: ReadonlyArray<string>): ReadonlyArray<string> => {
  const wanted = name.toLowerCase()
  const farthest = Math.max(1, Math.floor(wanted.length / 3))
  return names
    .map((candidate) => {
      const lower = candidate.toLowerCase()
      const partly =
        wanted.length > 2 && lower.length > 2 && (lower.startsWith(wanted) || wanted.startsWith(lower))
      const far = Math.min(distance(wanted, lower), partly ? farthest : Number.POSITIVE_INFINITY)
      return { candidate, far }
    })
    .filter(({ far }) => far <= farthest)
    .sort((left, right) => left.far - right.far)
    .slice(0, 3)
    .map(({ candidate }) => candidate)
}
