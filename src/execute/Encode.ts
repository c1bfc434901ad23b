/**
 * Parameters on their way to a statement: by their values alone where those tell, else by what the server expects.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { OperationError, PoolError } from "../errors/PoolError.ts"
import * as OwnSpans from "../pool/OwnSpans.ts"
import type { Pool } from "../pool/Pool.ts"
import type { PooledConnection } from "../pool/PooledConnection.ts"
import { isDead, isInTransaction } from "../pool/PooledConnection.ts"
import { statementOf } from "../pool/StatementCache.ts"
import { answerTo, ask, askAll } from "../protocol/Ask.ts"
import * as Commands from "../protocol/Commands.ts"
import type { Exchange } from "../protocol/Exchange.ts"
import type { Description, Statement } from "../protocol/KnownStatement.ts"
import { areSame, descriptionOf, forget } from "../protocol/KnownStatement.ts"
import type { ColumnValues } from "../statement/Statement.ts"
import { areSensitive, encodeParameters, isSensitive, undeclared } from "../types/ColumnValues.ts"
import type { Encoded } from "../types/Parameters.ts"
import { encodePlain, typesToDescribe, typesToTry } from "../types/Parameters.ts"
import { isAmbiguous, isCompound, surviveRetyping } from "../types/Retyping.ts"
import type { TypeMap } from "../types/TypeMap.ts"
import type { Job } from "./Job.ts"
import { learn } from "./Learn.ts"

/** Several operators fit, since the type of a parameter is not known. */
const ambiguous = "42725"
/** The server cannot tell the type of a parameter from the statement; the second is said of polymorphic functions. */
const indeterminate: ReadonlySet<string | undefined> = new Set(["42P18", "42804", ambiguous])
/** One parameter stands for several types. */
const inconsistent = "42P08"

/** The server did not describe the statement. Nothing of it has run. */
export class DescribeFailure extends Data.TaggedClass("DescribeFailure")<{ readonly exchange: Exchange }> {}

const describeOnce = (
  { session, settings }: PooledConnection,
  statement: Statement,
  keep: boolean
): Effect.Effect<Exchange> => {
  const asked = answerTo((onSettled) => Commands.describe(session, statement, onSettled, { keep }))
  return OwnSpans.within(settings, "describe", asked)
}

/** Has the server refuse what it refused to describe once more, without a savepoint. */
export const describeAgain = (
  connection: PooledConnection,
  { exchange: { prepared } }: DescribeFailure
): Effect.Effect<unknown> =>
  prepared === undefined ? Effect.void : describeOnce(connection, prepared.statement, false)

const savepoint = "effect_describe"

interface DescribeOptions {
  /** Also where the pool knows it. */
  readonly isAnew?: boolean
  /** Its failure may spoil a transaction, as the statement's own would. */
  readonly mayFail?: boolean
}

/** Has the server describe a statement. In a transaction a savepoint keeps a failure from spoiling it. */
export const describe = (
  connection: PooledConnection,
  statement: Statement,
  keep: boolean,
  { isAnew = false, mayFail = false }: DescribeOptions = {}
): Effect.Effect<Description, DescribeFailure> => {
  const known = isAnew ? undefined : descriptionOf(statement)
  if (known !== undefined) return Effect.succeed(known)
  const described = describeOnce(connection, statement, keep)
  const resultOf = (exchange: Exchange): Effect.Effect<Description, DescribeFailure> => {
    const description = exchange.state === "done" ? exchange.prepared?.description : undefined
    return description === undefined
      ? Effect.fail(new DescribeFailure({ exchange }))
      : Effect.succeed(description)
  }
  if (mayFail || !isInTransaction(connection)) return Effect.flatMap(described, resultOf)
  const { session } = connection
  return Effect.flatMap(
    Effect.all([ask(session, `SAVEPOINT ${savepoint}`), described], { concurrency: "unbounded" }),
    ([, exchange]) => {
      const undo = exchange.state === "done" ? [] : [`ROLLBACK TO SAVEPOINT ${savepoint}`]
      const texts = [...undo, `RELEASE SAVEPOINT ${savepoint}`]
      return Effect.flatMap(askAll(session, texts), () => resultOf(exchange))
    }
  )
}

const nothing: Description = { parameterTypes: [], columns: [] }

/** The types that are asked for before values are encoded by these. What is known of a composite's attributes may be stale. */
const toLearn = (types: TypeMap, expected: ReadonlyArray<number>): ReadonlyArray<number> => [
  ...types.unknown(expected),
  ...types.composites(expected)
]

/** Encodes by what the server expects, which is nothing where it cannot tell. */
const encodeExpected = Effect.fnUntraced(function* (
  { statements }: Pool,
  connection: PooledConnection,
  { bound: { params }, keeps, known }: Job,
  { columns, parameterTypes: expected }: Description
) {
  const { types } = connection.session
  yield* learn(connection, toLearn(types, expected))
  const encoded = yield* Effect.fromResult(encodeParameters(types, params, expected))
  // What the server takes for text may be text, or something that it knows nothing of.
  const tried = typesToTry(types, params, encoded, expected)
  if (tried === undefined) return encoded
  const described = describe(connection, statementOf(statements, known, tried), keeps)
  return yield* Effect.match(described, {
    onFailure: () => encoded,
    onSuccess: (description): Encoded => {
      // As text a Date does not depend on the session's zone: it is one unless that makes another result.
      const isText = areSame(description.columns, columns)
      const types = tried.map((type, index) => (isText && params[index] instanceof Date ? 0 : type))
      return { types, values: encoded.values }
    }
  })
})

