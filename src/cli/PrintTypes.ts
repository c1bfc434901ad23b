/**
 * The file of types: an interface for the rows of each table and one for the rows that go in, unions for enums, objects for
 * composites, and `Tables`, which `PG.make` takes.
 */
import { keyOf, literalOf } from "./Identifiers.ts"
import type { Declared, Field, Shape, Shapes } from "./Shape.ts"

export const header = [
  "// Written from the database by `npx effect-global-pool types`. What is changed here is lost at its next run.",
  ""
]

/** A comment of the database above what it is about. */
export const comment = (text: string | null, indent = ""): ReadonlyArray<string> => {
  const lines = (text ?? "").replaceAll("*/", "*\\/").trim().split(/\r?\n/)
  if (lines.length > 1)
    return [`${indent}/**`, ...lines.map((line) => `${indent} * ${line}`.trimEnd()), `${indent} */`]
  return lines[0] === "" ? [] : [`${indent}/** ${lines[0]} */`]
}

const widest = 110

const print = (shape: Shape): string => {
  switch (shape.tag) {
    case "plain":
      return shape.name
    case "hstore":
      return "Readonly<Record<string, string | null>>"
    case "named":
      return shape.name
    case "given":
      return shape.text
    case "array":
      return `ReadonlyArray<${print(shape.of)}>`
    case "nullable":
      return shape.of.tag === "plain" && shape.of.name === "unknown" ? "unknown" : `${print(shape.of)} | null`
    case "union":
      return shape.of.map(print).join(" | ")
  }
}

const property = ({ comment: text, name }: Field, mark: string, type: string): ReadonlyArray<string> => [
  ...comment(text, "  "),
  `  readonly ${keyOf(name)}${mark}: ${type}`
]

const braces = (head: string, lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.length === 0 ? [`${head} {}`, ""] : [`${head} {`, ...lines, "}", ""]

/** `export type Mood = "happy" | "sad"`, one below the other where they do not fit. */
const enumeration = ({ comment: text, labels, name }: Shapes["enums"][number]): ReadonlyArray<string> => {
  const texts = labels.map(literalOf)
  const line = `export type ${name} = ${texts.length === 0 ? "never" : texts.join(" | ")}`
  const lines =
    line.length <= widest ? [line] : [`export type ${name} =`, ...texts.map((label) => `  | ${label}`)]
  return [...comment(text), ...lines, ""]
}

const rows = ({ comment: text, name }: Declared, fields: ReadonlyArray<Field>): ReadonlyArray<string> => [
  ...comment(text),
  ...braces(
    `export interface ${name}`,
    fields.flatMap((field) => property(field, "", print(field.out)))
  )
]

const inserted = ({ fields, insert, key }: Shapes["tables"][number]): ReadonlyArray<string> => [
  ...comment(`A row to be stored in ${key}.`),
  ...braces(
    `export interface ${insert}`,
    fields.flatMap((field) => {
      if (field.in === undefined) return []
      const type = print(field.in)
      return field.isOptional && type !== "unknown"
        ? property(field, "?", `${type} | undefined`)
        : property(field, field.isOptional ? "?" : "", type)
    })
  )
]

export const printTypes = ({ composites, enums, tables }: Shapes): string =>
  [
    ...header,
    ...enums.flatMap(enumeration),
    ...composites.flatMap((composite) => rows(composite, composite.fields)),
    ...tables.flatMap((table) => [
      ...rows(table, table.fields),
      ...(table.isInsertable ? inserted(table) : [])
    ]),
    "/** The tables of the database: `PG.make<Tables>(…)`. */",
    ...braces(
      "export interface Tables",
      tables.map(
        ({ insert, isInsertable, key, name }) =>
          `  readonly ${keyOf(key)}: { readonly row: ${name}; readonly insert: ${isInsertable ? insert : "never"} }`
      )
    )
  ].join("\n")
