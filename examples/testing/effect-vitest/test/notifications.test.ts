import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { PG } from "effect-global-pool"
import * as Users from "../src/users.ts"
import { database } from "./database.ts"

const pgdb = PG.make(process.env.DATABASE_URL ?? "postgres://localhost/app")

// What one connection tells another at its commit needs a database without a sandbox: here each test has one of its own.
it.live("a listener hears what is notified", () =>
  Effect.gen(function* () {
    const isListening = yield* Deferred.make<void>()
    const heard = yield* pgdb
      .listen("news", { onListen: Deferred.succeed(isListening, undefined) })
      .pipe(Stream.take(1), Stream.runCollect, Effect.forkChild)
    yield* Deferred.await(isListening)
    yield* pgdb.notify("news", "hello")
    const [news] = yield* Fiber.join(heard)
    assert.strictEqual(news?.payload, "hello")
  }).pipe(Effect.provide(database))
)

it.live("two transactions at one time see what is committed, and no more", () =>
  Effect.gen(function* () {
    const inside = yield* pgdb.transaction(
      Effect.gen(function* () {
        yield* Users.add("Ada")
        // A registry of its own: another connection, outside of the transaction.
        return yield* Effect.promise(() => Effect.runPromise(PG.run(Users.isFree("Ada"))))
      })
    )
    assert.isTrue(inside)
    assert.isFalse(yield* Users.isFree("Ada"))
  }).pipe(Effect.provide(database))
)
