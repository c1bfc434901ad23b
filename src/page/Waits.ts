/**
 * Who waits for whom in a database: `pg_blocking_pids`, asked on a connection beside the pool's own, since those may all be among
 * the waiting.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { beforeLiterals, blank } from "../errors/BlankLiterals.ts"
import type { Pool } from "../pool/Pool.ts"
import { ask } from "../protocol/Ask.ts"

/** One session that waits for a lock, and one that holds it. */
export interface Wait {
  readonly waiting: string
  readonly waitingFor: string
  readonly millis: number
  readonly waitingText: string
  readonly holding: string
  readonly holdingText: string
}

const patienceMillis = 1_000

const query = `
with waits as (
  select pid, pg_catalog.pg_blocking_pids(pid) as blockers from pg_catalog.pg_stat_activity
  where datname = pg_catalog.current_database() and wait_event_type = 'Lock'
)
select pg_catalog.json_agg(one) as waits from (
  select w.pid::text || ' ' || coalesce(w.application_name, '') as waiting, coalesce(w.wait_event, '') as "waitingFor",
    1000 * extract(epoch from pg_catalog.clock_timestamp() - w.query_start) as millis, coalesce(w.query, '') as "waitingText",
    blocker.pid::text || ' ' || coalesce(b.application_name, '') || ' ' || coalesce(b.state, '') as holding,
    coalesce(b.query, '') as "holdingText"
  from waits join pg_catalog.pg_stat_activity w using (pid)
  cross join lateral (select distinct pg_catalog.unnest(waits.blockers) as pid) as blocker
  left join pg_catalog.pg_stat_activity b on b.pid = blocker.pid
  order by w.query_start, blocker.pid limit 50
) as one`

/** A text of any session's statement, without what it says there. */
export const withoutValues = (text: string): string =>
  blank(
    { text: beforeLiterals(text), index: undefined },
    ({ kind }) => kind === "string" || kind === "number"
  ).text

const waitOf = (value: unknown): ReadonlyArray<Wait> => {
  const text = (key: string) => (Predicate.hasProperty(value, key) ? String(value[key]) : "")
  return [
    {
      waiting: text("waiting"),
      waitingFor: text("waitingFor"),
      millis: Number(text("millis")),
      waitingText: withoutValues(text("waitingText")),
      holding: text("holding"),
      holdingText: withoutValues(text("holdingText"))
    }
  ]
}

/** Who waits now; `none` where no server could be asked. An unused pool is not asked. */
export const look = (pool: Pool): Effect.Effect<Option.Option<ReadonlyArray<Wait>>> =>
  pool.stats().inUse === 0
    ? Effect.succeed(Option.some([]))
    : Effect.timeoutOrElse(
        pool.aside((session) =>
          Effect.map(ask(session, query), ({ rows: [row] }) => {
            const found = Predicate.hasProperty(row, "waits") ? row.waits : []
            return Array.isArray(found) ? found.flatMap(waitOf) : []
          })
        ),
        { duration: patienceMillis, orElse: () => Effect.succeedNone }
      )
