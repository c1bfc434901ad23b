/**
 * Columns' names in camel case in JavaScript and in snake case in the database: the setting `names: "camel"`.
 *
 * Only an underscore between a letter or digit and a small letter goes, so that every name without capitals comes back as it was:
 * `address_1`, `_private` and `a__b` stay.
 */

/** How columns are named in JavaScript. */
export type Naming = "as-is" | "camel"

/** `created_at` becomes `createdAt`. */
export const camelOf = (column: string): string =>
  column.replaceAll(/(?<=[A-Za-z0-9])_([a-z])/g, (_, letter: string) => letter.toUpperCase())

/** `createdAt` becomes `created_at`. */
export const snakeOf = (name: string): string =>
  name.replaceAll(/(?<=[A-Za-z0-9])[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** A column's name in the database. */
export const columnOf = (name: string, naming: Naming): string => (naming === "camel" ? snakeOf(name) : name)

/** A column's name in JavaScript. */
export const nameOf = (column: string, naming: Naming): string =>
  naming === "camel" ? camelOf(column) : column
