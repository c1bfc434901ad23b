/**
 * What a pool remembers, and when it is stale: the one rule.
 *
 * | what | remembered | stale when | the statement that finds out |
 * | --- | --- | --- | --- |
 * | a text: what it shows, how long it takes | by text | never | – |
 * | a statement: types of its parameters, columns of its rows | by text and declared types, for the pool; apart for each `search_path` that a transaction sets by a statement that shows it | this program ran a statement that may change the catalogue; the server refused to bind it; a new description differs | was refused before it ran, and is sent again with what the server says now; inside a transaction it fails with `SerializationError`, so that `retry` repeats all of it |
 * | what `FETCH` and `EXECUTE` return | never: it is the cursor's or the prepared statement's, which another one of that name may have replaced | – | – |
 * | a prepared statement | by session | the same, for all sessions of the pool at once | the same |
 * | the types that the server fixed for its parameters | with it | another program changed a column's type, of which there is no message: so it is bound only with values that come out the same for every type (`Retyping.ts`, which names three exceptions), and parsed anew with others | – |
 * | a type of users: kind, elements | by OID, for the pool | this program may have changed the catalogue; an OID that is not known is asked for | is refused before it ran |
 * | a composite type's attributes | for one statement: asked for in the same round trip each time | – | – |
 * | a table's columns and what else decides how rows are stored in it (`TableShape.ts`) | by name, for the pool | the statement before a `COPY` of rows, in the same transaction, compares them with the catalogue | was refused before it ran, looks again and is sent again |
 *
 * So nothing that is remembered outlives the truth by more than one statement, no matter which program changed it. A refusal of this package
 * that rests on something remembered looks at the server again before it is final.
 */

import type { ErrorType } from "../errors/ErrorType.ts"
import { type Memory, make as makeStatement, type Statement } from "../protocol/KnownStatement.ts"
import { type Analysis, analyze, returnsByName } from "../statement/Analyze.ts"
import type { Histogram } from "./Histogram.ts"
import type { Latency } from "./Sharing.ts"
import * as Sharing from "./Sharing.ts"

/** How often a text ran and how long that took its callers; times in milliseconds. */
export interface Usage {
  runs: number
  failures: number
  millis: number
  longest: number
}

/** What spans, metrics and logs show of a statement. Put together by `telemetry/Shown.ts`. */
export interface Shown {
  /** The table of the handle that it ran on. */
  readonly table: string | undefined
  readonly name: string
  readonly text: string
  readonly attributes: Readonly<Record<string, string | number>>
  /** Where its runs are counted, */
  readonly series: Histogram
  /** and those that failed. */
  readonly failed: (error: ErrorType | undefined) => Histogram
  readonly usage: Usage | undefined
}

/** What is shown of a batch, by its texts in the order in which they first come. */
export interface ShownBatch {
  readonly texts: ReadonlyArray<KnownText>
  readonly size: number
  readonly shown: Shown
}

/** When a statement was sent, in nanoseconds of the monotonic clock. */
export interface Timing {
  sentAt: bigint | undefined
}

/** A text that was run before, or is about to be. */
export interface KnownText {
  readonly text: string
  readonly analysis: Analysis
  readonly latency: Latency
  /** The text with each set of declared types that it ran with. */
  readonly statements: Array<Statement>
  readonly usage: Usage
  shown: Shown | undefined
  /** The last batch that began with it. */
  batch: ShownBatch | undefined
}

export interface StatementCache extends Memory {
  /** `searchPath` where a transaction has set one: then the same text may be about other tables. */
  readonly get: (text: string, searchPath?: string) => KnownText
  readonly texts: () => Iterable<KnownText>
}

/** So many texts are kept, and as many used before them. */
const perGeneration = 1_024
/** Longer texts are looked at anew each time. */
export const longestKept = 16_384

/** What is remembered of a text; of one that returns what its session says, nothing that was described before. */
const asOfNow = (known: KnownText): KnownText =>
  returnsByName(known.analysis) ? { ...known, statements: [] } : known

export const make = (): StatementCache => {
  let recent = new Map<string, KnownText>()
  let older = new Map<string, KnownText>()
  return {
    generation: 0,
    get: (text, searchPath = "") => {
      const key = searchPath === "" ? text : `${searchPath}\0${text}`
      const known = recent.get(key)
      if (known !== undefined) return asOfNow(known)
      const found = older.get(key) ?? {
        text,
        analysis: analyze(text),
        latency: Sharing.makeLatency(),
        statements: [],
        usage: { runs: 0, failures: 0, millis: 0, longest: 0 },
        shown: undefined,
        batch: undefined
      }
      if (key.length > longestKept) return found
      if (recent.size >= perGeneration) {
        older = recent
        recent = new Map()
      }
      recent.set(key, found)
      return asOfNow(found)
    },
    texts: () => new Map([...older, ...recent]).values()
  }
}

/** A text has this many sets of declared types at the most; the oldest is forgotten. */
const mostTypeSets = 16

const areSame = (left: ReadonlyArray<number>, right: ReadonlyArray<number>): boolean => {
  if (left.length !== right.length) return false
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false
  return true
}

export const statementOf = (
  memory: Memory,
  { statements, text }: KnownText,
  types: ReadonlyArray<number>
): Statement => {
  for (const statement of statements) if (areSame(statement.types, types)) return statement
  const made = makeStatement(text, types, memory)
  if (statements.length >= mostTypeSets) statements.shift()
  statements.push(made)
  return made
}
