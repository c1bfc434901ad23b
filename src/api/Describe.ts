/**
 * `pgdb.describe`: what a statement takes and gives, as the server says without running it.
 */
import * as Effect from "effect/Effect"
import type { OperationError } from "../errors/PoolError.ts"
import * as Encode from "../execute/Encode.ts"
import * as Jobs from "../execute/Job.ts"
import { learn } from "../execute/Learn.ts"
import * as Settle from "../execute/Settle.ts"
import type { AnyFiber, Pool } from "../pool/Pool.ts"
import type { PooledConnection } from "../pool/PooledConnection.ts"
import { statementOf } from "../pool/StatementCache.ts"
import { type Naming, nameOf } from "../statement/CamelCase.ts"
import { asking } from "../transaction/Run.ts"
import type { TypeMap } from "../types/TypeMap.ts"

/** A type as the server names it: `int4`, `text[]`, `mood`. */
export interface TypeName {
  readonly type: string
  readonly oid: number
}

/** What a statement takes and gives. */
export interface Description {
  /** The types of `$1` and those after it. */
  readonly parameters: ReadonlyArray<TypeName>
  /** The columns of its rows in order; none for a statement that returns no rows. */
  readonly columns: ReadonlyArray<TypeName & { readonly name: string }>
}

const named = (types: TypeMap, oid: number): TypeName => {
  const type = types.typeOf(oid)
  const element = type?.kind === "array" ? types.typeOf(type.of) : undefined
  return { type: element === undefined ? (type?.name ?? String(oid)) : `${element.name}[]`, oid }
}

const describeOn = Effect.fnUntraced(function* (
  pool: Pool,
  connection: PooledConnection,
  job: Jobs.Job,
  naming: Naming
) {
  const statement = statementOf(pool.statements, job.known, [])
  const { columns, parameterTypes } = yield* Effect.catchTag(
    Encode.describe(connection, statement, job.keeps),
    "DescribeFailure",
    ({ exchange }) => Effect.fail(Settle.errorOf(pool, job, exchange, connection))
  )
  yield* learn(connection, pool.types.unknown([...parameterTypes, ...columns.map(({ type }) => type)]))
  return {
    parameters: parameterTypes.map((oid) => named(pool.types, oid)),
    columns: columns.map(({ name, type }) => ({ name: nameOf(name, naming), ...named(pool.types, type) }))
  }
})

/** Describes a statement, in the fiber's transaction if there is one. */
export const describe = (
  pool: Pool,
  fiber: AnyFiber,
  text: string,
  naming: Naming
): Effect.Effect<Description, OperationError> => {
  const job = Jobs.prepare(pool, { text, params: [] })
  if (!Jobs.isJob(job)) return Effect.fail(job)
  return asking(pool, fiber, (connection) => describeOn(pool, connection, job, naming))
}
