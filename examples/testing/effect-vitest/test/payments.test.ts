import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { TestDatabase } from "effect-global-pool/testing"
import * as Users from "../src/users.ts"
import { database } from "./database.ts"

const credit = (name: string) =>
  Effect.map(
    Users.named(name),
    Option.map((user) => user.credit)
  )

// A file of its own has a database of its own, so it runs beside the others.
layer(database, { timeout: "1 minute" })("payments", (it) => {
  it.effect("move credit", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        yield* Users.add("Ada")
        yield* Users.pay("Root", "Ada", 30)
        assert.deepStrictEqual(yield* credit("Root"), Option.some(70))
        assert.deepStrictEqual(yield* credit("Ada"), Option.some(30))
      })
    )
  )

  it.effect("that fail move nothing", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        yield* Users.add("Ada")
        yield* Effect.flip(Users.pay("Root", "Ada", 101))
        assert.deepStrictEqual(yield* credit("Root"), Option.some(100))
        assert.deepStrictEqual(yield* credit("Ada"), Option.some(0))
      })
    )
  )

  it.effect("may be due tomorrow, which a test need not wait for", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        yield* Users.add("Ada")
        const payment = yield* Effect.forkChild(Effect.delay(Users.pay("Root", "Ada", 5), "1 day"))
        yield* TestClock.adjust("1 day")
        yield* Fiber.join(payment)
        assert.deepStrictEqual(yield* credit("Ada"), Option.some(5))
      })
    )
  )
})
