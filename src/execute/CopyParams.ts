/**
 * Parameters of `COPY (query) TO STDOUT`, which Postgres does not take: it has none for a `COPY`. Each value is bound to a setting
 * of the transaction instead, and the query reads that setting, so that no value becomes SQL.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { type OperationError, refused } from "../errors/PoolError.ts"
import type { Pool } from "../pool/Pool.ts"
import { isInTransaction, markDirty, type PooledConnection } from "../pool/PooledConnection.ts"
import { statementOf } from "../pool/StatementCache.ts"
import { ask } from "../protocol/Ask.ts"
import * as Commands from "../protocol/Commands.ts"
import { make as makeStatement } from "../protocol/KnownStatement.ts"
import { queryOf } from "../statement/CopyStatement.ts"
import { tokenAt } from "../statement/Scan.ts"
import type { Bound } from "../statement/Statement.ts"
import { hex } from "../types/Bytes.ts"
import type { WireValue } from "../types/PgType.ts"
import * as Encode from "./Encode.ts"
import * as Jobs from "./Job.ts"
import * as Send from "./Send.ts"
import * as Settle from "./Settle.ts"

/** A `COPY` without parameters, and what has to be written in front of it. */
interface BoundCopy {
  readonly text: string
  readonly write: () => void
}

const setting = (number: number): string => `effect_global_pool.copy_${number}`

const typeNames = `
select pg_catalog.json_agg(pg_catalog.format_type(oid, -1) order by number) as names
from pg_catalog.unnest($1::pg_catalog.oid[]) with ordinality as types (oid, number)`

const textOf = (value: WireValue): string | null =>
  value instanceof Uint8Array ? `\\x${hex(value, 0, value.length)}` : value

const nothing = () => undefined

/** The query with what stands for its `$1`, `$2` … */
const replaced = (query: string, standIn: (number: number) => string): string => {
  let text = ""
  let kept = 0
  for (let token = tokenAt(query, 0); token.kind !== "end"; token = tokenAt(query, token.end)) {
    if (token.kind !== "parameter") continue
    text += query.slice(kept, token.start) + standIn(Number(query.slice(token.start + 1, token.end)))
    kept = token.end
  }
  return text + query.slice(kept)
}

/** Binds the parameters of a `COPY`. */
export const bind = Effect.fnUntraced(function* (
  pool: Pool,
  connection: PooledConnection,
  bound: Bound
): Effect.fn.Return<BoundCopy, OperationError> {
  if (bound.params.length === 0) return { text: bound.text, write: nothing }
  const { session } = connection
  const range = queryOf(bound.text)
  if (range === undefined) {
    return yield* refused(
      "A COPY takes parameters in its query alone: copy (select …) to stdout. Nothing was sent."
    )
  }
  const [start, end] = range
  const job = Jobs.prepare(pool, { ...bound, text: bound.text.slice(start, end) }, { prepare: false })
  if (!Jobs.isJob(job)) return yield* job
  const encoding = Effect.gen(function* () {
    const encoded = yield* Send.encode(pool, connection, job)
    const statement = statementOf(pool.statements, job.known, encoded.types)
    const { parameterTypes } = yield* Encode.describe(connection, statement, false)
    return { texts: encoded.values.map(textOf), parameterTypes }
  })
  const { parameterTypes, texts } = yield* Effect.catchTag(encoding, "DescribeFailure", ({ exchange }) =>
    Effect.fail(Settle.errorOf(pool, job, exchange, connection))
  )
  if (texts.some((text) => text?.includes("\0"))) {
    return yield* refused(
      "A parameter holds a NUL character, which no text of Postgres has. Nothing was sent."
    )
  }
  const named = yield* ask(session, typeNames, [`{${parameterTypes.join(",")}}`])
  const [row] = named.rows
  const names: unknown = Predicate.hasProperty(row, "names") ? row.names : undefined
  if (!Array.isArray(names)) return yield* Settle.errorOf(pool, job, named, connection)
  const query = replaced(job.bound.text, (number) =>
    texts[number - 1] === null
      ? `(null::${names[number - 1]})`
      : `(pg_catalog.current_setting('${setting(number)}')::${names[number - 1]})`
  )
  const text = bound.text.slice(0, start) + query + bound.text.slice(end)
  // Where statements are sent one by one, a transaction may be one statement alone.
  const isLocal = pool.settings.pipelining || isInTransaction(connection)
  const calls = texts.map(
    (_, index) => `pg_catalog.set_config('${setting(index + 1)}', $${index + 1}, ${isLocal})`
  )
  const settings = makeStatement(`select ${calls.join(", ")}`)
  if (pool.settings.pipelining) {
    const options = { keep: false, syncs: false }
    return { text, write: () => void Commands.run(session, settings, texts, nothing, options) }
  }
  if (!isLocal) markDirty(connection, { sessionEffects: "settings", setsFloatDigits: false })
  const set = yield* ask(session, settings.text, texts)
  return set.state === "done"
    ? { text, write: nothing }
    : yield* Effect.fail(Settle.errorOf(pool, job, set, connection))
})
