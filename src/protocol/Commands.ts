/**
 * What a session can be asked: to run a statement, to describe one, to go to the server and back.
 */

import type { WireValue } from "../types/PgType.ts"
import type { BinaryColumns, RowShape } from "../types/RowReader.ts"
import type { TypeMap } from "../types/TypeMap.ts"
import type { CopyHandler, Exchange } from "./Exchange.ts"
import * as Exchanges from "./Exchange.ts"
import type { Description, Statement } from "./KnownStatement.ts"
import * as Writer from "./MessageWriter.ts"
import * as PreparedStatements from "./PreparedStatements.ts"
import type { Session } from "./Session.ts"

export interface RunOptions {
  /** Bound by its prepared name, and prepared where it is not; else parsed as the unnamed statement. */
  readonly keep: boolean
  readonly shape?: RowShape
  /** What reads the rows: the session's types unless said. */
  readonly types?: TypeMap | undefined
  /** Whether a `Sync` follows: `true` unless said. */
  readonly syncs?: boolean | undefined
  readonly portal?: string
  /** Which columns are asked for in binary by what the pool knows, where this session has not described the statement. */
  readonly trusted?: BinaryColumns
  /** The columns as they were just described, where the pool knows none. */
  readonly described?: Description["columns"] | undefined
  /** So many rows at the most, 0 for all. */
  readonly maxRows?: number
  /** Whether what was written is to be answered at once, by a `Flush` in place of a `Sync`. */
  readonly flushes?: boolean | undefined
  readonly onProgress?: ((exchange: Exchange) => void) | undefined
  readonly copy?: CopyHandler | undefined
  /** Composite types that were learnt behind so many answers count: by now unless said. */
  readonly answers?: number | undefined
}

/** Whether the statement would be bound by a name that this session has prepared before. */
export const isPrepared = (session: Session, statement: Statement): boolean =>
  PreparedStatements.find(session.statements, statement) !== undefined

/** What this session knows of a statement that it has prepared. */
export const descriptionOn = (session: Session, statement: Statement): Description | undefined =>
  PreparedStatements.find(session.statements, statement)?.description

/** Runs a statement: `Parse` and `Describe` where it is not prepared, `Bind`, `Execute`. */
export const run = (
  session: Session,
  statement: Statement,
  values: ReadonlyArray<WireValue>,
  onSettled: (exchange: Exchange) => void,
  {
    answers = session.types.answers(),
    copy,
    described,
    flushes = false,
    keep,
    maxRows = 0,
    onProgress,
    portal = "",
    shape = "object",
    syncs = true,
    trusted = "records",
    types = session.types
  }: RunOptions
): Exchange => {
  const { statements, writer } = session
  const keeps = keep && session.keepsStatements
  PreparedStatements.writePortalCloses(statements, writer)
  const known = keeps ? PreparedStatements.find(statements, statement) : undefined
  const closes = known === undefined ? PreparedStatements.writeCloses(statements, writer) : undefined
  const prepared = known ?? PreparedStatements.prepare(statements, writer, statement, keeps)
  prepared.isUsed = true
  const formats = PreparedStatements.formatsFor(types, prepared, trusted, described)
  Writer.bind(writer, portal, prepared.name, values, formats.codes)
  Writer.execute(writer, portal, maxRows)
  if (syncs) Writer.sync(writer)
  else if (flushes) Writer.flush(writer)
  const parses = known === undefined
  const exchange = Exchanges.make(onSettled, {
    prepared,
    parses,
    closes,
    formats,
    shape,
    syncs,
    onProgress,
    copy,
    answers
  })
  session.enqueue(exchange)
  return exchange
}

/** Reads on from a portal that `run` has opened. */
export const fetch = (
  session: Session,
  { answers, formats, prepared, readRow, shape }: Exchange,
  portal: string,
  maxRows: number,
  onSettled: (exchange: Exchange) => void,
  onProgress?: (exchange: Exchange) => void
): Exchange => {
  PreparedStatements.writePortalCloses(session.statements, session.writer)
  Writer.execute(session.writer, portal, maxRows)
  Writer.sync(session.writer)
  const exchange = Exchanges.make(onSettled, { prepared, formats, shape, onProgress, answers })
  exchange.isBound = true
  exchange.readRow = readRow
  session.enqueue(exchange)
  return exchange
}

/** Closes a portal with the next statement: a reader may stop while another statement or a `COPY` is being written. */
export const closePortal = ({ statements }: Session, portal: string): void => {
  statements.portals.push(portal)
}

/** Has a statement parsed and described without running it. */
export const describe = (
  session: Session,
  statement: Statement,
  onSettled: (exchange: Exchange) => void,
  { keep, onProgress, syncs = true }: Pick<RunOptions, "keep" | "syncs" | "onProgress">
): Exchange => {
  const { statements, writer } = session
  const closes = PreparedStatements.writeCloses(statements, writer)
  const prepared = PreparedStatements.prepare(statements, writer, statement, keep && session.keepsStatements)
  if (syncs) Writer.sync(writer)
  const exchange = Exchanges.make(onSettled, {
    prepared,
    parses: true,
    closes,
    describes: true,
    syncs,
    onProgress
  })
  session.enqueue(exchange)
  return exchange
}

/** Goes to the server and back: settled when everything before it is. */
export const ping = (session: Session, onSettled: (exchange: Exchange) => void): void => {
  Writer.sync(session.writer)
  const exchange = Exchanges.make(onSettled, {})
  exchange.state = "done"
  session.enqueue(exchange)
}
