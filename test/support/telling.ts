/**
 * Statements that fail on a session of the package's own, and the error that a user of the package gets of them.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import { type About, serverError } from "../../src/errors/ServerErrors.ts"
import type { ServerFields } from "../../src/protocol/MessageReader.ts"
import { encodePlain } from "../../src/types/Parameters.ts"
import type { TestServer } from "./server.ts"
import { openSession, runOn } from "./session.ts"

/** What the server said of a statement, as it came. */
export class Failed extends Data.TaggedError("Failed")<{ readonly fields: ServerFields }> {
  override readonly message = this.fields.message ?? ""
}

export interface Teller {
  /** Runs a statement. Parameters are strings, numbers, booleans, bigints, bytes and NULL. */
  readonly run: (
    sql: string,
    params?: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<unknown>, Failed>
  /** Runs what has to fail, and gives the error as a user gets it. */
  readonly failing: (sql: string, params?: ReadonlyArray<unknown>, at?: About) => Effect.Effect<SqlError>
}

/** Opens the session; it ends with the scope. */
export const teller = (settings: TestServer): Effect.Effect<Teller, never, Scope.Scope> =>
  Effect.map(openSession(settings), (session) => {
    const run: Teller["run"] = (sql, params = []) => {
      const encoded = encodePlain(params)
      if (encoded === undefined) return Effect.die(new Error(`These parameters need a handle: ${sql}`))
      return Effect.flatMap(runOn(session, sql, encoded.values, encoded.types), ({ error, rows, state }) => {
        if (state === "done") return Effect.succeed(rows)
        return error === undefined
          ? Effect.die(new Error(`The session has ended: ${sql}`))
          : Effect.fail(new Failed({ fields: error }))
      })
    }
    return {
      run,
      failing: (sql, params = [], at = {}) =>
        run(sql, params).pipe(
          Effect.flip,
          Effect.mapError(() => new Error(`This had to fail: ${sql}`)),
          Effect.orDie,
          Effect.map(({ fields }) =>
            serverError(fields, { text: sql, params, server: "localhost:5432/shop", ...at })
          )
        )
    }
  })
