/**
 * Parameters on their way to a statement: by their values alone where those tell, else by what the server expects.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { OperationError, PoolError } from "../errors/PoolError.ts"
import * as OwnSpans from "../pool/OwnSpans.ts"
import type { PooledConnection } from "../pool/PooledConnection.ts"
import { isDead, isInTransaction } from "../pool/PooledConnection.ts"
import type { KnownText } from "../pool/StatementCache.ts"
import { statementOf } from "../pool/StatementCache.ts"
import { answerTo, ask, askAll } from "../protocol/Ask.ts"
import * as Commands from "../protocol/Commands.ts"
import type { Exchange } from "../protocol/Exchange.ts"
import type { Description, Memory, Statement } from "../protocol/KnownStatement.ts"
import { areSame, descriptionOf, forget } from "../protocol/KnownStatement.ts"
import type { ColumnValues } from "../statement/Statement.ts"
import { areSensitive, encodeParameters, isSensitive, undeclared } from "../types/ColumnValues.ts"
import type { Encoded } from "../types/Parameters.ts"
import { encodePlain, typesToDescribe, typesToTry } from "../types/Parameters.ts"
import { isAmbiguous, isCompound, surviveRetyping } from "../types/Retyping.ts"
import type { TypeMap } from "../types/TypeMap.ts"
import { learn } from "./Learn.ts"

/** Several operators fit, since the type of a parameter is not known. */
const ambiguous = "42725"
/** The server cannot tell the type of a parameter from the statement; the second is said of polymorphic functions. */
const indeterminate: ReadonlySet<string | undefined> = new Set(["42P18", "42804", ambiguous])
/** One parameter stands for several types. */
const inconsistent = "42P08"

export interface Given {
  readonly memory: Memory
  readonly known: KnownText
  readonly params: ReadonlyArray<unknown>
  /** Statements are kept prepared. */
  readonly keeps: boolean
  /** A parameter that stands for several types is sent as its own, and the server converts it, by the session's zone too. */
  readonly converts: boolean
  /** What is refused cannot be sent again. */
  readonly inTransaction: boolean
}

/** The server did not describe the statement. Nothing of it has run. */
export class DescribeFailure {
  readonly _tag = "DescribeFailure"
  readonly exchange: Exchange

  constructor(exchange: Exchange) {
    this.exchange = exchange
  }
}

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

/**
 * Has the server describe a statement, `isAnew` also where the pool knows it. In a transaction a savepoint keeps a failure
 * from spoiling it.
 */
export const describe = (
  connection: PooledConnection,
  statement: Statement,
  keep: boolean,
  isAnew = false
): Effect.Effect<Description, DescribeFailure> => {
  const known = isAnew ? undefined : descriptionOf(statement)
  if (known !== undefined) return Effect.succeed(known)
  const described = describeOnce(connection, statement, keep)
  const resultOf = (exchange: Exchange): Effect.Effect<Description, DescribeFailure> => {
    const description = exchange.state === "done" ? exchange.prepared?.description : undefined
    return description === undefined
      ? Effect.fail(new DescribeFailure(exchange))
      : Effect.succeed(description)
  }
  if (!isInTransaction(connection)) return Effect.flatMap(described, resultOf)
  const { session } = connection
  return Effect.flatMap(
    Effect.all([ask(session, `SAVEPOINT ${savepoint}`), described], { concurrency: "unbounded" }),
    ([, exchange]) => {
      const undo = exchange.state === "done" ? "" : `ROLLBACK TO SAVEPOINT ${savepoint}`
      const release = `RELEASE SAVEPOINT ${savepoint}`
      const texts = undo === "" ? [release] : [undo, release]
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
  connection: PooledConnection,
  { keeps, known, memory, params }: Given,
  { columns, parameterTypes: expected }: Description
) {
  const { types } = connection.session
  yield* learn(connection, toLearn(types, expected))
  const encoded = yield* Effect.fromResult(encodeParameters(types, params, expected))
  // What the server takes for text may be text, or something that it knows nothing of.
  const tried = typesToTry(params, encoded, expected)
  if (tried === undefined) return encoded
  const described = describe(connection, statementOf(memory, known, tried), keeps)
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

type Asked = Pick<Given, "known" | "memory" | "params">

/** The statement with all types left to the server, which tells what a codec of the program's own is for. */
const openStatement = ({ known, memory, params }: Asked): Statement =>
  statementOf(
    memory,
    known,
    params.map(() => 0)
  )

/** The statement as the server is asked about it, unless it was found not to know all types of its parameters. */
const statementToDescribe = (types: TypeMap, given: Asked): Statement => {
  const declared = statementOf(given.memory, given.known, typesToDescribe(given.params))
  if (!types.hasCodecs) return declared
  const open = openStatement(given)
  const isRefused = descriptionOf(open) === undefined && descriptionOf(declared) !== undefined
  return isRefused ? declared : open
}

/** Whether it is known that no codec of the program's own is for one of the parameters. */
export const hasNoCodecs = (types: TypeMap, given: Asked): boolean => {
  const { params } = given
  if (!types.hasCodecs || params.every((value) => value === null || value === undefined)) return true
  const description = descriptionOf(statementToDescribe(types, given))
  return description?.parameterTypes.every((type) => types.codecOf(type) === undefined) === true
}

/**
 * Encodes parameters that have to know what the statement expects. Asks the server where the pool does not know it, and
 * looks again before a refusal that rests on what the pool knew.
 */
export const encode: (
  connection: PooledConnection,
  given: Given
) => Effect.Effect<Encoded, OperationError | DescribeFailure> = Effect.fnUntraced(function* (
  connection: PooledConnection,
  given: Given
) {
  const statement = statementToDescribe(connection.session.types, given)
  const remembered = descriptionOf(statement)
  if (
    remembered !== undefined &&
    !areSensitive(connection.session.types, given.params, remembered.parameterTypes)
  ) {
    const encoded = yield* Effect.result(encodeExpected(connection, given, remembered))
    if (Result.isSuccess(encoded)) return { ...encoded.success, remembered: remembered.parameterTypes }
  }
  let described = yield* Effect.result(describe(connection, statement, given.keeps, true))
  const declared = statementOf(given.memory, given.known, typesToDescribe(given.params))
  const isOpen = Result.isFailure(described) && declared !== statement && !isDead(connection)
  if (isOpen) described = yield* Effect.result(describe(connection, declared, given.keeps, true))
  if (Result.isSuccess(described)) {
    return yield* encodeExpected(connection, given, described.success)
  }
  const { exchange } = described.failure
  const code = exchange.error?.code
  const isTold = !indeterminate.has(code) && !(given.converts && code === inconsistent)
  if (isDead(connection) || isTold) return yield* Effect.fail(described.failure)
  return yield* encodeExpected(connection, given, nothing)
})

/**
 * Encodes values of columns by the types that the server infers. A description counts if this connection has it, and if the
 * server would refuse the statement when it is stale; else it is asked for anew.
 */
export const encodeColumns: (
  connection: PooledConnection,
  given: Given,
  columns: ColumnValues
) => Effect.Effect<Encoded, OperationError | DescribeFailure> = Effect.fnUntraced(function* (
  connection: PooledConnection,
  { inTransaction, keeps, known, memory, params }: Given,
  { isGuarded, place, values }: ColumnValues
) {
  const { session } = connection
  const { types } = session
  const statement = statementOf(memory, known, undeclared(params, values))
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
