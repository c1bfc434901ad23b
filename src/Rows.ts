/**
 * Rows as they come: in constant memory, with back pressure, and with an end that reaches the server.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { SqlError, UnknownError } from "effect/sql/SqlError"
import type { Query } from "./codec/Codec.ts"
import { check, type Encoded, encode, joined, note, onHeld, settled, tell } from "./Execute.ts"
import { fromSqlError, type PoolError, toSqlError } from "./PoolError.ts"
import { sizeOf } from "./Progress.ts"
import type { Result, Row } from "./pool/Connection.ts"
import * as Exchange from "./pool/Exchange.ts"
import * as Fate from "./pool/Fate.ts"
import * as Held from "./pool/Held.ts"
import type * as Lines from "./pool/Lines.ts"
import * as Overload from "./pool/Overload.ts"
import * as Pipeline from "./pool/Pipeline.ts"
import type { Pool } from "./pool/Pool.ts"
import * as ServerError from "./ServerError.ts"
import type { Bound } from "./Sql.ts"
import type { Facts } from "./statement/Facts.ts"

type Rows = Stream.Stream<Row, SqlError | PoolError>

/** Asks the server on another connection of the pool, since the stream has its own. */
const elsewhere =
  (pool: Pool): Query =>
  (text, params) =>
    Effect.mapError(
      pool.use(({ connection }) =>
        Effect.onInterrupt(connection.query(text, params), () => connection.recover)
      ),
      toSqlError
    )

/** The rows of a statement as the driver reads them. */
const fromDriver = (pool: Pool, member: Lines.Member, { params, statement }: Encoded): Rows =>
  Stream.mapError(member.connection.stream(statement.text, params), tell(pool, member, statement))

/** Puts right what the driver could not read; `ask` is how the server is asked about a piece. */
const settling = (pool: Pool, ask: Ask): ((rows: Rows) => Rows) => {
  const flagged = pool.codec.flagged()
  return Stream.mapArrayEffect((rows) =>
    // Rows are read ahead, so once one was flagged, any later piece may hold another.
    pool.codec.flagged() === flagged
      ? Effect.succeed(rows)
      : Effect.as(Effect.mapError(pool.codec.settle(rows, ask(rows)), fromSqlError), rows)
  )
}

type Ask = (rows: ReadonlyArray<Row>) => Query

/** Learns these types and settles these rows on the connection of their statement, which is done with it. */
const learn = (
  pool: Pool,
  member: Lines.Member,
  { statement }: Encoded,
  types: ReadonlyArray<number>,
  rows: ReadonlyArray<Row>
): Effect.Effect<void, SqlError> =>
  pool.codec.know(types, member.connection.query).pipe(
    Effect.andThen(Effect.suspend(() => pool.codec.settle(rows, member.connection.query))),
    Effect.onInterrupt(() => member.connection.recover),
    Effect.mapError(tell(pool, member, statement))
  )

/** The server has to be asked, and nothing was given yet: the stream may begin again. */
const unlearnt = (): SqlError =>
  new SqlError({
    reason: new UnknownError({ cause: undefined, message: "Types are to be learnt", operation: "decode" })
  })

/**
 * A read with a column of a type that is not known yet, or with what only the server can tell in its first piece, ends, asks
 * on its own connection, and begins again: streams that have all connections of the pool would otherwise wait for each other.
 */
const learning = (pool: Pool, member: Lines.Member, encoded: Encoded): Rows =>
  Stream.suspend(() => {
    let first: ReadonlyArray<Row> | undefined
    let types: ReadonlyArray<number> = []
    let missing: SqlError | undefined
    const { connection } = member
    const stop = (rows: ReadonlyArray<Row>): Effect.Effect<never, SqlError> => {
      first = rows
      types = connection.columnTypes()
      missing = unlearnt()
      return Effect.fail(missing)
    }
    const again = Stream.unwrap(
      connection.recover.pipe(
        Effect.andThen(Effect.suspend(() => learn(pool, member, encoded, types, first ?? []))),
        Effect.map(() => settling(pool, () => elsewhere(pool))(fromDriver(pool, member, encoded)))
      )
    )
    return fromDriver(pool, member, encoded).pipe(
      settling(pool, (rows) => {
        if (first !== undefined) return elsewhere(pool)
        const stopped = stop(rows)
        return () => stopped
      }),
      Stream.mapArrayEffect((rows) => {
        if (first === undefined && pool.codec.lacks(connection.columnTypes())) return stop(rows)
        first ??= []
        return Effect.succeed(rows)
      }),
      Stream.catchIf(
        (error) => error === missing,
        () => again
      )
    )
  })

/**
 * What is no read runs once: from a column of a type that is not known yet on, or a value that the server has to be asked
 * about, rows are kept until all have come. Then their own connection is there to ask on, so no other one is waited for.
 */
const keeping = (pool: Pool, member: Lines.Member, encoded: Encoded): Rows =>
  Stream.suspend(() => {
    const flagged = pool.codec.flagged()
    const kept: Array<Row> = []
    let types: ReadonlyArray<number> | undefined
    const isKept = (row: Row): boolean => {
      if (kept.length > 0) return true
      if (types === undefined) {
        types = member.connection.columnTypes()
        if (pool.codec.lacks(types)) return true
      }
      return pool.codec.flagged() !== flagged && pool.codec.isOpen(row)
    }
    return fromDriver(pool, member, encoded).pipe(
      Stream.filter((row) => {
        if (!isKept(row)) return true
        kept.push(row)
        return false
      }),
      Stream.concat(
        Stream.suspend(() =>
          kept.length === 0
            ? Stream.empty
            : Stream.unwrap(
                Effect.as(learn(pool, member, encoded, types ?? [], kept), Stream.fromArray(kept))
              )
        )
      )
    )
  })

