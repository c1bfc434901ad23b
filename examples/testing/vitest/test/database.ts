import { Effect, ManagedRuntime } from "effect"
import { TestDatabase } from "effect-global-pool/testing"
import { afterAll, beforeAll } from "vitest"

const setup = [
  `create table users (
     id int primary key generated always as identity,
     name text not null unique,
     credit int not null default 0
   )`,
  "insert into users (name, credit) values ('Root', 100)"
]

const database = ManagedRuntime.make(TestDatabase.layer({ setup }))

// The first run on a machine fetches and unpacks the server.
beforeAll(() => database.context(), 60_000)
afterAll(() => database.dispose())

/** A test of which nothing stays. */
export const sandboxed = (test: () => Promise<void>) => () =>
  database.runPromise(TestDatabase.sandbox(Effect.promise(test)))
