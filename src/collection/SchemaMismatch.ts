/**
 * Errors of a table's schema, with the call, the row and the column, and never a value.
 */
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { shown } from "./CheckInput.ts"

/** Where values are translated. */
export interface At {
  /** The call as a message names it, for instance `users.find`. */
  readonly place: string
  /** How many rows of the call came before the first of these; left out where rows have no numbers. */
  readonly before?: number
  /** What more there is to say. */
  readonly note?: string
}

type Path = ReadonlyArray<PropertyKey>

/** What an issue's path leads through. */
interface Place {
  readonly index?: PropertyKey | undefined
  readonly column?: PropertyKey | undefined
  readonly inside: Path
}

/** How the path of an issue is read: of rows, of one value of a column, or of several. */
export const ofRows = ([index, column, ...inside]: Path): Place => ({ index, column, inside })
export const ofValue =
  (column: string) =>
  (inside: Path): Place => ({ column, inside })
export const ofValues =
  (column: string) =>
  ([, ...inside]: Path): Place => ({ column, inside })

const rules = {
  in: "What goes in has to fit the table's schema. The call had no effect.",
  out: "What is read has to fit the table's schema; rows of another shape are read by select on the database's handle."
} as const

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const step = (key: PropertyKey): string => `[${typeof key === "string" ? shown(key) : String(key)}]`

/** `users.find, row 2, column "tags"[0]` */
const where = ({ before, place }: At, { column, index, inside }: Place): string => {
  const row = before === undefined || typeof index !== "number" ? "" : `, row ${before + index + 1}`
  return column === undefined
    ? `${place}${row}`
    : `${place}${row}, column ${shown(String(column))}${inside.map(step).join("")}`
}

/** The same error, telling where. */
export const tell =
  (at: At, direction: "in" | "out", read: (path: Path) => Place) =>
  ({ issue }: Schema.SchemaError): Schema.SchemaError => {
    const lines = format(issue).issues.map(({ message, path = [] }) => {
      const keys = path.map((segment) => (typeof segment === "object" ? segment.key : segment))
      return `${where(at, read(keys))}: ${message.replace(/\.$/, "")}.`
    })
    const message = [lines.join("\n"), rules[direction], at.note ?? ""].join(" ").trimEnd()
    return Object.defineProperty(new Schema.SchemaError(issue), "message", { value: message })
  }
