/**
 * Why a connection could not be opened, told so that a person can act on it: where it was to go, and, when the database does
 * not exist, which ones do.
 */
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import * as Codec from "../codec/Codec.ts"
import { stringOf } from "../error/Driver.ts"
import * as ServerError from "../ServerError.ts"
import { type Checked, describe } from "../settings/Settings.ts"
import * as Connection from "./Connection.ts"

/** The database that `initdb` makes for such questions; libpq's tools ask there too. */
const maintenance = "postgres"
const invalidCatalogName = "3D000"
const patience = 2_000

const listing = `select datname from pg_catalog.pg_database
where datallowconn and not datistemplate and pg_catalog.has_database_privilege(oid, 'CONNECT') order by datname limit 1000`

const isMissingDatabase = ({ reason: { cause } }: SqlError): boolean =>
  stringOf(cause, "code") === invalidCatalogName

/** Databases that these settings' user may enter. It takes the place of the connection that failed, and leaves nothing open. */
const databases = (settings: Checked): Effect.Effect<ReadonlyArray<string>> =>
  Effect.acquireRelease(
    Connection.open(
      { ...settings, database: maintenance },
      Codec.make({ int8: settings.int8, timestamp: settings.timestamp }),
      () => undefined,
      () => false
    ),
    ({ close }) => close,
    { interruptible: true }
  ).pipe(
    Effect.flatMap(({ query }) => query(listing, [], false)),
    Effect.scoped,
    Effect.map(({ rows }) => rows.map(({ datname }) => String(datname))),
    Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.succeed([]) }),
    Effect.orElseSucceed(() => [])
  )

/** The error of a connection that could not be opened, with the whole story as its message. */
export const openingError = (settings: Checked, error: SqlError): Effect.Effect<SqlError> => {
  const server = describe(settings)
  return isMissingDatabase(error) && settings.database !== maintenance
    ? Effect.map(databases(settings), (databases) => ServerError.tell(error, { server, databases }))
    : Effect.sync(() => ServerError.tell(error, { server }))
}
