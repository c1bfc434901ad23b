/**
 * Settings from the variables that every Postgres program knows.
 */
import type { ConfigError } from "effect/Config"
import * as Config from "effect/Config"
import type * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Settings } from "./Settings.ts"

const separate = Config.map(
  Config.all({
    host: Config.option(Config.String("PGHOST")),
    port: Config.option(Config.Port("PGPORT")),
    username: Config.option(Config.String("PGUSER")),
    password: Config.option(Config.Redacted("PGPASSWORD")),
    database: Config.option(Config.String("PGDATABASE")),
    sslMode: Config.option(Config.String("PGSSLMODE"))
  }),
  ({ database, host, password, port, sslMode, username }): Settings => ({
    host: Option.getOrUndefined(host),
    port: Option.getOrUndefined(port),
    username: Option.getOrUndefined(username),
    password: Option.getOrUndefined(password),
    database: Option.getOrUndefined(database),
    url: Option.getOrUndefined(
      Option.map(sslMode, (mode) => `postgres:///?sslmode=${encodeURIComponent(mode)}`)
    )
  })
)

/** `DATABASE_URL`, else `PGHOST` `PGPORT` `PGUSER` `PGPASSWORD` `PGDATABASE` `PGSSLMODE`. */
export const fromEnvironment: Effect.Effect<Settings, ConfigError> = Config.orElse(
  Config.map(Config.Redacted("DATABASE_URL"), (url): Settings => ({ url })),
  () => separate
)