/** Rows over a connection lent for as long as the stream runs. */
export const rowsOnPool = (pool: Pool, statement: Bound): Rows =>
  Stream.unwrap(
    Effect.gen(function* () {
      const facts = yield* check(statement)
      const member = yield* pool.reserve
      note(member, facts)
      const encoded = yield* Effect.onInterrupt(
        encode(pool, member, statement, facts),
        () => member.connection.recover
      )
      return facts.reads ? learning(pool, member, encoded) : keeping(pool, member, encoded)
    })
  ).pipe(Stream.updateService(Overload.Held, (keys) => [...keys, pool.settings.key]))

/** How many rows the first piece of a cursor has, and the most that any has. */
const fewRows = 32
const mostRows = 1_000
/** About how many bytes a piece has once it is known how long rows are. */
const pieceSize = 512 * 1024
let cursors = 0

/** How many rows the next piece has, by the length of those of the last. */
const nextCount = (rows: ReadonlyArray<Row>): number => {
  let size = 0
  for (const row of rows) size += sizeOf(row)
  return Math.max(1, Math.min(mostRows, Math.floor((pieceSize * rows.length) / Math.max(size, 1))))
}

const queries = ["SELECT", "VALUES", "TABLE", "WITH"]

/** Which statements Postgres declares a cursor for: outside a transaction, none that locks rows. */
const hasCursor = ({ command, reads }: Facts, isTransaction: boolean): boolean =>
  queries.includes(command) && (reads || (isTransaction && command !== "WITH"))

/** A query of the user's under the name of its cursor. */
interface Cursor {
  readonly statement: Bound
  readonly facts: Facts
  readonly name: string
  /** Whether it outlives the transaction of its `DECLARE`, which has none around it. */
  readonly hold: boolean
}

type Answer = Effect.Effect<Result, SqlError>

const declare = (
  member: Lines.Member,
  { hold, name, statement }: Cursor,
  params: Encoded["params"]
): Answer => {
  const prefix = `DECLARE ${name} NO SCROLL CURSOR ${hold ? "WITH HOLD " : ""}FOR `
  return Effect.mapError(member.connection.query(prefix + statement.text, params, false), (error) =>
    ServerError.tell(error, { ...statement, prefixLength: prefix.length })
  )
}

const fetch = (pool: Pool, member: Lines.Member, { name, statement }: Cursor, count: number): Answer =>
  Effect.suspend(() => {
    const flagged = pool.codec.flagged()
    return Effect.flatMap(
      Effect.mapError(
        member.connection.query(`FETCH FORWARD ${count} FROM ${name}`, [], false),
        tell(pool, member, statement)
      ),
      (result) => settled(pool, member, flagged, result)
    )
  })

/** Declares the cursor and reads its first piece, in one round trip. */
const open = (pool: Pool, held: Held.Held, cursor: Cursor) =>
  Exchange.on(held, (member, level) =>
    Effect.gen(function* () {
      const { params } = yield* encode(pool, member, cursor.statement, cursor.facts)
      note(member, cursor.hold ? { ...cursor.facts, leaves: "session" } : cursor.facts)
      const [opened, read] = yield* Pipeline.run(
        [declare(member, cursor, params), fetch(pool, member, cursor, fewRows)],
        { pipelining: pool.settings.pipelining }
      )
      if (opened !== undefined) yield* opened
      const { rows } = yield* read ?? Effect.interrupt
      return { level, rows }
    })
  )

const isLast = (asked: number, rows: ReadonlyArray<Row>) =>
  rows.length < asked ? Option.none() : Option.some(nextCount(rows))

/**
 * Rows through a cursor of the transaction, so that other statements of the transaction can run between two pieces. What
 * is no query (`insert … returning`) has no cursor: it runs whole.
 */
export const rowsOnHeld = (pool: Pool, held: Held.Held, statement: Bound): Rows =>
  Stream.unwrap(
    Effect.gen(function* () {
      const facts = yield* check(statement)
      const isTransaction = Held.isTransaction(held)
      if (!hasCursor(facts, isTransaction))
        return Stream.fromIterable((yield* onHeld(pool, held, statement)).rows)
      const name = `effect_global_pool_${cursors++}`
      const cursor: Cursor = { statement, facts, name, hold: !isTransaction }
      let level: Held.Level | undefined
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          if (level !== undefined) Held.afterwards(held, level, `CLOSE ${cursor.name}`)
        })
      )
      return Stream.paginate(fewRows, (count) => {
        if (level === undefined) {
          return Effect.map(open(pool, held, cursor), (opened) => {
            level = opened.level
            return [opened.rows, isLast(count, opened.rows)] as const
          })
        }
        if (!Held.isAlive(level)) return Effect.fail(Fate.cursorGone())
        return Effect.map(
          Exchange.on(held, (member) => fetch(pool, member, cursor, count)),
          ({ rows }) => [rows, isLast(count, rows)] as const
        )
      })
    })
  )

/** Rows of a statement, through the fiber's transaction if there is one. */
export const rows = (pool: Pool, statement: Bound): Rows =>
  Stream.unwrap(
    Effect.withFiber((fiber) => {
      const held = joined(pool, fiber.context)
      return Effect.succeed(
        held === undefined ? rowsOnPool(pool, statement) : rowsOnHeld(pool, held, statement)
      )
    })
  )
