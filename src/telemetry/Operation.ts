/**
 * An operation as it is seen from outside: counted in the metric of durations, in a span where a tracer is installed, in the log
 * where the settings ask for it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
import { errorTypeOf } from "../errors/ErrorType.ts"
import * as Histogram from "../pool/Histogram.ts"
import { isSeen, note } from "../pool/OwnSpans.ts"
import type { AnyFiber, Pool } from "../pool/Pool.ts"
import type { Shown, Timing } from "../pool/StatementCache.ts"
import { ofStatement } from "./Shown.ts"
import { lineOf } from "./StatementLog.ts"

/** Notes when a statement is sent, where that is logged. */
export const timingOf = ({ settings }: Pool): Timing | undefined =>
  settings.logStatements === "none" ? undefined : { sentAt: undefined }

/** The span that an operation's caller has made of it, once it is there. */
export const StatementSpan = Context.Reference<{ readonly span: Tracer.Span | undefined } | undefined>(
  "effect-global-pool/StatementSpan",
  { defaultValue: () => undefined }
)

/** Notes on a span how its operation went. */
type NoteOn = (exit: Exit.Exit<unknown, unknown>) => void

/** Notes on its caller's span what went wrong, and how its text is shown. */
const noteOnCallers =
  (fiber: AnyFiber, { text }: Shown): NoteOn =>
  (exit) => {
    const span = fiber.getRef(StatementSpan)?.span
    if (span === undefined) return
    note(span, exit)
    if (span.attributes.get("db.query.text") !== text) span.attribute("db.query.text", text)
  }

/**
 * Gives a statement's pool. Where there is none, its caller's span says why, and shows no text: which of it are literals is known
 * by a pool.
 */
export const poolOf = <E>(current: Effect.Effect<Pool, E>): Effect.Effect<Pool, E> =>
  Effect.withFiber((fiber) =>
    Effect.onExitPrimitive(current, (exit) => {
      const span = Exit.isFailure(exit) ? fiber.getRef(StatementSpan)?.span : undefined
      if (span !== undefined) {
        note(span, exit)
        span.attribute("db.query.text", "")
      }
      return undefined
    })
  )

export interface Options {
  /** Its caller has made a span of it already. */
  readonly hasSpan?: boolean | undefined
}

/** An operation: what is shown of it, and when it was sent. */
export interface Subject extends Options {
  readonly shown: Shown
  readonly timing: Timing | undefined
}

/** An operation that is one statement. */
export const subjectOf = (
  pool: Pool,
  text: string,
  { hasSpan, table }: Options & { readonly table?: string | undefined }
): Subject => ({
  shown: ofStatement(pool, pool.statements.get(text), table),
  timing: timingOf(pool),
  hasSpan
})

const count = ({ failed, series, usage }: Shown, millis: number, exit: Exit.Exit<unknown, unknown>): void => {
  if (usage !== undefined) {
    usage.runs++
    usage.millis += millis
    if (millis > usage.longest) usage.longest = millis
  }
  const isFailed = Exit.isFailure(exit)
  if (usage !== undefined && isFailed) usage.failures++
  Histogram.record(isFailed ? failed(errorTypeOf(exit)) : series, millis)
}

const millisBetween = (from: bigint, to: bigint): number => Number(to - from) / 1e6

/** What happens at the end of an operation. */
type AtEnd<A> = (exit: Exit.Exit<A, unknown>) => Effect.Effect<void> | undefined

/** Counts an operation that begins now. */
const counted = ({ clock }: Pool, shown: Shown, noteOn: NoteOn | undefined): AtEnd<unknown> => {
  const began = clock.currentTimeMillisUnsafe()
  return (exit) => {
    noteOn?.(exit)
    count(shown, clock.currentTimeMillisUnsafe() - began, exit)
    return undefined
  }
}

/** The same, and writes it into the log. */
const logged = <A>(
  { clock, settings }: Pool,
  fiber: AnyFiber,
  shown: Shown,
  timing: Timing,
  rowsOf: (value: A) => number | undefined,
  noteOn: NoteOn | undefined
): AtEnd<A> => {
  const began = clock.monotonicTimeNanosUnsafe()
  return (exit) => {
    const ended = clock.monotonicTimeNanosUnsafe()
    const sent = timing.sentAt ?? ended
    noteOn?.(exit)
    count(shown, millisBetween(began, ended), exit)
    return lineOf(settings, fiber, shown, {
      waited: millisBetween(began, sent),
      ran: millisBetween(sent, ended),
      rows: Exit.isSuccess(exit) ? rowsOf(exit.value) : undefined,
      error: errorTypeOf(exit)
    })
  }
}

const watch = <A>(
  pool: Pool,
  fiber: AnyFiber,
  { shown, timing }: Subject,
  rowsOf: (value: A) => number | undefined,
  noteOn: NoteOn | undefined
): AtEnd<A> =>
  timing === undefined ? counted(pool, shown, noteOn) : logged(pool, fiber, shown, timing, rowsOf, noteOn)

/** Runs an operation; `rowsOf` says how many rows its result stands for. */
export const around = <A, E, R>(
  pool: Pool,
  fiber: AnyFiber,
  subject: Subject,
  effect: Effect.Effect<A, E, R>,
  rowsOf: (value: A) => number
): Effect.Effect<A, E, R> =>
  isSeen(fiber)
    ? traced(pool, fiber, subject, effect, rowsOf)
    : Effect.onExitPrimitive(effect, watch(pool, fiber, subject, rowsOf, undefined))

const traced = <A, E, R>(
  pool: Pool,
  fiber: AnyFiber,
  subject: Subject,
  effect: Effect.Effect<A, E, R>,
  rowsOf: (value: A) => number
): Effect.Effect<A, E, R> => {
  const { hasSpan = false, shown } = subject
  const watched = (noteOn: NoteOn) =>
    Effect.onExitPrimitive(effect, watch(pool, fiber, subject, rowsOf, noteOn))
  if (hasSpan) return watched(noteOnCallers(fiber, shown))
  const { attributes, name } = shown
  return Effect.useSpan(name, { kind: "client", attributes }, (span) => watched((exit) => note(span, exit)))
}

/** Gives the rows of an operation, which lasts until the last one; `rowsOf` makes their number of that of the stream's values. */
export const aroundRows = <A, E, R>(
  pool: Pool,
  fiber: AnyFiber,
  subject: Subject,
  rows: Stream.Stream<A, E, R>,
  rowsOf = (given: number): number | undefined => given
): Stream.Stream<A, E, R> => {
  const { hasSpan = false, shown, timing } = subject
  const { attributes, name } = shown
  const watched = (noteOn: NoteOn | undefined) =>
    Stream.suspend(() => {
      let given = 0
      const end = watch(pool, fiber, subject, () => rowsOf(given), noteOn)
      const counted =
        timing === undefined
          ? rows
          : Stream.mapArray(rows, (piece) => {
              given += piece.length
              return piece
            })
      return Stream.onExit(counted, (exit) => end(exit) ?? Effect.void)
    })
  if (!isSeen(fiber)) return watched(undefined)
  if (hasSpan) return watched(noteOnCallers(fiber, shown))
  return Stream.unwrap(
    Effect.map(Effect.makeSpanScoped(name, { kind: "client", attributes }), (span) =>
      watched((exit) => note(span, exit))
    )
  )
}
