/**
 * One thing asked of the server and what came of it: a statement, a description, a `COPY`, an empty round trip.
 *
 * Exchanges are answered in the order in which they were written. Several may share one `Sync`: an error in one of them
 * makes the server skip the others up to that `Sync`.
 */
import type { Buffer } from "node:buffer"
import type { Locale } from "../types/PgType.ts"
import type { ReadRow, RowShape } from "../types/RowReader.ts"
import type { ServerFields } from "./MessageReader.ts"
import type { Formats, Prepared } from "./PreparedStatements.ts"

/** How far an exchange has come. */
export type State =
  /** Not answered yet, or only in part. */
  | "open"
  /** Answered in full. */
  | "done"
  /** The server refused it or it failed: see `error`. */
  | "failed"
  /** The server never looked at it, since something before it under the same `Sync` failed. */
  | "skipped"
  /** The session ended before it was written, or the server before it came to it. */
  | "unsent"
  /** The session ended when it was written and neither answered in full nor refused. */
  | "lost"

/** What is asked. */
interface Question {
  /** The statement that it binds or describes. */
  readonly prepared: Prepared | undefined
  readonly parses: boolean
  /** Prepared statements that the server forgets with it. */
  readonly closes: ReadonlyArray<string> | undefined
  /** Whether it only describes: it is done with the description. */
  readonly describes: boolean
  /** The formats that its rows come in. */
  readonly formats: Formats | undefined
  readonly shape: RowShape
  readonly syncs: boolean
  /** Called after each chunk that brought rows, which it may take, or data of a `COPY`, and when it is answered before its `Sync`. */
  readonly onProgress: ((exchange: Exchange) => void) | undefined
  readonly copy: CopyHandler | undefined
  /** How many answers about types had come when it was sent: composite types of its rows have to be from a later one. */
  readonly answers: number
}

/**
 * Rows as bytes, and how the session printed what of them is text: it may do otherwise when they are read. What their statement
 * itself has set is reported at its `ReadyForQuery`.
 */
export interface LateRows {
  readonly rows: Array<Buffer>
  locale: Locale
}

export interface Exchange extends Question {
  /** Called once, when the server is ready for the next or the session has ended. */
  readonly onSettled: (exchange: Exchange) => void
  state: State
  /** Counts what the session was asked, so that it knows what it has written. */
  order: number
  rows: Array<unknown>
  readRow: ReadRow | undefined
  /** `ParseComplete` came: the statement exists. */
  isParsed: boolean
  /** `BindComplete` came: from here on the statement may run. */
  isBound: boolean
  /** The portal has more rows than were asked for. */
  isSuspended: boolean
  /** The server's command tag, for instance `INSERT 0 1`. */
  tag: string
  error: ServerFields | undefined
  /** Rows as they came, from the first on that has a type which is not known: they wait for it. */
  late: LateRows | undefined
  /** What has to be learnt to read them. */
  missing: ReadonlyArray<number>
  /** The first value that came and cannot be given. */
  unreadable: Error | undefined
}

/** What a `COPY` does with the server's side of it. */
export interface CopyHandler {
  /** The server takes data (`CopyInResponse`). */
  readonly onIn: () => void
  /** Data that the server sends, from `start` to `end`. The bytes are only valid during the call. */
  readonly onData: (bytes: Buffer, start: number, end: number) => void
}

const none: ReadonlyArray<number> = []

export const make = (
  onSettled: (exchange: Exchange) => void,
  {
    prepared,
    parses = false,
    closes,
    describes = false,
    formats,
    shape = "object",
    syncs = true,
    onProgress,
    copy,
    answers = 0
  }: Partial<Question>
): Exchange => ({
  prepared,
  parses,
  closes,
  describes,
  formats,
  shape,
  syncs,
  onSettled,
  onProgress,
  copy,
  answers,
  state: "open",
  order: 0,
  rows: [],
  readRow: undefined,
  isParsed: false,
  isBound: false,
  isSuspended: false,
  tag: "",
  error: undefined,
  late: undefined,
  missing: none,
  unreadable: undefined
})

/**
 * Whether the server refused the statement before it ran: nothing of it took effect. In the extended protocol a statement
 * runs after `BindComplete` at the earliest.
 */
export const wasRefused = ({ isBound, state }: Pick<Exchange, "isBound" | "state">): boolean =>
  state === "failed" && !isBound

/**
 * Whether what was answered stands although the `ReadyForQuery` of its `Sync` did not come: outside of a transaction a
 * statement is committed by its `Sync`, behind its answer.
 */
export const stands = ({ syncs, tag }: Exchange): boolean => !syncs || tag === "COMMIT"

/** The first word of the server's command tag. */
export const commandOf = ({ tag }: Exchange): string => {
  const space = tag.indexOf(" ")
  return space < 0 ? tag : tag.slice(0, space)
}

/** How many rows were returned or touched: the number in the tag, or the rows where it has none (`SHOW`, `CALL`). */
export const rowCountOf = ({ rows, tag }: Exchange): number => {
  const count = Number(tag.slice(tag.lastIndexOf(" ") + 1))
  return tag.includes(" ") && Number.isSafeInteger(count) ? count : rows.length
}

const discarded = new Error("The rows are not read any more.")

/** Has the rest of the rows thrown away as they arrive. */
export const discardRows = (exchange: Exchange): void => {
  exchange.unreadable ??= discarded
  exchange.rows = []
  exchange.late = undefined
}
