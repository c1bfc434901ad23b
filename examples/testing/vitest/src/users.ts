/** The code under test: async functions, with a handle and a runtime in the module. It knows nothing of tests. */
import { Effect, ManagedRuntime } from "effect"
import { PG } from "effect-global-pool"

const pgdb = PG.make(process.env.DATABASE_URL ?? "postgres://localhost/app")
const users = pgdb.table<{ id: number; name: string; credit: number }>("users")
const runtime = ManagedRuntime.make(PG.layer)

export const add = (name: string, credit = 0) => runtime.runPromise(users.insert({ name, credit }))

export const names = () =>
  runtime.runPromise(
    Effect.map(users.find({}, { orderBy: { id: "asc" } }), (all) => all.map(({ name }) => name))
  )

/** All or none. */
export const addAll = (all: ReadonlyArray<string>) =>
  runtime.runPromise(
    pgdb.transaction(Effect.forEach(all, (name) => users.insert({ name, credit: 0 }), { discard: true }))
  )
