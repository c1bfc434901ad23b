/**
 * Statements of Effect's SQL client make their spans themselves, and do not hand them on. Those of a client from here hand theirs
 * to the operation that they are, which notes on it what went wrong.
 *
 * **Gotchas**
 *
 * `withConnectionSpan` is Effect's own: without it the spans lack that note, and nothing else.
 */
import type { PgClient } from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { SqlError } from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import type * as Tracer from "effect/Tracer"
import { StatementSpan } from "../telemetry/Operation.ts"

type Run = (...args: ReadonlyArray<unknown>) => Effect.Effect<unknown, SqlError>

const isFunction = <F extends (...args: ReadonlyArray<never>) => unknown>(value: unknown): value is F =>
  typeof value === "function"

const isSpan = (value: unknown): value is Tracer.Span =>
  typeof value === "object" && value !== null && "attribute" in value

/** Rows of a statement, whose span its transformer is shown. */
const handingOn = <A>(rows: Stream.Stream<A, SqlError>): Stream.Stream<A, SqlError> =>
  Stream.suspend(() => {
    const cell: { span: Tracer.Span | undefined } = { span: undefined }
    const noted =
      (transform: Statement.Transformer | undefined): Statement.Transformer =>
      (self, sql, fiber, span) => {
        cell.span = span
        return transform === undefined ? Effect.succeed(self) : transform(self, sql, fiber, span)
      }
    return rows.pipe(
      Stream.provideService(StatementSpan, cell),
      Stream.updateService(Statement.CurrentTransformer, noted)
    )
  })

/** Has a statement hand its span on, however it is run. */
const handOn = <S extends object>(statement: S): S => {
  const run: unknown = Reflect.get(statement, "withConnectionSpan")
  const rows = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(statement), "stream")?.get
  if (!isFunction<Run>(run) || rows === undefined) return statement
  return Object.defineProperties(statement, {
    withConnectionSpan: {
      value: (...args: ReadonlyArray<unknown>) => {
        const [span] = args.filter(isSpan)
        return Effect.provideService(Reflect.apply(run, statement, args), StatementSpan, { span })
      }
    },
    stream: { get: () => handingOn(Reflect.apply(rows, statement, [])) }
  })
}

/** A client whose statements hand their spans on. */
export const spanned = (client: PgClient): PgClient =>
  new Proxy(client, {
    apply: (target, self, args) => {
      const made: unknown = Reflect.apply(target, self, args)
      return Statement.isFragment(made) ? handOn(made) : made
    },
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name)
      if (name === "unsafe" && isFunction<(...args: ReadonlyArray<unknown>) => object>(value)) {
        return (...args: ReadonlyArray<unknown>) => handOn(value(...args))
      }
      if (name === "withoutTransforms" && isFunction<() => PgClient>(value)) {
        return () => spanned(Reflect.apply(value, target, []))
      }
      return value
    }
  })
