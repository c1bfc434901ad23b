/**
 * Where the examples run: on the database of DATABASE_URL, else on an embedded server that ends with the scope.
 */
import { Config, Effect, Exit, Option, Scope } from "effect"
import { PG } from "effect-global-pool"
import { EmbeddedPostgres } from "effect-global-pool/embedded"

/** Where the server is, for programs that have several databases on it. */
export const settings = Effect.flatMap(
  Config.option(Config.Redacted("DATABASE_URL")),
  Option.match({
    onNone: () => Effect.map(EmbeddedPostgres.start(), (server): PG.Settings => server),
    onSome: (url) => Effect.succeed<PG.Settings>({ url })
  })
)

/** A handle; that a table to drop is not there is no news to an example. */
export const database = Effect.map(settings, (settings) =>
  PG.make({ ...settings, startupParameters: { client_min_messages: "warning" } })
)

/** The same for a program outside Effect, which has no scope to end it with. */
export const openDatabase = async () => {
  const scope = Scope.makeUnsafe()
  const pgdb = await Effect.runPromise(Scope.provide(database, scope))
  return { pgdb, closeDatabase: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}
