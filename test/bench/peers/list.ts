/** The peers, each in the configuration that serves it best, and what that is. */
import type { Operation } from "../data.ts"

export interface PeerEntry {
  readonly name: string
  readonly kind: "node" | "python" | "pgbench"
  /** Module in this folder, for Node peers. */
  readonly module: string
  readonly variant: string
  /** How it is configured and why that is its best, for the results page. */
  readonly said: string
  /** Only for these operations does this configuration differ from its library's other one. */
  readonly only?: ReadonlyArray<Operation>
}

const node = (name: string, module: string, variant: string, said: string): PeerEntry => ({
  name,
  kind: "node",
  module,
  variant,
  said
})

export const ours = "effect-global-pool"

export const peers: ReadonlyArray<PeerEntry> = [
  node(ours, "ours", "default", "default settings: 10 connections"),
  node(
    "PgClient",
    "driver",
    "plain",
    "the driver's own client: 10 connections, prepared statements (default)"
  ),
  node(
    "PgClient multiplex",
    "driver",
    "multiplex",
    "the same with `multiplex: true`; statements of a known transaction issued at once"
  ),
  node("pg", "pg", "plain", "`pg.Pool` of 10, unnamed statements, as most programs use it"),
  node(
    "pg named",
    "pg",
    "named",
    "`pg.Pool` of 10, every statement named and so prepared once per connection"
  ),
  node(
    "pg pipeline",
    "pg",
    "pipeline",
    "one lone `pg.Client` with `pipeline: true` and named statements: no pool, no isolation, no cursors"
  ),
  node("postgres", "postgres", "default", "`max: 10`, prepared statements and pipelining (defaults)"),
  node("pg-promise", "pgPromise", "default", "10 connections, `PreparedStatement`, `helpers.insert`"),
  node("slonik", "slonik", "default", "10 connections; it has no prepared statements; `sql.unnest` for bulk"),
  node("kysely", "kysely", "default", "on a `pg.Pool` of 10; it has no prepared statements"),
  {
    name: "asyncpg",
    kind: "python",
    module: "peer",
    variant: "asyncpg",
    said: "pool of 10, its statement cache (default), asyncio's own loop"
  },
  {
    name: "asyncpg copy",
    kind: "python",
    module: "peer",
    variant: "copy",
    said: "as asyncpg, bulk through `copy_records_to_table`",
    only: ["insertMany"]
  },
  {
    name: "original",
    kind: "python",
    module: "peer",
    variant: "original",
    said: "the Python class this package descends from: asyncpg's pool, statements without parameters, each printed"
  },
  {
    name: "pgbench simple",
    kind: "pgbench",
    module: "",
    variant: "simple",
    said: "the limit: C, simple protocol"
  },
  {
    name: "pgbench prepared",
    kind: "pgbench",
    module: "",
    variant: "prepared",
    said: "the limit: C, prepared statements"
  },
  {
    name: "pgbench pipelined",
    kind: "pgbench",
    module: "",
    variant: "pipelined",
    said: "the limit: C, prepared statements, up to 8 in one pipeline per connection"
  }
]

/** The peers of the quick run: the fastest of their kind, so that there is time to warm each of them up. */
export const quickPeers: ReadonlyArray<string> = [
  ours,
  "PgClient",
  "PgClient multiplex",
  "pg named",
  "pg pipeline",
  "postgres",
  "asyncpg",
  "asyncpg copy",
  "pgbench prepared"
]
