/**
 * One statement, from its text and parameters to rows: what its text shows is checked, its parameters are encoded, it runs
 * on the fiber's transaction or on a connection lent for it, its rows are decoded, and its error is told well.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Batch } from "./codec/Codec.ts"
import { type PoolError, refused } from "./PoolError.ts"
import type { Result } from "./pool/Connection.ts"
import * as Exchange from "./pool/Exchange.ts"
import * as Fate from "./pool/Fate.ts"
import * as Held from "./pool/Held.ts"
import type * as Lines from "./pool/Lines.ts"
import * as Pipeline from "./pool/Pipeline.ts"
import type { Pool } from "./pool/Pool.ts"
import * as ServerError from "./ServerError.ts"
import type { Bound } from "./Sql.ts"
import { describe, differences } from "./settings/Settings.ts"
import { type Facts, factsOf } from "./statement/Facts.ts"
import { surplus } from "./statement/Placeholders.ts"

/** Which of how many statements, for the error of a batch. */
export interface Position {
  readonly number: number
  readonly of: number
}

/** The transaction of this pool that the fiber is in. */
export const joined = (pool: Pool, context: Context.Context<never>): Held.Held | undefined => {
  const held = Context.getOrUndefined(context, pool.transaction)?.[0].held
  if (held === undefined || held.owner.settings === pool.settings) return held
  return differences(held.owner.settings, pool.settings).length === 0 ? held : Held.closedTo(held)
}

/** Why a statement is not sent. */
const refusalOf = ({ params, text }: Bound, { placeholders, refusal }: Facts): string | undefined =>
  refusal ?? surplus(text, placeholders, params.length)

/** The statement's facts, unless it is one that is not sent. */
export const check = (statement: Bound): Effect.Effect<Facts, PoolError> => {
  const facts = factsOf(statement.text)
  const refusal = refusalOf(statement, facts)
  return refusal === undefined ? Effect.succeed(facts) : Effect.fail(refused(refusal))
}

/** Tells an error of a statement on this connection. */
export const tell =
  (pool: Pool, { connection }: Lines.Member, statement: Bound, position?: Position) =>
  (error: SqlError): SqlError =>
    ServerError.tell(error, {
      text: statement.text,
      params: statement.params,
      about: statement.about,
      server: describe(pool.settings),
      farewell: connection.farewell(),
      ...position
    })

const severity = { nothing: 0, session: 1, prepared: 2 } as const

/** Notes what a statement leaves in the session before it is sent: whatever becomes of it, it is cleaned up. */
export const note = (member: Lines.Member, { leaves }: Facts): void => {
  if (severity[leaves] > severity[member.leaves]) member.leaves = leaves
}

/** A statement whose parameters the driver can take. */
export interface Encoded {
  readonly statement: Bound
  readonly facts: Facts
  readonly params: ReadonlyArray<unknown>
  readonly position?: Position
}

const repeatable = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "TABLE"]

/**
 * A statement keeps the types that it was prepared with, also when a column has another one meanwhile: its connection is
 * not used again. Where it stood alone nothing of it took effect, so it runs once more, unprepared.
 */
const runAnew = (
  member: Lines.Member,
  { facts, params, statement }: Encoded,
  error: SqlError,
  alone: boolean
): Effect.Effect<Result, SqlError> => {
  const retire = () => {
    member.leaves = "prepared"
    member.promised = true
  }
  if (alone && repeatable.includes(facts.command)) {
    return Effect.tap(member.connection.query(statement.text, params, false), () => Effect.sync(retire))
  }
  retire()
  return Effect.fail(error)
}

/** The result with what could not be read at once; `flagged`: how much that was before its statement was sent. */
export const settled = (
  pool: Pool,
  { connection }: Lines.Member,
  flagged: number,
  result: Result
): Effect.Effect<Result, SqlError> =>
  pool.codec.flagged() === flagged
    ? Effect.succeed(result)
    : Effect.map(pool.codec.settle(result.rows, connection.query), (rows) => ({ ...result, rows }))

/**
 * Sends a statement, and decodes its rows. `alone`: no transaction is around it, neither when it is sent nor sent with it.
 */
export const send = (
  pool: Pool,
  member: Lines.Member,
  encoded: Encoded,
  prepare = true,
  alone = false
): Effect.Effect<Result, SqlError> =>
  Effect.suspend(() => {
    const { facts, params, position, statement } = encoded
    note(member, facts)
    const flagged = pool.codec.flagged()
    const failed = (error: SqlError) => Effect.fail(tell(pool, member, statement, position)(error))
    const answered = (result: Result) => {
      if (facts.changesTypes) {
        pool.onCatalogueChange()
        if (member.connection.inTransaction()) member.changedTypes = true
      }
      return settled(pool, member, flagged, result)
    }
    return Effect.matchEffect(member.connection.query(statement.text, params, prepare), {
      onFailure: (error) => {
        pool.codec.forgetParameters(statement.text)
        return prepare && Fate.isOfTypes(error)
          ? Effect.matchEffect(runAnew(member, encoded, error, alone), {
              onFailure: failed,
              onSuccess: answered
            })
          : failed(error)
      },
      onSuccess: answered
    })
  })

