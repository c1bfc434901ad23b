/** What tests of transactions look at: the network between a handle and its server, and the server's own view of sessions. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import { isSqlError } from "effect/sql/SqlError"
import { PG, PoolError, PoolRegistry } from "effect-global-pool"
import { eventually, type NeverHeld, type TestDatabase } from "./database.ts"
import { type Proxy, proxy } from "./proxy.ts"

export interface Linked {
  readonly proxy: Proxy
  readonly pgdb: PG.Database
}

/** A handle whose connections go through a proxy. */
export const linked = (
  { settings }: TestDatabase,
  options: Partial<PG.Settings> = {},
  latency = 0
): Effect.Effect<Linked, never, Scope.Scope> =>
  Effect.map(proxy(settings, latency), (proxy) => ({
    proxy,
    pgdb: PG.make({ ...settings, ...proxy.address, ...options })
  }))

/** The round trips that an effect takes. */
export const roundTrips = <A, E, R>(
  { proxy }: Linked,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<number, E, R> =>
  Effect.suspend(() => {
    const before = proxy.roundTrips()
    return Effect.map(effect, () => proxy.roundTrips() - before)
  })

/** What an effect sends, as text of one byte a character. */
export const sentBy = <A, E, R>(
  { proxy }: Linked,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<string, E, R> =>
  Effect.suspend(() => {
    const before = proxy.sent().length
    return Effect.map(effect, () => proxy.sent().slice(before))
  })

/** How many sessions are in a transaction, by the server. */
export const openTransactions = ({ witness }: TestDatabase): Effect.Effect<number, SqlError> =>
  Effect.map(
    witness.query(
      `select count(*)::int as n from pg_stat_activity where datname = current_database() and application_name <> 'witness'
       and (xact_start is not null or state like 'idle in transaction%')`
    ),
    ([row]) => Number(row?.n)
  )

/**
 * All is given back: no transaction is open on the server, no lock is held, and every connection that the pool counts is one
 * that the server has, and idle.
 */
export const atRest = (given: TestDatabase): Effect.Effect<void, SqlError | NeverHeld, PoolRegistry> =>
  Effect.asVoid(
    eventually(
      "everything is given back",
      Effect.all({
        transactions: openTransactions(given),
        sessions: Effect.map(given.sessions, (all) => all.length),
        stats: PoolRegistry.stats
      }),
      ({ sessions, stats, transactions }) =>
        transactions === 0 &&
        stats.every(({ inUse, waiting, open, idle }) => inUse === 0 && waiting === 0 && open === idle) &&
        (given.sharesSession === true || stats.reduce((sum, { open }) => sum + open, 0) === sessions)
    )
  )

/** Waits until so many sessions wait for a lock. */
export const blocked = (given: TestDatabase, count = 1) =>
  eventually(
    `${count} sessions wait for a lock`,
    given.witness.query(
      "select count(*)::int as n from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.datname = current_database()"
    ),
    ([row]) => row?.n === count
  )

/** A table on which COMMIT waits for the advisory lock 1, in a trigger. */
export const slowCommit = [
  "create table t (n int)",
  `create function wait() returns trigger language plpgsql as
   $$ begin perform pg_advisory_xact_lock(1); return null; end $$`,
  "create constraint trigger slow after insert on t deferrable initially deferred for each row execute function wait()"
]

/** The reason of a failure, in a word. */
export const reasonOf = (error: unknown): string =>
  isSqlError(error) || error instanceof PoolError ? error.reason._tag : String(error)
