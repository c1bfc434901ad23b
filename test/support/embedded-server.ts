/**
 * An embedded server from the outside: questions to it, and why it does not start.
 */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { EmbeddedPostgresOptions } from "effect-global-pool/embedded"
import { type ServerSettings, start } from "../../src/embedded/Server.ts"
import { traces } from "./folder.ts"

/** Asks the server on a connection of its own. */
export const query = (server: ServerSettings, sql: string) =>
  Effect.scoped(Effect.flatMap(PgConnection.make(server), (connection) => connection.query(sql)))

/** The one value that it answers with. */
export const value = (server: ServerSettings, sql: string) =>
  Effect.map(query(server, sql), ({ rows }) => Object.values(rows[0] ?? {})[0])

/** What starting fails with; nothing of it may be left. */
export const failure = (options: EmbeddedPostgresOptions) =>
  Effect.gen(function* () {
    const before = yield* traces
    const error = yield* Effect.flip(Effect.scoped(start(options)))
    assert.strictEqual(error._tag, "EmbeddedPostgresError")
    assert.deepStrictEqual(yield* traces, before)
    return error
  })