/** The statement with the types that its parameters' values show. */
const declaredStatement = ({ statements }: Pool, { bound: { params }, known }: Job): Statement =>
  statementOf(statements, known, typesToDescribe(params))

/**
 * The statement as the server is asked about it: where codecs of the program's own are for types that the server tells, with all
 * types left to it, unless it was found not to know them.
 */
const statementToDescribe = (pool: Pool, job: Job): Statement => {
  const declared = declaredStatement(pool, job)
  if (!pool.types.hasCodecs) return declared
  const open = statementOf(
    pool.statements,
    job.known,
    job.bound.params.map(() => 0)
  )
  const isRefused = descriptionOf(open) === undefined && descriptionOf(declared) !== undefined
  return isRefused ? declared : open
}

/** Whether it is known that no codec of the program's own is for one of the parameters. */
export const hasNoCodecs = (pool: Pool, job: Job): boolean => {
  const { types } = pool
  const { params } = job.bound
  if (!types.hasCodecs || params.every((value) => value === null || value === undefined)) return true
  const description = descriptionOf(statementToDescribe(pool, job))
  return description?.parameterTypes.every((type) => types.codecOf(type) === undefined) === true
}

/**
 * Encodes parameters that have to know what the statement expects. Asks the server where the pool does not know it, and
 * looks again before a refusal that rests on what the pool knew.
 */
export const encode = Effect.fnUntraced(function* (
  pool: Pool,
  connection: PooledConnection,
  job: Job
): Effect.fn.Return<Encoded, OperationError | DescribeFailure> {
  const statement = statementToDescribe(pool, job)
  const remembered = descriptionOf(statement)
  if (
    remembered !== undefined &&
    !areSensitive(connection.session.types, job.bound.params, remembered.parameterTypes)
  ) {
    const encoded = yield* Effect.result(encodeExpected(pool, connection, job, remembered))
    if (Result.isSuccess(encoded)) return { ...encoded.success, remembered: remembered.parameterTypes }
  }
  let described = yield* Effect.result(describe(connection, statement, job.keeps, { isAnew: true }))
  const declared = declaredStatement(pool, job)
  const isOpen = Result.isFailure(described) && declared !== statement && !isDead(connection)
  if (isOpen) described = yield* Effect.result(describe(connection, declared, job.keeps, { isAnew: true }))
  if (Result.isSuccess(described)) {
    return yield* encodeExpected(pool, connection, job, described.success)
  }
  const { exchange } = described.failure
  const code = exchange.error?.code
  // With readers of one's own a parameter that stands for several types is sent as its own, and the server converts it, by the
  // session's zone too.
  const isTold = !indeterminate.has(code) && !(job.types !== undefined && code === inconsistent)
  if (isDead(connection) || isTold) return yield* Effect.fail(described.failure)
  return yield* encodeExpected(pool, connection, job, nothing)
})

/**
 * Encodes values of columns by the types that the server infers. A description counts if this connection has it, and if the
 * server would refuse the statement when it is stale; else it is asked for anew.
 */
export const encodeColumns = Effect.fnUntraced(function* (
  { statements }: Pool,
  connection: PooledConnection,
  { bound: { params }, inTransaction = false, keeps, known }: Job,
  { isGuarded, place, values }: ColumnValues
): Effect.fn.Return<Encoded, OperationError | DescribeFailure> {
  const { session } = connection
  const { types } = session
  const statement = statementOf(statements, known, undeclared(params, values))
  const prepared = keeps ? Commands.descriptionOn(session, statement) : undefined
  const isCertain =
    prepared !== undefined && ((isGuarded && !inTransaction) || !isSensitive(types, prepared.parameterTypes))
  let refusal: PoolError | undefined
  if (isCertain) {
    yield* learn(connection, toLearn(types, prepared.parameterTypes))
    const encoded = encodeParameters(types, params, prepared.parameterTypes, values, place)
    if (Result.isFailure(encoded)) refusal = encoded.failure
    else {
      const success = { ...encoded.success, remembered: prepared.parameterTypes }
      if ((isGuarded && !inTransaction) || !params.some(isAmbiguous)) return success
      // A prepared statement puts an array into a column of texts without a word.
      const isStored = params.some((value, index) => isCompound(value) && values[index]?.role === "stored")
      if (!isStored && surviveRetyping(types, success.values, success.types, prepared.parameterTypes))
        return success
    }
  }
  forget(statement)
  const described = yield* Effect.result(describe(connection, statement, keeps))
  if (Result.isFailure(described)) {
    // In a transaction that has failed nothing can be looked at again.
    if (refusal !== undefined && session.status() === "failed") return yield* refusal
    // What an increment is added to may not say of which type it is, as with dates: then its own value does.
    const isUnclear = described.failure.exchange.error?.code === ambiguous
    const plain = isUnclear ? encodePlain(params) : undefined
    return plain ?? (yield* Effect.fail(described.failure))
  }
  const { parameterTypes } = described.success
  yield* learn(connection, toLearn(types, parameterTypes))
  return yield* Effect.fromResult(encodeParameters(types, params, parameterTypes, values, place))
})
