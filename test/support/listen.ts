/** Listens in a fiber of the scope, and keeps what it hears. */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { PG, PoolRegistry } from "effect-global-pool"
import { eventually, type NeverHeld, type TestDatabase } from "./database.ts"

export interface Ear {
  readonly fiber: Fiber.Fiber<void, PG.OperationError>
  /** Payloads in the order in which they came; `"listens"` stands where `onListen` ran. */
  readonly heard: ReadonlyArray<string>
  /** Waits until so many of them are there. */
  readonly hears: (count: number) => Effect.Effect<ReadonlyArray<string>, NeverHeld>
  /** Waits until `onListen` has run so often. */
  readonly listens: (times: number) => Effect.Effect<void, NeverHeld>
}

const isListening = (line: string) => line === "listens"

/** A listener of these channels; it does not wait until the server listens. */
export const ear = (
  pgdb: PG.Database,
  channels: string | ReadonlyArray<string>,
  options: Omit<PG.ListenOptions, "onListen"> = {}
): Effect.Effect<Ear, never, PoolRegistry | Scope.Scope> =>
  Effect.gen(function* () {
    const heard: Array<string> = []
    const hear = (line: string) => Effect.sync(() => heard.push(line))
    const stream = pgdb.listen(channels, { ...options, onListen: hear("listens") })
    const fiber = yield* Effect.forkScoped(Stream.runForEach(stream, ({ payload }) => hear(payload)))
    const look = Effect.sync(() => heard)
    return {
      fiber,
      heard,
      hears: (count) => eventually(`${count} were heard`, look, () => heard.length >= count),
      listens: (times) =>
        Effect.asVoid(
          eventually(
            `it listens for the ${times}. time`,
            look,
            () => heard.filter(isListening).length >= times
          )
        )
    }
  })

/** The sessions that listen. */
export const listening = ({ sessions }: TestDatabase) =>
  Effect.map(sessions, (all) => all.filter(({ query }) => /^(UN)?LISTEN/.test(query)))

/** Ends the sessions that listen, from outside. */
export const killListening = (given: TestDatabase) =>
  Effect.flatMap(listening(given), (all) =>
    Effect.forEach(all, ({ pid }) => given.witness.query("select pg_terminate_backend($1)", [pid]))
  )
