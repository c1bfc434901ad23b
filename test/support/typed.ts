/**
 * One connection of the package, for what values come out and go in as, and what that costs.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { PG, PoolRegistry } from "effect-global-pool"
import { lettersOf, tally } from "./letters.ts"
import { proxy } from "./proxy.ts"
import type { TestServer } from "./server.ts"

export type Row = PG.Row

export interface Typed {
  readonly pgdb: PG.Database
  /** A statement's rows. */
  readonly run: (
    text: string,
    params?: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<Row>, PG.OperationError>
}

/** A handle with one connection in a registry of its own, which ends with the scope. */
export const typed: (
  settings: TestServer,
  options?: Partial<PG.Settings>
) => Effect.Effect<Typed, never, Scope.Scope> = Effect.fnUntraced(function* (
  settings: TestServer,
  options: Partial<PG.Settings> = {}
) {
  const registry = yield* Effect.orDie(Layer.build(PoolRegistry.layer()))
  const pgdb = PG.make({ ...settings, maxConnections: 1, ...options })
  return {
    pgdb,
    run: (text, params = []) => Effect.provideContext(pgdb.select(text, params), registry)
  }
})

/** What was sent. */
export interface Cost {
  readonly trips: number
  /** How often the catalogue was asked about types. */
  readonly questions: number
  /** The messages by their letters, as `tally` counts them. */
  readonly letters: string
  readonly bytes: string
}

export interface Measured extends Typed {
  /** Runs an effect, and gives what it cost. */
  readonly cost: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<Cost, E>
}

/** The same behind a proxy, with its connection open. */
export const measured: (
  settings: TestServer,
  options?: Partial<PG.Settings>
) => Effect.Effect<Measured, PG.OperationError, Scope.Scope> = Effect.fnUntraced(function* (
  settings: TestServer,
  options: Partial<PG.Settings> = {}
) {
  const network = yield* proxy(settings)
  const session = yield* typed(settings, { ...network.address, ...options })
  yield* session.run("select 1")
  return {
    ...session,
    cost: (effect) =>
      Effect.suspend(() => {
        const trips = network.roundTrips()
        const { length } = network.sent()
        return Effect.map(effect, () => {
          const bytes = network.sent().slice(length)
          return {
            trips: network.roundTrips() - trips,
            questions: bytes.split("with recursive wanted").length - 1,
            letters: tally(lettersOf(bytes)),
            bytes
          }
        })
      })
  }
})
