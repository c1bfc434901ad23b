/** The code under test: a handle in a module, Effect programs, and pools from the program that runs them. */
import { Effect } from "effect"
import { PG } from "effect-global-pool"

const pgdb = PG.make(process.env.DATABASE_URL ?? "postgres://localhost/app")
const users = pgdb.table<{ id: number; name: string; credit: number }>("users")

export const add = (name: string, credit = 0) => users.insert({ name, credit })

export const named = (name: string) => users.findOne({ name })

export const isFree = (name: string) => Effect.map(users.exists({ name }), (isTaken) => !isTaken)

/** All or nothing: the check of the table refuses a credit below zero. */
export const pay = (from: string, to: string, amount: number) =>
  pgdb.transaction(
    Effect.andThen(
      users.update({ name: to }, { credit: { $inc: amount } }),
      users.update({ name: from }, { credit: { $inc: -amount } })
    )
  )
