/**
 * An operation as it is seen from outside: counted in the metric of durations, in a span where a tracer is installed, in the log
 * where the settings ask for it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { errorTypeOf } from "../errors/ErrorType.ts"
import * as Durations from "../pool/Durations.ts"
import { isSeen, note } from "../pool/OwnSpans.ts"
import type { AnyFiber, Pool } from "../pool/Pool.ts"
import type { Shown, Timing } from "../pool/StatementCache.ts"
import { ofStatement } from "./Shown.ts"
import { lineOf } from "./StatementLog.ts"

/** Notes when a statement is sent, where that is logged. */
export const timingOf = ({ settings }: Pool): Timing | undefined =>
  settings.logStatements === "none" ? undefined : { sentAt: undefined }

/** An operation that is one statement. */
export const subjectOf = (
  pool: Pool,
  text: string,
  { hasSpan, table }: { readonly hasSpan?: boolean; readonly table?: string | undefined }
): Subject => ({
  shown: ofStatement(pool, pool.statements.get(text), table),
  timing: timingOf(pool),
  hasSpan: hasSpan === true
})

/** An operation: what is shown of it, and when it was sent. */
export interface Subject {
  readonly shown: Shown
  readonly timing: Timing | undefined
  /** Its caller has made a span of it already. */
  readonly hasSpan?: boolean
}

const count = ({ failed, series, usage }: Shown, millis: number, exit: Exit.Exit<unknown, unknown>): void => {
  if (usage !== undefined) {
    usage.runs++
    usage.millis += millis
    if (millis > usage.longest) usage.longest = millis
  }
  const isFailed = Exit.isFailure(exit)
  if (usage !== undefined && isFailed) usage.failures++
  Durations.record(isFailed ? failed(errorTypeOf(exit)) : series, millis / 1_000)
}

const millisBetween = (from: bigint, to: bigint): number => Number(to - from) / 1e6

/** What happens at the end of an operation that began now. */
const watch = <A>(
  { clock, settings }: Pool,
  fiber: AnyFiber,
  { shown, timing }: Subject,
  rowsOf: (value: A) => number | undefined
): ((exit: Exit.Exit<A, unknown>) => Effect.Effect<void> | undefined) => {
  if (timing === undefined) {
    const began = clock.currentTimeMillisUnsafe()
    return (exit) => {
      count(shown, clock.currentTimeMillisUnsafe() - began, exit)
      return undefined
    }
  }
  const began = clock.monotonicTimeNanosUnsafe()
  return (exit) => {
    const ended = clock.monotonicTimeNanosUnsafe()
    const sent = timing.sentAt ?? ended
    count(shown, millisBetween(began, ended), exit)
    return lineOf(settings, fiber, shown, {
      waited: millisBetween(began, sent),
      ran: millisBetween(sent, ended),
      rows: Exit.isSuccess(exit) ? rowsOf(exit.value) : undefined,
      error: errorTypeOf(exit)
    })
  }
}

/** Runs an operation; `rowsOf` says how many rows its result stands for. */
export const around = <A, E, R>(
  pool: Pool,
  fiber: AnyFiber,
  subject: Subject,
  effect: Effect.Effect<A, E, R>,
  rowsOf: (value: A) => number
): Effect.Effect<A, E, R> => {
  if (subject.hasSpan === true || !isSeen(fiber)) {
    return Effect.onExitPrimitive(effect, watch(pool, fiber, subject, rowsOf))
  }
  const { attributes, name } = subject.shown
  return Effect.useSpan(name, { kind: "client", attributes }, (span) => {
    const end = watch(pool, fiber, subject, rowsOf)
    return Effect.onExitPrimitive(effect, (exit) => {
      note(span, exit)
      return end(exit)
    })
  })
}

/** Gives the rows of an operation, which lasts until the last one; `rowsOf` makes their number of that of the stream's values. */
export const aroundRows = <A, E, R>(
  pool: Pool,
  fiber: AnyFiber,
  subject: Subject,
  rows: Stream.Stream<A, E, R>,
  rowsOf = (given: number): number | undefined => given
): Stream.Stream<A, E, R> => {
  const { attributes, name } = subject.shown
  const watched = (noteOn: (exit: Exit.Exit<unknown, unknown>) => void) =>
    Stream.suspend(() => {
      let given = 0
      const end = watch(pool, fiber, subject, () => rowsOf(given))
      const counted =
        subject.timing === undefined
          ? rows
          : Stream.mapArray(rows, (piece) => {
              given += piece.length
              return piece
            })
      return Stream.onExit(counted, (exit) => {
        noteOn(exit)
        return end(exit) ?? Effect.void
      })
    })
  if (subject.hasSpan === true || !isSeen(fiber)) return watched(() => undefined)
  return Stream.unwrap(
    Effect.map(Effect.makeSpanScoped(name, { kind: "client", attributes }), (span) =>
      watched((exit) => note(span, exit))
    )
  )
}
