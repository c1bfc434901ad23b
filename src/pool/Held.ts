/**
 * The connection of a transaction, and how a transaction begins, nests and ends on it.
 *
 * A fiber's transaction is a service in its context, under a key of the database's own, in the form that Effect's SQL
 * clients use: so handles and `pgdb.client` join the same one. `BEGIN` and `SAVEPOINT` wait for the first statement and
 * travel with it; a transaction without a statement costs nothing.
 *
 * Fibers take turns on the connection. A nested transaction keeps its outer one's turn until it ends, so that what it
 * rolls back is its own and nobody else's.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as SqlClient from "effect/sql/SqlClient"
import type { Connection as SqlConnection } from "effect/sql/SqlConnection"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import type { PoolError } from "../PoolError.ts"
import * as ServerError from "../ServerError.ts"
import type { Checked } from "../settings/Settings.ts"
import * as Fate from "./Fate.ts"
import type * as Lines from "./Lines.ts"
import * as Turn from "./Turn.ts"

/** A transaction, or one nested in it. */
export interface Level {
  readonly held: Held
  readonly outer: Level | undefined
  /** Had by one statement at a time, or by the transaction that is nested in this one. */
  readonly turn: Turn.Turn
  readonly depth: number
  readonly savepoint: string
  open: boolean
  undone: boolean
}

/** A statement of ours that travels with the user's next one. */
interface Pending {
  readonly text: string
  /** The level whose undoing makes it void. */
  readonly level: Level
  /** Whether it is the one that opens the level. */
  readonly opens: boolean
}

/** The pool that a connection is lent by. */
export interface Owner {
  readonly settings: Checked
  readonly transaction: Key
}

/** A connection that one transaction holds. */
export interface Held {
  readonly owner: Owner
  readonly member: Lines.Member
  readonly root: Level
  pending: ReadonlyArray<Pending>
  begun: boolean
  /** It was committed or rolled back, and the connection may be somebody else's by now. */
  ended: boolean
  /** Why nothing more is sent although it has not ended: `BEGIN` failed. */
  failed: SqlError | undefined
  /** Whether a statement is on the wire, and who waits until there is none. */
  running: boolean
  readonly onRest: Set<() => void>
}

/** A transaction's connection in the form that Effect's SQL clients join. */
export interface Link extends SqlConnection {
  readonly held: Held
}

/** Under which key a fiber's context holds its transaction on one database, with the depth of savepoints. */
export type Key = Context.Service<SqlClient.TransactionConnection, readonly [link: Link, depth: number]>

/** The key as `SqlClient.make` takes it. */
export type ClientKey = Context.Service<
  SqlClient.TransactionConnection,
  SqlClient.TransactionConnection.Service
>

const registries = new WeakMap<object, number>()
let count = 0
/** Other copies of this module count too. */
const copy = /* @__PURE__ */ Math.random().toString(36).slice(2)

/**
 * The same key in the two types that its users know it by. It is that of the pool's key in its registry, so that a fiber
 * stays in its transaction when the pool is ended and another one takes its place.
 */
export const makeKey = (
  registry: object,
  pool: string
): { readonly key: Key; readonly client: ClientKey } => {
  const number = registries.get(registry) ?? count++
  registries.set(registry, number)
  const name = `effect-global-pool/Transaction/${copy}/${number}/${pool}`
  return {
    key: Context.Service<SqlClient.TransactionConnection, readonly [link: Link, depth: number]>(name),
    client: Context.Service<SqlClient.TransactionConnection, SqlClient.TransactionConnection.Service>(name)
  }
}

export const hold = (owner: Owner, member: Lines.Member): Held => {
  const held: Held = {
    owner,
    member,
    get root() {
      return root
    },
    pending: [],
    begun: false,
    ended: false,
    failed: undefined,
    running: false,
    onRest: new Set()
  }
  const root: Level = {
    held,
    outer: undefined,
    turn: Turn.make(),
    depth: 0,
    savepoint: "",
    open: true,
    undone: false
  }
  return held
}

/** Opens a savepoint inside a level; it waits for its first statement. */
export const openLevel = (outer: Level): Level => {
  const { held } = outer
  const depth = outer.depth + 1
  const savepoint = `effect_sql_${depth}`
  const level: Level = { held, outer, turn: Turn.make(), depth, savepoint, open: true, undone: false }
  held.pending = [...held.pending, { text: `SAVEPOINT ${savepoint}`, level, opens: true }]
  return level
}

/** Has the transaction begin with its first statement. */
export const beginWith = (held: Held, text: string): void => {
  held.pending = [{ text, level: held.root, opens: true }]
}

/** Sends a statement with the transaction's next one; not at all when that is never sent, or the level is rolled back. */
export const afterwards = (level: Level, text: string): void => {
  const { held } = level
  if (!held.ended) held.pending = [...held.pending, { text, level, opens: false }]
}

/** What the same transaction is to a handle of another database that has taken over its key: nothing to join. */
export const closedTo = (held: Held): Held => ({ ...held, ended: true })

/** Levels by the value under the fiber's key, which each level has one of its own of. */
const levels = new WeakMap<object, Level>()

export const levelOf = (held: Held, context: Context.Context<never>): Level => {
  const value = Context.getOrUndefined(context, held.owner.transaction)
  const level = value === undefined ? undefined : levels.get(value)
  return level?.held === held ? level : held.root
}

/** The fiber's context is one inside this level, and so are those of its children. */
export const enterLevel = (level: Level, context: Context.Context<never>): void => {
  const value = Context.getOrUndefined(context, level.held.owner.transaction)
  if (value !== undefined) levels.set(value, level)
}

