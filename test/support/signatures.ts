/** What the tests of types say of an operation: how it may fail, a row's type, and an error and a service of the caller's own. */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type { SqlError } from "effect/sql/SqlError"
import type { PoolError } from "effect-global-pool"

/** How every operation may fail. */
export type Failure = SqlError | PoolError

export interface User {
  readonly id: number
  readonly name: string
}

export class Boom extends Data.TaggedError("Boom") {}

export class Needed extends Context.Service<Needed, { readonly n: number }>()("test/Needed") {}
