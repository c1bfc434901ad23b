/**
 * What the settings are called, here and elsewhere.
 */
import { invalid, type PoolError } from "../errors/PoolError.ts"
import { names, type Settings } from "./Settings.ts"

/** What other clients call them. */
const elsewhere: ReadonlyMap<string, keyof Settings> = new Map([
  ["user", "username"],
  ["pass", "password"],
  ["passwd", "password"],
  ["pwd", "password"],
  ["db", "database"],
  ["dbname", "database"],
  ["dbName", "database"],
  ["hostname", "host"],
  ["uri", "url"],
  ["dsn", "url"],
  ["connectionString", "url"],
  ["socketPath", "path"],
  ["sslmode", "ssl"],
  ["max", "maxConnections"],
  ["maxPoolSize", "maxConnections"],
  ["poolSize", "maxConnections"],
  ["pool_size", "maxConnections"],
  ["max_connections", "maxConnections"],
  ["max_size", "maxConnections"],
  ["min", "minConnections"],
  ["minPoolSize", "minConnections"],
  ["min_size", "minConnections"],
  ["idleTimeoutMillis", "idleTimeout"],
  ["idle_timeout", "idleTimeout"],
  ["max_lifetime", "connectionTTL"],
  ["connectionTimeoutMillis", "connectTimeout"],
  ["connect_timeout", "connectTimeout"],
  ["statement_timeout", "statementTimeout"],
  ["application_name", "applicationName"]
])

/** There is no setting of this name. */
export const unknownSetting = (name: string): PoolError => {
  const own = elsewhere.get(name)
  const hint = own === undefined ? "." : `; it is called ${own} here.`
  return invalid(name, `There is no setting ${name}${hint} The settings are ${names.join(", ")}.`)
}
