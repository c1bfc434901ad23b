/**
 * The statements of a batch before they are sent: checked, encoded where nothing has to be asked, and described where something
 * has. What a statement before may change is left until that one has run.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { isSqlError } from "effect/sql/SqlError"
import { type OperationError, type PoolError, refused } from "../errors/PoolError.ts"
import * as Jobs from "../execute/Job.ts"
import * as Send from "../execute/Send.ts"
import type { Pool } from "../pool/Pool.ts"
import type { PooledConnection } from "../pool/PooledConnection.ts"
import type { Timing } from "../pool/StatementCache.ts"
import type { Naming } from "../statement/CamelCase.ts"
import { isArray } from "../statement/PlainObject.ts"
import { fromStatement, type Statement } from "../statement/Statement.ts"
import type { Encoded } from "../types/Parameters.ts"

/** A statement of the batch; its parameters once they are encoded. */
export interface Entry {
  readonly job: Jobs.Job
  encoded: Encoded | undefined
}

const numbered = (error: PoolError, { file, line, number, of }: Jobs.Position): PoolError => {
  const where = line === undefined ? "" : `, line ${line}${file === undefined ? "" : ` of ${file}`}`
  return refused(`Statement ${number} of ${of}${where}: ${error.message}`)
}

/** How a batch's rows are named, the table of the handle, and where its statements stand. */
export interface BatchOptions {
  readonly naming?: Naming
  readonly table?: string | undefined
  readonly positions?: ReadonlyArray<Jobs.Position>
  /** Whether the statements may be kept prepared. */
  readonly keeps?: boolean
}

export const entriesOf = (
  pool: Pool,
  statements: ReadonlyArray<Statement>,
  { keeps = true, naming = "as-is", positions }: BatchOptions,
  prepare: boolean,
  timing: Timing | undefined,
  givenPath: string
): ReadonlyArray<Entry> | PoolError => {
  if (!isArray(statements)) return refused("trans takes an array of statements. Nothing was sent.")
  const of = statements.length
  const shape = naming === "camel" ? "camel" : "object"
  const entries: Array<Entry> = []
  let searchPath = givenPath
  // A hole in the array is refused as a missing statement, so the loop goes by index.
  for (let index = 0; index < of; index++) {
    const position = positions?.[index] ?? { number: index + 1, of }
    const bound = fromStatement(statements[index], naming)
    if (Result.isFailure(bound)) return numbered(bound.failure, position)
    const options: Jobs.JobOptions = { position, prepare: prepare && keeps, shape }
    const prepared = Jobs.prepare(pool, bound.success, options, timing)
    if (!Jobs.isJob(prepared)) return numbered(prepared, position)
    const { text } = bound.success
    const job = searchPath === "" ? prepared : { ...prepared, known: pool.statements.get(text, searchPath) }
    if (job.known.analysis.setsSearchPath) searchPath = Jobs.searchPathOf(bound.success)
    entries.push({ job, encoded: Send.plainOf(pool, job) })
  }
  return entries
}

/** Has the server describe a statement where that is needed, and encodes its parameters. */
export const prepareEntry = (pool: Pool, connection: PooledConnection, entry: Entry) =>
  Effect.map(Send.ready(pool, connection, entry.job), ({ encoded }) => {
    entry.encoded = encoded
  })

/** The statements up to the first that may change what the others are about. */
const beforeDefinitions = (entries: ReadonlyArray<Entry>): ReadonlyArray<Entry> => {
  const first = entries.findIndex(
    ({ job: { known } }) => known.analysis.changesCatalogue || known.analysis.setsSearchPath
  )
  return first < 0 ? entries : entries.slice(0, first + 1)
}

/** Prepares what can be before any is sent: the others wait for the statements before them, which may make their tables. */
export const prepareAll = (
  pool: Pool,
  connection: PooledConnection,
  entries: ReadonlyArray<Entry>
): Effect.Effect<void, OperationError> =>
  Effect.forEach(
    beforeDefinitions(entries).filter(({ encoded }) => encoded === undefined),
    (entry) =>
      Effect.catch(prepareEntry(pool, connection, entry), (error) => {
        if (error._tag === "DescribeFailure") return Effect.void
        const position = entry.job.position ?? { number: 1, of: 1 }
        return Effect.fail(isSqlError(error) ? error : numbered(error, position))
      }),
    { discard: true }
  )
