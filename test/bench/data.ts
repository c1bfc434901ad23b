/**
 * The tables, rows and statement texts that every peer gets alike.
 *
 * Rows are formulas of their number, so that a child process can tell what it must read or write without asking.
 */
import type { Client } from "pg"

/** What a load can be made of. A peer leaves out what it cannot do. */
export const operations = [
  "pointSelect",
  "rows1000",
  "insertOne",
  "trans3",
  "trans100",
  "interactive",
  "insertMany",
  "stream",
  "slow"
] as const

export type Operation = (typeof operations)[number]

/** Where the server is. */
export interface Target {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly password: string
  readonly database: string
}

/** How much data; the quick run has less of it. */
export interface Sizes {
  /** Rows of `people`, which point selects read. */
  readonly people: number
  /** Rows of `events`, which streams read. */
  readonly events: number
  /** Rows that one `insertMany` writes. */
  readonly bulk: number
}

export const fullSizes: Sizes = { people: 100_000, events: 1_000_000, bulk: 100_000 }
export const quickSizes: Sizes = { people: 10_000, events: 100_000, bulk: 20_000 }

/** Accounts are taken in pairs, so concurrent transactions lock different rows and never wait for each other. */
export const accounts = 20_000

/** The statements, with `$1` placeholders. */
export const text = {
  pointSelect: "select id, name, email, age from people where id = $1",
  rows1000: "select id, name, email, active, score, visits, created_at, note from wide order by id",
  insertOne: "insert into inserts (name, amount) values ($1, $2)",
  take: "update accounts set balance = balance - $1 where id = $2",
  give: "update accounts set balance = balance + $1 where id = $2",
  transfer: "insert into transfers (source, target, amount) values ($1, $2, $3)",
  balance: "select id, balance from accounts where id = $1 for update",
  unnest:
    "insert into bulk select * from unnest($1::int4[], $2::text[], $3::bool[], $4::float8[], $5::timestamptz[])",
  stream: "select id, kind, at, value from events",
  slow: "select pg_sleep(0.05)"
} as const

/** One step of a `trans`: which statement, and its parameters. */
export interface Step {
  readonly name: "take" | "give" | "transfer"
  readonly params: ReadonlyArray<number>
}

/** The statements of transaction number `turn`: money goes from one account of a pair to the other. */
export const stepsOf = (turn: number, count: number): ReadonlyArray<Step> => {
  const source = ((turn * 2) % accounts) + 1
  const steps: Array<Step> = []
  while (steps.length < count) {
    steps.push(
      { name: "take", params: [1, source] },
      { name: "give", params: [1, source + 1] },
      { name: "transfer", params: [source, source + 1, 1] }
    )
  }
  return steps.slice(0, count)
}

export const personOf = (turn: number, sizes: Sizes): number => ((turn * 7919) % sizes.people) + 1

/** A row for `insertMany`. */
export interface BulkRow {
  readonly id: number
  readonly name: string
  readonly active: boolean
  readonly score: number
  readonly at: Date
}

export const bulkColumns = ["id", "name", "active", "score", "at"] as const

export const bulkRow = (index: number): BulkRow => ({
  id: index + 1,
  name: `name of row ${index + 1}`,
  active: index % 3 === 0,
  score: index / 7 + 0.05,
  at: new Date(1_700_000_000_000 + index * 1000)
})

export const bulkRows = (count: number): ReadonlyArray<BulkRow> =>
  Array.from({ length: count }, (_, index) => bulkRow(index))

/** The most rows of five columns that one statement of at most 65 535 parameters takes, rounded down. */
const chunkRows = 10_000

export const chunksOf = <A>(rows: ReadonlyArray<A>, size = chunkRows): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(rows.length / size) }, (_, index) =>
    rows.slice(index * size, (index + 1) * size)
  )

/** The columns of the rows, as `unnest` takes them. */
export const bulkArrays = (rows: ReadonlyArray<BulkRow>) =>
  [
    rows.map((row) => row.id),
    rows.map((row) => row.name),
    rows.map((row) => row.active),
    rows.map((row) => row.score),
    rows.map((row) => row.at)
  ] as const

/** Makes and fills the tables. */
export const load = async (client: Client, sizes: Sizes): Promise<void> => {
  for (const statement of [
    "create table people (id int4 primary key, name text not null, email text not null, age int4 not null)",
    `insert into people select i, 'Person ' || i, 'person' || i || '@example.org', i % 90 from generate_series(1, ${sizes.people}) i`,
    "create table wide (id int4 primary key, name text, email text, active bool, score float8, visits int8, created_at timestamptz, note text)",
    "insert into wide select i, 'Name ' || i, 'name' || i || '@example.org', i % 2 = 0, i / 7.0, i * 1000003::int8, timestamptz '2024-01-01 00:00:00+00' + i * interval '61 minutes', case when i % 4 = 0 then null else repeat('note ', i % 8) end from generate_series(1, 1000) i",
    "create table inserts (id serial primary key, name text not null, amount int4 not null)",
    "create table accounts (id int4 primary key, balance int8 not null) with (fillfactor = 50)",
    `insert into accounts select i, 1000000 from generate_series(1, ${accounts}) i`,
    "create table transfers (source int4 not null, target int4 not null, amount int4 not null)",
    "create table bulk (id int4, name text, active bool, score float8, at timestamptz)",
    "create table events (id int4 not null, kind text not null, at timestamptz not null, value float8 not null)",
    `insert into events select i, 'kind ' || i % 10, timestamptz '2024-01-01 00:00:00+00' + i * interval '1 second', i / 3.0 from generate_series(1, ${sizes.events}) i`,
    "vacuum analyze",
    "checkpoint"
  ]) {
    await client.query(statement)
  }
}

/** Makes the view `made`: so many rows like those of `events`, which are nowhere stored. */
export const makeView = async (client: Client, count: number): Promise<void> => {
  await client.query(
    `create or replace view made as select i as id, 'kind ' || i % 10 as kind, timestamptz '2024-01-01 00:00:00+00' + i * interval '1 second' as at, i / 3.0::float8 as value from (select generate_series(1, ${count}) as i) s`
  )
}

/** Empties what the loads wrote, so that each round starts from the same tables. */
export const clean = async (client: Client): Promise<void> => {
  await client.query("truncate inserts, transfers, bulk")
}
