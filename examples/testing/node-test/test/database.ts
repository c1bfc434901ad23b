import { after } from "node:test"
import { type Effect, ManagedRuntime } from "effect"
import type { PoolRegistry } from "effect-global-pool"
import { TestDatabase } from "effect-global-pool/testing"

const setup = [
  `create table users (
     id int primary key generated always as identity,
     name text not null unique,
     credit int not null default 0
   )`,
  "insert into users (name, credit) values ('Root', 100)"
]

const database = ManagedRuntime.make(TestDatabase.layer({ setup }))
after(() => database.dispose())

/** A test of which nothing stays. */
export const sandboxed =
  <E>(test: Effect.Effect<unknown, E, TestDatabase | PoolRegistry>) =>
  async () => {
    await database.runPromise(TestDatabase.sandbox(test))
  }
