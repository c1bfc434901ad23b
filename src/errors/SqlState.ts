/**
 * The SQLSTATE of an error, for programs that tell errors of the database apart.
 */
import * as Predicate from "effect/Predicate"
import { attempt } from "../statement/PlainObject.ts"
import { stringOf } from "./ConnectionErrors.ts"

/**
 * The SQLSTATE of an error of the database, five characters such as `"22P02"`; `undefined` for an error that is not of the
 * server's, such as a lost connection or a `PoolError`. PostgreSQL's manual lists them in appendix A.
 *
 * The counterpart of asyncpg's `PostgresError.sqlstate`.
 *
 * **Example** (A user's input that is no number)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { PG } from "effect-global-pool"
 *
 * const pgdb = PG.make("postgres://localhost/app")
 * const byId = (id: string) =>
 *   pgdb.select("select * from users where id = $1", [id]).pipe(
 *     Effect.catchIf((error) => PG.sqlState(error) === "22P02", () => Effect.succeed([]))
 *   )
 * ```
 */
export const sqlState = (error: unknown): string | undefined =>
  attempt(() => {
    const cause =
      Predicate.hasProperty(error, "reason") && Predicate.hasProperty(error.reason, "cause")
        ? error.reason.cause
        : undefined
    // Node's own codes, such as EPIPE, stand alone.
    const isServers = stringOf(cause, "severity") ?? stringOf(cause, "condition")
    return isServers === undefined ? undefined : stringOf(cause, "code")
  }, undefined)
