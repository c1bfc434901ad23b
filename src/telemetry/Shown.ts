/**
 * What is shown of a statement or a batch: its name and attributes by OpenTelemetry's conventions for Postgres, and the series
 * that its durations are counted in. No parameter is shown, no password, and of a text without parameters no literal.
 */
import { beforeLiterals, blank, withoutPasswords } from "../errors/BlankLiterals.ts"
import type * as Durations from "../pool/Durations.ts"
import { serverOf } from "../pool/OwnSpans.ts"
import type { Pool } from "../pool/Pool.ts"
import { type KnownText, longestKept, type Shown } from "../pool/StatementCache.ts"
import type { Token } from "../statement/Scan.ts"
import { summarize } from "../statement/Summary.ts"

/** The most characters of a batch's texts, and of a statement's. */
const longestText = 8_192

const literal = /^(?:true|false)$/i

/** A text to show. One with parameters says by itself that its literals are no data. */
const textOf = ({ analysis, text }: KnownText): string => {
  if (analysis.placeholders > 0) return cut(withoutPasswords({ text, index: undefined }).text)
  const safe = beforeLiterals(text)
  const hides = ({ end, kind, start }: Token) =>
    kind === "string" || kind === "number" || (kind === "word" && literal.test(safe.slice(start, end)))
  return cut(blank({ text: safe, index: undefined }, hides).text)
}

const cut = (text: string): string => (text.length > longestText ? `${text.slice(0, longestText)}…` : text)

/** Where all runs are counted that no series of their own is left for. */
const overflow: Durations.Attributes = { "db.system.name": "postgresql", "otel.metric.overflow": "true" }

interface Parts {
  readonly table: string | undefined
  readonly summary: string
  readonly operation: string | undefined
  readonly text: string
  readonly size?: number
}

const make = (
  { durations, settings }: Pool,
  { operation, size, summary, table, text }: Parts,
  usage: KnownText["usage"] | undefined
): Shown => {
  const attributes = {
    ...Object.fromEntries(serverOf(settings)),
    ...(operation === undefined ? {} : { "db.operation.name": operation }),
    ...(summary === "" ? {} : { "db.query.summary": summary }),
    ...(table === undefined ? {} : { "db.collection.name": table })
  }
  const metric = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, String(value)]))
  return {
    table,
    name: summary === "" ? settings.database : summary,
    text,
    attributes: {
      ...attributes,
      ...(text === "" ? {} : { "db.query.text": text }),
      ...(size === undefined ? {} : { "db.operation.batch.size": size })
    },
    series: durations.of(metric, overflow),
    failed: (error) => {
      const attributes = {
        "error.type": error?.type ?? "_OTHER",
        ...(error?.status === undefined ? {} : { "db.response.status_code": error.status })
      }
      return durations.of({ ...metric, ...attributes }, { ...overflow, ...attributes })
    },
    usage
  }
}

/** What is shown of a statement, on a handle of this table. */
export const ofStatement = (pool: Pool, known: KnownText, table: string | undefined): Shown => {
  if (known.shown !== undefined && known.shown.table === table) return known.shown
  const { operation, summary } = summarize(known.text)
  known.shown = make(pool, { table, summary, operation, text: textOf(known) }, known.usage)
  return known.shown
}

/** Of so many different texts a batch is worked out once. */
const mostKept = 16

const areSame = (one: ReadonlyArray<KnownText>, other: ReadonlyArray<KnownText>): boolean =>
  one.length === other.length && one.every((known, index) => known === other[index])

/** What is shown of a batch: what its statements have in common. Worked out once for a batch that comes again. */
export const ofBatch = (pool: Pool, all: ReadonlyArray<KnownText>, table: string | undefined): Shown => {
  const [first] = all
  if (first !== undefined && all.length === 1) return ofStatement(pool, first, table)
  const texts = Array.from(new Set(all))
  const last = first?.batch
  if (
    last !== undefined &&
    last.size === all.length &&
    last.shown.table === table &&
    areSame(last.texts, texts)
  ) {
    return last.shown
  }
  const each = texts.map((known) => ofStatement(pool, known, table))
  const common = (name: string): string => {
    const values = new Set(each.map(({ attributes }) => attributes[name]))
    const [value] = values
    return values.size === 1 && typeof value === "string" ? `BATCH ${value}` : "BATCH"
  }
  const shown = make(
    pool,
    {
      table,
      summary: common("db.query.summary"),
      operation: common("db.operation.name"),
      text: cut(Array.from(new Set(each.map(({ text }) => text))).join("; ")),
      size: all.length
    },
    undefined
  )
  // What the cache does not keep, or is much, is not kept here either.
  const isSmall = texts.length <= mostKept && texts.every(({ text }) => text.length <= longestKept)
  if (first !== undefined && isSmall) first.batch = { texts, size: all.length, shown }
  return shown
}
