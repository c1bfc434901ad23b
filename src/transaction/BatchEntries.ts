/**
 * The statements of a batch before they are sent: checked, encoded where nothing has to be asked, and described where something
 * has. What a statement before may change is left until that one has run.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { SqlError } from "effect/sql/SqlError"
import { isPoolError, type OperationError, type PoolError, refused } from "../errors/PoolError.ts"
import * as Jobs from "../execute/Job.ts"
import { learnFloats } from "../execute/Learn.ts"
import { mayCommit } from "../execute/Resend.ts"
import * as Send from "../execute/Send.ts"
import type { Pool } from "../pool/Pool.ts"
import { isDead, type PooledConnection } from "../pool/PooledConnection.ts"
import type { Timing } from "../pool/StatementCache.ts"
import { type Analysis, returnsByName } from "../statement/Analyze.ts"
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
  Effect.mapBoth(Send.ready(pool, connection, entry.job), {
    onSuccess: ({ encoded }) => {
      entry.encoded = encoded
    },
    onFailure: (error) =>
      isPoolError(error) ? numbered(error, entry.job.position ?? { number: 1, of: 1 }) : error
  })

/** The statements up to the first of a kind, and those behind it. */
const splitAt = (
  entries: ReadonlyArray<Entry>,
  isMeant: (analysis: Analysis) => boolean
): readonly [upTo: ReadonlyArray<Entry>, behind: ReadonlyArray<Entry>] => {
  const first = entries.findIndex(({ job }) => isMeant(job.known.analysis))
  return first < 0 ? [entries, []] : [entries.slice(0, first + 1), entries.slice(first + 1)]
}

/**
 * Whether a statement may set how rows are printed. Where the style is not ISO, code that it runs may too: an order of day and month,
 * or a zone, is not seen in what was printed.
 */
const setsPrinting =
  (connection: PooledConnection) =>
  (analysis: Analysis): boolean =>
    analysis.setsDateStyle ||
    analysis.setsFloatDigits ||
    (!Send.isTypical(connection) && (analysis.callsFunctions || mayCommit(analysis)))

/** The statements up to the first that may change what the others are about, or how their rows are printed. */
const beforeDefinitions = (
  connection: PooledConnection,
  entries: ReadonlyArray<Entry>
): ReadonlyArray<Entry> => {
  const isSetter = setsPrinting(connection)
  return splitAt(
    entries,
    (analysis) => analysis.changesCatalogue || analysis.setsSearchPath || isSetter(analysis)
  )[0]
}

/** Those whose rows a statement before may have printed otherwise than the session prints them now. */
const printedAnew = (connection: PooledConnection, entries: ReadonlyArray<Entry>): ReadonlyArray<Entry> =>
  splitAt(entries, setsPrinting(connection))[1].filter(({ job }) => job.known.analysis.returnsRows)

/**
 * Whether the session has to be asked first how it prints floats: what has written cannot be run again to read them better, as a
 * batch that only reads can.
 */
const asksFloats = (pool: Pool, connection: PooledConnection, entries: ReadonlyArray<Entry>): boolean =>
  connection.session.floats === "unknown" &&
  !entries.every(({ job }) => job.known.analysis.isPlainRead) &&
  entries.some(
    ({ encoded, job }) => encoded !== undefined && Send.mayPrintFloats(pool, connection, job, encoded)
  )

/** Whether a statement can be sent on this connection as it is. */
const isReady = (pool: Pool, connection: PooledConnection, { encoded, job }: Entry): boolean =>
  encoded !== undefined && (!job.known.analysis.returnsRows || Send.isReadyOn(pool, connection, job, encoded))

/** Whether a batch can be sent on this connection with nothing to ask first. */
export const areReady = (pool: Pool, connection: PooledConnection, entries: ReadonlyArray<Entry>): boolean =>
  entries.every((entry) => isReady(pool, connection, entry)) &&
  printedAnew(connection, entries).length === 0 &&
  !asksFloats(pool, connection, entries)

/** Asks it; a session that turns out to have ended is left for the batch to find. */
const askFloats = (connection: PooledConnection): Effect.Effect<void, SqlError> =>
  Effect.catch(learnFloats(connection), (error) => (isDead(connection) ? Effect.void : Effect.fail(error)))

/** Prepares what can be before any is sent: the others wait for the statements before them, which may make their tables. */
export const prepareAll = Effect.fnUntraced(function* (
  pool: Pool,
  connection: PooledConnection,
  entries: ReadonlyArray<Entry>
): Effect.fn.Return<void, OperationError> {
  if (asksFloats(pool, connection, entries)) yield* askFloats(connection)
  for (const entry of entries) if (!isReady(pool, connection, entry)) entry.encoded = undefined
  for (const entry of printedAnew(connection, entries)) entry.encoded = undefined
  for (const entry of beforeDefinitions(connection, entries)) {
    // What it names may be made by a statement before it.
    if (entry.encoded !== undefined || (entry !== entries[0] && returnsByName(entry.job.known.analysis)))
      continue
    yield* Effect.catchTag(prepareEntry(pool, connection, entry), "DescribeFailure", () => Effect.void)
  }
})
