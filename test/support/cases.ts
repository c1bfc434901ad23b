/** One case, in every operation that it can be met in, and with every setting that changes how statements are sent. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { PG, type PoolRegistry } from "effect-global-pool"
import { type Given, withDatabase } from "./handle.ts"

export type Rows = ReadonlyArray<PG.Row>
type Run = Effect.Effect<Rows, PG.OperationError, PoolRegistry>

const lastOf = (outcomes: ReadonlyArray<PG.Outcome>): Rows => outcomes.at(-1)?.rows ?? []

const byClient = (pgdb: PG.Database, text: string, params: ReadonlyArray<unknown>) =>
  Effect.flatMap(pgdb.client, (sql) => sql.unsafe<PG.Row>(text, params))

/** Every operation that takes a statement and its parameters; each gives the rows. */
export const operations: Readonly<
  Record<string, (pgdb: PG.Database, text: string, params: ReadonlyArray<unknown>) => Run>
> = {
  select: (pgdb, text, params) => pgdb.select(text, params),
  execute: (pgdb, text, params) => Effect.map(pgdb.execute(text, params), ({ rows }) => rows),
  stream: (pgdb, text, params) => Stream.runCollect(pgdb.stream(text, params)),
  trans: (pgdb, text, params) => Effect.map(pgdb.trans([[text, params]]), lastOf),
  "trans behind another statement": (pgdb, text, params) =>
    Effect.map(pgdb.trans(["select 1 as one", [text, params]]), lastOf),
  transaction: (pgdb, text, params) => pgdb.transaction(pgdb.select(text, params)),
  "a savepoint": (pgdb, text, params) =>
    pgdb.transaction(Effect.andThen(pgdb.select("select 1"), pgdb.transaction(pgdb.select(text, params)))),
  "trans in a transaction": (pgdb, text, params) =>
    pgdb.transaction(Effect.map(pgdb.trans([[text, params]]), lastOf)),
  "stream in a transaction": (pgdb, text, params) =>
    pgdb.transaction(Stream.runCollect(pgdb.stream(text, params))),
  client: byClient,
  "client in a transaction": (pgdb, text, params) =>
    Effect.flatMap(pgdb.client, (sql) => sql.withTransaction(sql.unsafe<PG.Row>(text, params))),
  "a stream of the client": (pgdb, text, params) =>
    Effect.flatMap(pgdb.client, (sql) => Stream.runCollect(sql.unsafe<PG.Row>(text, params).stream))
}

/** The operations that are no transaction of their own. */
export const plainOperations = Object.fromEntries(
  Object.entries(operations).filter(([name]) => !/trans|savepoint/.test(name))
)

/** Every operation of a table that stores a row: `id`, and another column. */
export const writes: Readonly<
  Record<
    string,
    (
      table: PG.Table<PG.Row>,
      row: { readonly id: number; readonly [column: string]: unknown }
    ) => Effect.Effect<unknown, PG.OperationError, PoolRegistry>
  >
> = {
  insert: (table, row) => table.insert(row),
  insertMany: (table, row) => table.insertMany([row]),
  "insertMany of two": (table, row) => table.insertMany([row, { ...row, id: row.id + 1_000_000 }]),
  insertStream: (table, row) => table.insertStream(Stream.make(row)),
  upsert: (table, row) => table.upsert(row, { on: "id" }),
  "upsert of several": (table, row) => table.upsert([row], { on: "id" }),
  update: (table, { id, ...changes }) =>
    Effect.andThen(table.insertMany([{ id }]), table.update({ id }, changes)),
  "insertMany in a transaction": (table, row) => table.transaction(table.insertMany([row])),
  "insert in a transaction": (table, row) => table.transaction(table.insert(row))
}

const settings: Readonly<Record<string, Partial<PG.Settings>>> = {
  "by default": {},
  "without prepare": { prepare: false },
  "without pipelining": { pipelining: false }
}

/** A test on a fresh database for each of the settings that change how statements are sent. */
export const withEachSetting = <E>(
  name: string,
  statements: ReadonlyArray<string>,
  more: Partial<PG.Settings>,
  body: (given: Given) => Effect.Effect<void, E, PoolRegistry | Scope.Scope>
): void => {
  for (const [variant, options] of Object.entries(settings)) {
    withDatabase(`${name}, ${variant}`, statements, (given) =>
      body({ ...given, pgdb: PG.make({ ...given.settings, ...more, ...options }) })
    )
  }
}

/** Runs a body for each entry, and names the entry if it fails. */
export const forEach = <A, E, R>(
  entries: Readonly<Record<string, A>>,
  body: (value: A, name: string) => Effect.Effect<void, E, R>
): Effect.Effect<void, E, R> =>
  Effect.forEach(
    Object.entries(entries),
    ([name, value]) =>
      Effect.suspend(() => body(value, name)).pipe(
        Effect.tapCause(() => Effect.logError(`It failed with ${name}.`))
      ),
    { discard: true }
  )

/** An instant whose day and hour differ between zones, and a zone in which they do. */
export const at = new Date("2026-03-01T15:30:00Z")
export const newYork: Partial<PG.Settings> = { startupParameters: { TimeZone: "America/New_York" } }
