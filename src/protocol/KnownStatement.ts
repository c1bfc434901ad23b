/**
 * Statements as a session knows them: a text with the types that its parameters are declared with, and what the server
 * said about it.
 */
import type { Column } from "../types/RowReader.ts"

/** What the server says about a statement: the types of its parameters and the columns of its rows. */
export interface Description {
  readonly parameterTypes: ReadonlyArray<number>
  /** Empty for a statement that returns no rows. */
  readonly columns: ReadonlyArray<Column>
}

/** What is known of all statements of a pool; a number that grows when it may be stale. */
export interface Memory {
  generation: number
}

/** A text with declared types of parameters; 0 leaves a type to the server. One object for each such pair in a pool. */
export interface Statement {
  readonly text: string
  readonly types: ReadonlyArray<number>
  readonly memory: Memory
  /** What any session of the pool learnt last: read it by `descriptionOf`. */
  description: Description | undefined
  describedIn: number
  /** How often it was forgotten by itself. */
  forgotten: number
  /** The composite types among its columns, by the knowledge of types of this version. */
  composites: { readonly version: number; readonly oids: ReadonlyArray<number> } | undefined
}

/** A statement of which nothing is known. */
export const make = (
  text: string,
  types: ReadonlyArray<number> = [],
  memory: Memory = { generation: 0 }
): Statement => ({
  text,
  types,
  memory,
  description: undefined,
  describedIn: -1,
  forgotten: 0,
  composites: undefined
})

/** Changes when what was prepared before has to be prepared anew. */
export const generationOf = ({ forgotten, memory }: Statement): number => forgotten + memory.generation

/** What is known of a statement, unless it may be stale. */
export const descriptionOf = (statement: Statement): Description | undefined =>
  statement.describedIn === generationOf(statement) ? statement.description : undefined

/** Whether two lists of columns have the same names and types. */
export const areSame = (left: ReadonlyArray<Column>, right: ReadonlyArray<Column>): boolean =>
  left.length === right.length &&
  left.every(({ name, type }, index) => {
    const other = right[index]
    return other?.name === name && other.type === type
  })

const isSame = (left: Description, right: Description): boolean =>
  left.parameterTypes.length === right.parameterTypes.length &&
  left.parameterTypes.every((type, index) => type === right.parameterTypes[index]) &&
  areSame(left.columns, right.columns)

/** Takes what the server says now. Where it says another thing than before, what was prepared by that is stale. */
export const describeAs = (statement: Statement, description: Description): void => {
  const known = descriptionOf(statement)
  if (known !== undefined && !isSame(known, description)) statement.forgotten++
  statement.composites = undefined
  statement.description = description
  statement.describedIn = generationOf(statement)
}

/** Forgets what is known of a statement, for all sessions of the pool. */
export const forget = (statement: Statement): void => {
  statement.forgotten++
  statement.description = undefined
}
