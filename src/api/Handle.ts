/**
 * Handles: plain values that hold settings, with operations that are made when they are used.
 *
 * A handle is a frozen record. Its operations are accessors on the prototype of its kind, so that ten thousand handles cost
 * their settings and nothing more; each gives a function of the handle's source alone, which works when it is taken off
 * the handle: `const { select } = users`.
 */
import { inspect } from "node:util"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { CurrentStackFrame } from "effect/References"
import * as Result from "effect/Result"
import { isSqlError } from "effect/sql/SqlError"
import { locate } from "../errors/BuildError.ts"
import { isPoolError, type OperationError, type PoolError } from "../errors/PoolError.ts"
import type { Pool } from "../pool/Pool.ts"
import { PoolRegistry } from "../registry/PoolRegistry.ts"
import { describe, type ResolvedSettings } from "../settings/Settings.ts"
import type { Naming } from "../statement/CamelCase.ts"
import type { RowShape } from "../types/RowReader.ts"

/** What a handle is made of. */
export interface Source {
  /** The settings with their defaults, or the rule that they break: checked by the first operation, and once. */
  readonly settings: () => Result.Result<ResolvedSettings, PoolError>
}

const SourceKey: unique symbol = Symbol("source")

/** What a handle's own properties are. */
interface Sourced<S> {
  readonly [SourceKey]: S
}

/** Operations by name, each made for a source when it is used. */
export type Makers<S, H> = { readonly [K in keyof H]: (source: S) => H[K] }

/** Makers of operations that need something else than the source: `needed` gives it by the operation's name. */
export const makersOn = <S, N, H>(
  makers: Makers<N, H>,
  needed: (source: S, name: string) => N
): Makers<S, H> => {
  const made: { -readonly [K in keyof H]?: (source: S) => H[K] } = {}
  for (const name in makers) made[name] = (source) => makers[name](needed(source, name))
  return made as Makers<S, H>
}

/** The prototype of a kind of handles; `print` says what is shown of one: never a secret. */
export const prototypeOf = <S extends Source, H>(
  makers: Makers<S, H>,
  print: (source: S) => string
): object => {
  const prototype = {}
  for (const name of Reflect.ownKeys(makers)) {
    const make: (source: S) => unknown = Reflect.get(makers, name)
    Object.defineProperty(prototype, name, {
      get(this: Sourced<S>) {
        return make(this[SourceKey])
      },
      enumerable: true
    })
  }
  const printed = {
    value(this: Sourced<S>) {
      return print(this[SourceKey])
    }
  }
  for (const name of ["toString", "toJSON", inspect.custom]) Object.defineProperty(prototype, name, printed)
  return Object.freeze(prototype)
}

export const makeHandle = <H, S extends Source>(prototype: object, source: S): H =>
  Object.freeze(Object.defineProperty(Object.create(prototype), SourceKey, { value: source }))

/** How the columns of a source's rows are named in JavaScript. */
export const namingOf = (source: Source): Naming => {
  const settings = source.settings()
  return Result.isSuccess(settings) ? settings.success.names : "as-is"
}

/** What rows of a source are: objects with names of its kind. */
export const shapeOf = (source: Source): RowShape => (namingOf(source) === "camel" ? "camel" : "object")

/** Where a source's database is, for people to read. */
export const whereOf = (source: Source): string => {
  const settings = source.settings()
  return Result.isSuccess(settings) ? describe(settings.success) : "with invalid settings"
}

const isOwn = (error: unknown): error is OperationError => isSqlError(error) || isPoolError(error)

/** Finds the source's pool in the registry, and runs there. */
export const onPool = <A, E, R>(
  source: Source,
  run: (pool: Pool, fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | PoolError, R | PoolRegistry> =>
  Effect.withFiber<A, E | PoolError, R | PoolRegistry>((fiber) => {
    const settings = source.settings()
    if (Result.isFailure(settings)) return Effect.fail(settings.failure)
    const registry = Context.getUnsafe(fiber.context, PoolRegistry)
    const known = registry.known(settings.success)
    const running =
      known === undefined
        ? Effect.flatMap(registry.pool(settings.success), (pool) => run(pool, fiber))
        : run(known, fiber)
    const frame = fiber.getRef(CurrentStackFrame)
    return frame === undefined
      ? running
      : Effect.mapError(running, (error) => (isOwn(error) ? locate(error, frame) : error))
  })
