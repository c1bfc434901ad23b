/** The code under test: a service that is given its handle. */
import { Effect } from "effect"
import type { PG } from "effect-global-pool"

export const make = (pgdb: PG.Database) => {
  const users = pgdb.table<{ id: number; name: string; credit: number }>("users")
  return {
    add: (name: string) => users.insert({ name, credit: 0 }),
    rename: (from: string, to: string) => users.update({ name: from }, { name: to }),
    names: Effect.map(users.find({}, { orderBy: { id: "asc" } }), (all) => all.map(({ name }) => name))
  }
}