const batchOn =
  (member: Lines.Member): Batch =>
  (statements) =>
    Pipeline.run(statements.map(([text, params]) => member.connection.query(text, params, false)))

/** Encodes parameters; asks the server which types it expects where their values do not tell. */
export const encode = (
  pool: Pool,
  member: Lines.Member,
  statement: Bound,
  facts: Facts,
  position?: Position
): Effect.Effect<Encoded, SqlError | PoolError> => {
  const done = (params: ReadonlyArray<unknown>): Encoded =>
    position === undefined ? { statement, facts, params } : { statement, facts, params, position }
  const plain = pool.codec.bind(statement.params)
  if (plain !== undefined) return Effect.succeed(done(plain))
  return pool.codec
    .parameterTypes(statement.text, statement.params, batchOn(member), member.connection.inTransaction())
    .pipe(
      // Cut off, it may leave what it had prepared.
      Effect.onInterrupt(() =>
        Effect.sync(() => {
          member.leaves = "prepared"
        })
      ),
      Effect.catchTag("SqlError", (error) => Effect.fail(tell(pool, member, statement, position)(error))),
      Effect.flatMap((types) => Effect.fromResult(pool.codec.bindTyped(statement.params, types))),
      Effect.map(done)
    )
}

/** How a statement's parameters are encoded on the connection that it runs on. */
export type Encode = (member: Lines.Member, facts: Facts) => Effect.Effect<Encoded, SqlError | PoolError>

/** Runs a statement on a transaction's connection. */
const runOnHeld = (
  pool: Pool,
  held: Held.Held,
  statement: Bound,
  prepare: boolean,
  how: Encode
): Effect.Effect<Result, SqlError | PoolError> => {
  const facts = factsOf(statement.text)
  const refusal = refusalOf(statement, facts)
  if (refusal !== undefined) return Effect.fail(refused(refusal))
  return Exchange.on(held, (member, level) =>
    Effect.flatMap(how(member, facts), (encoded) => {
      // The transaction may have ended while the server was asked for types.
      const refusal = Held.closed(held, level)
      return refusal === undefined ? send(pool, member, encoded, prepare) : Effect.fail(refusal)
    })
  )
}

export const onHeld = (
  pool: Pool,
  held: Held.Held,
  statement: Bound,
  prepare = true
): Effect.Effect<Result, SqlError | PoolError> =>
  runOnHeld(pool, held, statement, prepare, (member, facts) => encode(pool, member, statement, facts))

/** Makes sure that the pool's codec knows these types, on the fiber's transaction or a connection lent for it. */
export const know = (pool: Pool, oids: ReadonlyArray<number>): Effect.Effect<void, SqlError | PoolError> =>
  Effect.withFiber((fiber) => {
    const held = joined(pool, fiber.context)
    const learn = (member: Lines.Member) => pool.codec.know(oids, member.connection.query)
    return held === undefined ? pool.use(learn) : Exchange.on(held, learn)
  })

/** Runs a statement on a connection lent for it alone, which its parameters may ask for types first. */
const onLent = (
  pool: Pool,
  statement: Bound,
  facts: Facts,
  how: Encode
): Effect.Effect<Result, SqlError | PoolError> =>
  pool.single(statement.text, { reads: false, calls: true, clock: false }, (member) =>
    Effect.flatMap(how(member, facts), (encoded) => {
      const error = pool.cutOff()
      return error === undefined ? send(pool, member, encoded, true, true) : Effect.fail(error)
    })
  )

/** Runs one statement with parameters of the caller's own encoding, joining the fiber's transaction if there is one. */
export const encodedBy = (
  pool: Pool,
  statement: Bound,
  how: Encode
): Effect.Effect<Result, SqlError | PoolError> =>
  Effect.withFiber((fiber) => {
    const held = joined(pool, fiber.context)
    if (held !== undefined) return runOnHeld(pool, held, statement, true, how)
    return Effect.flatMap(check(statement), (facts) => onLent(pool, statement, facts, how))
  })

/** Runs one statement, joining the fiber's transaction if there is one. */
export const single = (
  pool: Pool,
  statement: Bound,
  prepare = true
): Effect.Effect<Result, SqlError | PoolError> =>
  Effect.withFiber((fiber) => {
    const held = joined(pool, fiber.context)
    if (held !== undefined) return onHeld(pool, held, statement, prepare)
    const facts = factsOf(statement.text)
    const refusal = refusalOf(statement, facts)
    if (refusal !== undefined) return Effect.fail(refused(refusal))
    const params = pool.codec.bind(statement.params)
    return params === undefined
      ? onLent(pool, statement, facts, (member) => encode(pool, member, statement, facts))
      : pool.single(statement.text, facts, (member) =>
          send(pool, member, { statement, facts, params }, prepare, true)
        )
  })
