/**
 * Pieces of SQL put together: lists and conditions that depend on what is asked.
 */
import { refused } from "../errors/PoolError.ts"
import { add, addText, draft, isPiece, make, type Sql } from "./Sql.ts"

/**
 * Pieces with a separator between them, `", "` unless given; none for no pieces. A value that is not a piece is a parameter, as in a
 * template. The separator is SQL text: never take it from data.
 *
 * **Example** (Columns and values that are known at run time)
 *
 * ```ts
 * import { PG } from "effect-global-pool"
 *
 * const columns = PG.join(["id", "name"].map((name) => PG.id(name)))
 * const statement = PG.sql`select ${columns} from users where id in (${PG.join([1, 2, 3])})`
 * ```
 */
export const join = (pieces: ReadonlyArray<unknown>, separator: string | Sql = ", "): Sql => {
  const into = draft()
  for (const [index, piece] of pieces.entries()) {
    if (index > 0 && typeof separator === "string") addText(into, separator)
    else if (index > 0) add(into, separator)
    add(into, piece)
  }
  return make(into)
}

/** Conditions with a word between them, in parentheses of their own and as a whole. */
const connect = (name: "and" | "or", none: string, pieces: ReadonlyArray<Sql>): Sql => {
  if (pieces.length === 0) return make(draft(none))
  const into = draft("(")
  for (const [index, piece] of Array.from<unknown>(pieces).entries()) {
    if (!isPiece(piece)) {
      const what = `PG.${name} was given ${piece === null ? "null" : `a value of type ${typeof piece}`} as condition ${index + 1}`
      into.problem ??= refused(
        `${what}, and it takes pieces of SQL: PG.sql\`…\` or PG.where(filter). Leave out what does not apply. Nothing was sent.`
      )
    }
    addText(into, index === 0 ? "(" : `) ${name} (`)
    add(into, piece)
  }
  addText(into, "))")
  return make(into)
}

/**
 * All of these conditions; `true` for none.
 *
 * **Example** (Conditions that depend on what is asked)
 *
 * ```ts
 * import { PG } from "effect-global-pool"
 *
 * const search = (asked: { name?: string; minAge?: number }) =>
 *   PG.and([
 *     ...(asked.name === undefined ? [] : [PG.sql`name ilike ${asked.name}`]),
 *     ...(asked.minAge === undefined ? [] : [PG.sql`age >= ${asked.minAge}`])
 *   ])
 * const statement = PG.sql`select * from users where ${search({ minAge: 18 })}`
 * ```
 */
export const and = (pieces: ReadonlyArray<Sql>): Sql => connect("and", "true", pieces)

/** One of these conditions at least; `false` for none. */
export const or = (pieces: ReadonlyArray<Sql>): Sql => connect("or", "false", pieces)
