/**
 * What the benchmark asks of a client library: a session that can run each operation once, and drive loops of them.
 *
 * Promise libraries get loops of promises, Effect libraries get fibers, as their users would write them.
 */
import * as Effect from "effect/Effect"
import type { Operation, Sizes, Target } from "../data.ts"
import type { Meter } from "../meter.ts"

export interface Session {
  readonly operations: ReadonlyArray<Operation>
  /** Runs one operation and gives its rows, or for a stream the number of rows and the sum of their ids. */
  readonly once: (operation: Operation, turn: number) => Promise<unknown>
  /** Runs operations, `meter.inFlight` at a time, until the meter says stop. */
  readonly drive: (meter: Meter) => Promise<void>
  readonly close: () => Promise<void>
}

/** Every peer module exports `open`. `variant` tells apart the configurations of one library. */
export type Open = (target: Target, sizes: Sizes, variant: string) => Promise<Session>

export type Operations<Task> = { readonly [name in Operation]?: (turn: number) => Task }

const taskOf = <Task>(table: Operations<Task>, operation: Operation): ((turn: number) => Task) => {
  const task = table[operation]
  if (task === undefined) throw new Error(`This peer has no ${operation}`)
  return task
}

const namesOf = (table: object): ReadonlyArray<Operation> => Object.keys(table) as ReadonlyArray<Operation>

export const promiseSession = (
  table: Operations<Promise<unknown>>,
  close: () => Promise<unknown>
): Session => ({
  operations: namesOf(table),
  once: (operation, turn) => taskOf(table, operation)(turn),
  drive: async (meter) => {
    const loop = async () => {
      while (meter.going()) {
        const operation = meter.pick()
        const task = taskOf(table, operation)
        const startedAt = performance.now()
        await task(meter.turn())
        meter.done(operation, startedAt)
      }
    }
    await Promise.all(Array.from({ length: meter.inFlight }, loop))
  },
  close: async () => {
    await close()
  }
})

export const effectSession = <R>(
  table: Operations<Effect.Effect<unknown, unknown, R>>,
  run: <A, E>(effect: Effect.Effect<A, E, R>) => Promise<A>,
  close: () => Promise<unknown>
): Session => ({
  operations: namesOf(table),
  once: (operation, turn) => run(taskOf(table, operation)(turn)),
  drive: (meter) => {
    const loop = Effect.gen(function* () {
      while (meter.going()) {
        const operation = meter.pick()
        const task = taskOf(table, operation)
        const startedAt = performance.now()
        yield* task(meter.turn())
        meter.done(operation, startedAt)
      }
    })
    return run(
      Effect.forEach(Array.from({ length: meter.inFlight }), () => loop, {
        concurrency: "unbounded",
        discard: true
      })
    )
  },
  close: async () => {
    await close()
  }
})
