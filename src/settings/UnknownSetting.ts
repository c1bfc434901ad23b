/**
 * What the settings are called, here and elsewhere.
 */
import { invalid, type PoolError } from "../errors/PoolError.ts"
import { names, type Settings } from "./Settings.ts"

/** What other clients call them. */
const elsewhere: { readonly [name in keyof Settings]?: ReadonlyArray<string> } = {
  url: ["uri", "dsn", "connectionString"],
  host: ["hostname"],
  path: ["socketPath"],
  username: ["user"],
  password: ["pass", "passwd", "pwd"],
  database: ["db", "dbname", "dbName"],
  ssl: ["sslmode"],
  applicationName: ["application_name"],
  maxConnections: ["max", "maxPoolSize", "poolSize", "pool_size", "max_connections", "max_size"],
  minConnections: ["min", "minPoolSize", "min_size"],
  idleTimeout: ["idleTimeoutMillis", "idle_timeout"],
  connectionTTL: ["max_lifetime"],
  connectTimeout: ["connectionTimeoutMillis", "connect_timeout"],
  statementTimeout: ["statement_timeout"]
}

export const unknownSetting = (name: string): PoolError => {
  const own = Object.entries(elsewhere).find(([, others]) => others.includes(name))?.[0]
  const hint = own === undefined ? "." : `; it is called ${own} here.`
  return invalid(name, `There is no setting ${name}${hint} The settings are ${names.join(", ")}.`)
}
