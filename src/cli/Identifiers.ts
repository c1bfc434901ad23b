/**
 * Names of Postgres as names of TypeScript.
 */

const notPart = /[^\p{ID_Continue}$]+/u

/** `user_accounts` becomes `UserAccounts`. */
export const identifierOf = (name: string): string => {
  const words = name.split(/[\s_]+/).flatMap((word) => word.split(notPart))
  const joined = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("")
  return /^[\p{ID_Start}$]/u.test(joined) ? joined : `_${joined}`
}

/** A string as code has it: in the quotes that need no escapes, where there are such. */
export const literalOf = (text: string): string =>
  text.includes('"') && !/['\\\n\r]/.test(text) ? `'${text}'` : JSON.stringify(text)

/** A key of an object or interface: in quotes where it has to be. */
export const keyOf = (name: string): string =>
  name === "__proto__"
    ? '["__proto__"]'
    : /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name)
      ? name
      : literalOf(name)

/** What a file's own names must not hide, and what it declares itself. */
const taken = [
  "Tables",
  "Array",
  "ReadonlyArray",
  "Readonly",
  "Record",
  "Date",
  "Uint8Array",
  "Schema",
  "Model"
]

/** Gives each name once: the second `Users` is `Users2`. */
export const makeNames = () => {
  const used = new Set(taken)
  return (name: string): string => {
    let free = name
    for (let number = 2; used.has(free); number++) free = `${name}${number}`
    used.add(free)
    return free
  }
}
