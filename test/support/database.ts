/**
 * A database of its own for a test, and a witness: a connection outside the package under test, which sees on the
 * server what a user would see.
 */
import { randomBytes } from "node:crypto"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import { inject } from "vitest"
import type { TestServer } from "./server.ts"
import { urlOf } from "./url.ts"

export type Row = PgConnection.Row

/** A connection that the package under test knows nothing of, named `witness` in `pg_stat_activity`. */
export interface Witness {
  readonly query: (
    sql: string,
    params?: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<Row>, SqlError>
}

/** Connects a witness to a server. */
export const connect = (server: TestServer, name = "test"): Effect.Effect<Witness, SqlError, Scope.Scope> =>
  Effect.map(
    PgConnection.make({ ...server, password: Redacted.make(server.password), applicationName: name }),
    (connection) => ({
      query: (sql, params) => Effect.map(connection.query(sql, params, false), ({ rows }) => rows)
    })
  )

/** A session of the database under test, as `pg_stat_activity` shows it. */
export interface Session {
  readonly pid: number
  readonly state: string | null
  readonly query: string
  readonly applicationName: string
  readonly waitEvent: string | null
}

export interface TestDatabase {
  /** What a user would give to `PG.make`. */
  readonly settings: TestServer
  /** The same as a libpq URL. */
  readonly url: string
  /** A connection to the database itself. */
  readonly witness: Witness
  /** One more connection of that kind, also to another address. */
  readonly connect: (settings: TestServer) => Effect.Effect<Witness, SqlError, Scope.Scope>
  /** Sessions of this database, the witness's own left out. */
  readonly sessions: Effect.Effect<ReadonlyArray<Session>, SqlError>
  /** All connections are one session on the server, as in a sandbox. */
  readonly sharesSession?: boolean
  /** Waits until the sessions are as they should be; fails with those of the last look after ten seconds. */
  readonly until: (
    what: string,
    holds: (sessions: ReadonlyArray<Session>) => boolean
  ) => Effect.Effect<ReadonlyArray<Session>, SqlError | NeverHeld>
}

/** What was waited for did not happen in time. */
export class NeverHeld extends Data.TaggedError("NeverHeld")<{ readonly message: string }> {}

/**
 * Looks again and again until the answer is as it should be, and gives that answer; fails with the last one after
 * `patience`, ten seconds unless given. Time is real here, also in tests that have a clock of their own.
 */
export const eventually = <A, E, R>(
  what: string,
  look: Effect.Effect<A, E, R>,
  holds: (answer: A) => boolean,
  patience: Duration.Input = "10 seconds"
): Effect.Effect<A, E | NeverHeld, R> =>
  look.pipe(
    Effect.filterOrFail(
      (answer) => holds(answer),
      (answer) =>
        new NeverHeld({
          message: `Waited ${Duration.format(Duration.fromInputUnsafe(patience))} in vain until ${what}. Last seen: ${JSON.stringify(answer)}`
        })
    ),
    Effect.retry({
      schedule: Schedule.upTo(Schedule.spaced("10 millis"), { duration: patience }),
      while: (error) => error instanceof NeverHeld
    }),
    Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
  )

/** The server of this test run, as a superuser. */
export const server = (): TestServer => inject("server")

/** The sessions of a database, as a witness sees them. */
export const sessionsOf = (witness: Witness, name: string): TestDatabase["sessions"] =>
  Effect.map(
    witness.query(
      `select pid, state, query, application_name, wait_event from pg_stat_activity
         where datname = $1 and backend_type = 'client backend' and application_name <> 'witness' order by backend_start`,
      [name]
    ),
    (rows) =>
      rows.map((row) => ({
        pid: Number(row.pid),
        state: row.state === null ? null : String(row.state),
        query: String(row.query),
        applicationName: String(row.application_name),
        waitEvent: row.wait_event === null ? null : String(row.wait_event)
      }))
  )

/** A fresh empty database, dropped with everyone in it when the scope closes. Names in any language may be asked for. */
export const database: (name?: string) => Effect.Effect<TestDatabase, SqlError, Scope.Scope> =
  Effect.fnUntraced(function* (name: string = `test_${randomBytes(6).toString("hex")}`) {
    const maintenance = yield* connect(server(), "witness")
    const quoted = `"${name.replaceAll('"', '""')}"`
    yield* Effect.acquireRelease(maintenance.query(`create database ${quoted} `), () =>
      Effect.ignore(maintenance.query(`drop database if exists ${quoted} with (force)`))
    )
    const settings: TestServer = { ...server(), database: name }
    const witness = yield* connect(settings, "witness")
    const sessions = sessionsOf(maintenance, name)
    return {
      settings,
      url: urlOf(settings),
      witness,
      connect: (settings) => connect(settings),
      sessions,
      until: (what, holds) => eventually(what, sessions, holds)
    }
  })
