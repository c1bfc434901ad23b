/**
 * The services of an Effect program for the async functions that it calls, kept over each `await` inside of them: so what
 * promises begin joins the program's transaction, and ends with it.
 */
import { AsyncLocalStorage } from "node:async_hooks"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type { PoolRegistry } from "../registry/PoolRegistry.ts"

/** What an async function inherits from the program that called it. */
export interface Inherited {
  readonly context: Context.Context<PoolRegistry>
  /** Aborts when the program is interrupted. */
  readonly signal: AbortSignal
}

const storage = /* @__PURE__ */ new AsyncLocalStorage<Inherited>()

/** What the async function that runs now has inherited. */
export const inherited = (): Inherited | undefined => storage.getStore()

export const inherit = <A>(from: Inherited, f: () => A): A => storage.run(from, f)

/** Calls an async function in this program; the effect fails with what the function rejects with, as it is. */
export const call = <A>(f: () => PromiseLike<A> | A): Effect.Effect<A, unknown, PoolRegistry> =>
  Effect.contextWith((context: Context.Context<PoolRegistry>) =>
    Effect.tryPromise({
      try: (signal) => inherit({ context, signal }, async () => f()),
      catch: identity
    })
  )
