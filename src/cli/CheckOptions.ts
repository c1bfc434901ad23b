/**
 * What the command's options say that does not fit the database.
 */
import { nearest } from "../errors/NearestNames.ts"
import { camelOf, snakeOf } from "../statement/CamelCase.ts"
import type { Catalogue } from "./ReadCatalogue.ts"
import { keysOf, type ShapeOptions } from "./Shape.ts"

/** Two columns of one table that have one name in JavaScript: of their values a row would have one. */
export const clash = ({ tables }: Catalogue, { names }: ShapeOptions): string | undefined => {
  for (const table of names === "camel" ? tables : []) {
    const known = new Map<string, string>()
    for (const { name } of table.columns) {
      const camel = camelOf(name)
      const other = known.get(camel)
      if (other !== undefined) {
        const [one, two, both] = [other, name, camel].map((text) => JSON.stringify(text))
        return `The columns ${one} and ${two} of ${keysOf(table)[0]} are both ${both} in camel case. Rename one of them, or leave out --names camel.`
      }
      known.set(camel, name)
    }
  }
  return undefined
}

/** What is said of each column that its name in JavaScript does not lead back to: it can be read, and not be named. */
export const oneWay = ({ tables }: Catalogue, { names }: ShapeOptions): ReadonlyArray<string> =>
  (names === "camel" ? tables : []).flatMap((table) =>
    table.columns.flatMap(({ name }) => {
      const camel = camelOf(name)
      if (snakeOf(camel) === name) return []
      const [own, other] = [name, snakeOf(camel)].map((text) => JSON.stringify(text))
      return `The column ${own} of ${keysOf(table)[0]} has capitals, and in camel case ${JSON.stringify(camel)} is ${other} to filters and rows to store. Rename it, or leave out --names camel.`
    })
  )

/** What is said of each `--map` that nothing goes by: most likely it is misspelled. */
export const unused = ({ tables, types }: Catalogue, { replaced }: ShapeOptions): ReadonlyArray<string> => {
  const columns = tables.flatMap((table) =>
    keysOf(table).flatMap((key) => table.columns.map(({ name }) => `${key}.${name}`))
  )
  const typeNames = Array.from(types.values(), ({ name, schema }) => [name, `${schema}.${name}`]).flat()
  const known = new Set([...columns, ...typeNames])
  return Object.keys(replaced)
    .filter((key) => !known.has(key))
    .map((key) => {
      const [meant] = nearest(key, Array.from(known))
      const hint = meant === undefined ? "" : ` Did you mean ${meant}?`
      return `--map ${key} is neither a column nor the type of one.${hint}`
    })
}