/** Whether neither the level nor one around it was rolled back. */
export const isAlive = (level: Level): boolean =>
  !level.undone && (level.outer === undefined || isAlive(level.outer))

const isOpen = (level: Level): boolean => level.open && (level.outer === undefined || isOpen(level.outer))

/** Why nothing is sent on this level any more. */
export const closed = (held: Held, level: Level): SqlError | PoolError | undefined =>
  held.ended || !isOpen(level) ? Fate.over() : held.failed

export const patienceOf = ({ owner: { settings } }: Held): Turn.Patience<PoolError> => ({
  millis: settings.acquireTimeout,
  error: () => Fate.waited(settings.acquireTimeout)
})

const answerTime = 5_000

/** Waits for something that the server answers at once; a connection that stays silent is cut off. */
export const promptly = <A>(member: Lines.Member, effect: Effect.Effect<A>): Effect.Effect<A | undefined> =>
  Effect.timeoutOrElse(effect, {
    duration: answerTime,
    orElse: () => Effect.as(member.connection.close, undefined)
  })

interface Failure {
  readonly pending: Pending
  readonly error: SqlError
}

/** Sends what is pending, and waits for the answers with the effect that comes out: the first failure among them. */
const sendPending = (held: Held): Effect.Effect<Effect.Effect<Failure | undefined>> => {
  const { connection } = held.member
  const sent = held.pending.filter(({ level }) => isAlive(level))
  held.pending = []
  held.begun = true
  return Effect.map(
    Effect.forEach(sent, ({ level, opens, text }) =>
      Effect.forkDetach(
        opens && level.outer === undefined ? connection.begin(text) : connection.query(text, [], false),
        { startImmediately: true }
      )
    ),
    (fibers) =>
      Effect.gen(function* () {
        for (const [index, fiber] of fibers.entries()) {
          const error = Exit.findErrorOption(yield* Fiber.await(fiber))
          if (error._tag === "Some") return { pending: sent[index]!, error: error.value }
        }
        return undefined
      })
  )
}

const isBegin = ({ pending: { level, opens } }: Failure): boolean => opens && level.outer === undefined

/** The error of something that ran behind a pending statement which failed. */
const failed = <A, E>(
  held: Held,
  failure: Failure,
  exit: Exit.Exit<A, E> | undefined
): Exit.Exit<A, E | SqlError> => {
  const error = ServerError.tell(failure.error, { text: failure.pending.text })
  if (!isBegin(failure)) return exit !== undefined && Fate.isAborted(error) ? exit : Exit.fail(error)
  held.failed = Fate.notBegun(error, exit === undefined ? "Nothing of it was sent." : Fate.byItself(exit))
  return Exit.fail(held.failed)
}

/** Runs something behind the pending statements, in one write with them where the connection pipelines. */
const behindPending = <A, E>(held: Held, run: Effect.Effect<A, E>): Effect.Effect<A, E | SqlError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* (): Effect.fn.Return<A, E | SqlError> {
      const { connection } = held.member
      const answered = yield* sendPending(held)
      if (!held.owner.settings.pipelining) {
        const before = yield* promptly(held.member, answered)
        if (before !== undefined && !connection.isDead()) return yield* failed<A, E>(held, before, undefined)
      }
      const exit: Exit.Exit<A, E> = yield* Effect.exit(restore(run))
      // A cancel that hit BEGIN would let what follows run outside the transaction, so it waits for that answer.
      const failure = yield* promptly(held.member, answered)
      if (Exit.hasInterrupts(exit)) yield* connection.recover
      if (failure === undefined || connection.isDead()) return yield* exit
      return yield* failed(held, failure, exit)
    })
  )

/**
 * Runs something on the transaction's connection, in turn, with what is pending sent just before it in the same write. An
 * interruption cancels it on the server.
 */
export const on = <A, E>(
  held: Held,
  run: (member: Lines.Member, level: Level) => Effect.Effect<A, E>
): Effect.Effect<A, E | SqlError | PoolError> =>
  Effect.withFiber((fiber) => {
    const level = levelOf(held, fiber.context)
    const { connection } = held.member
    // Not before what is pending was sent: a statement that asks the server for types looks whether a transaction is open.
    const go = Effect.suspend(() => run(held.member, level))
    const now = Effect.suspend((): Effect.Effect<A, E | SqlError | PoolError> => {
      const refusal = closed(held, level)
      if (refusal !== undefined) return Effect.fail(refusal)
      held.running = true
      return Effect.onExitPrimitive(
        held.pending.length === 0
          ? Effect.onInterrupt(go, () => connection.recover)
          : behindPending(held, go),
        () => {
          held.running = false
          for (const resume of held.onRest) resume()
          held.onRest.clear()
          return undefined
        }
      )
    })
    return Effect.mapError(Turn.withTurn(level.turn, patienceOf(held), now), (error) =>
      isSqlError(error) && !Fate.isAnswer(error) && connection.isDead() && held.begun
        ? Fate.undone(error)
        : error
    )
  })

/** Cancels what a fiber that outlived its level has on the wire. */
export const rest = (held: Held): Effect.Effect<void> =>
  Effect.suspend(() =>
    held.running
      ? Effect.andThen(
          held.member.connection.recover,
          Effect.callback<void>((resume) => {
            if (held.running) held.onRest.add(() => resume(Effect.void))
            else resume(Effect.void)
          })
        )
      : Effect.void
  )
