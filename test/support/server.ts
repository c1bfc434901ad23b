/**
 * One real Postgres for the whole test run: that of DATABASE_URL, else one that is started here and removed at the end.
 */
import "./node20.ts"
import { rm } from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type { TestProject } from "vitest/node"
import { start } from "../../src/embedded/Server.ts"
import { folderOf } from "./build.ts"
import { fromUrl } from "./url.ts"

/** How the tests reach the server, as a superuser. */
export interface TestServer {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly password: string
  readonly database: string
}

declare module "vitest" {
  interface ProvidedContext {
    readonly server: TestServer
  }
}

export default async (project: TestProject) => {
  const scope = Scope.makeUnsafe()
  const end = () => Effect.runPromise(Scope.close(scope, Exit.void))
  const programs = Effect.promise(() => rm(folderOf(process.pid), { recursive: true, force: true }))
  await Effect.runPromise(Scope.addFinalizer(scope, programs))
  const url = process.env.DATABASE_URL
  if (url !== undefined && url !== "") {
    project.provide("server", fromUrl(url))
    return end
  }
  const { host, port, username, password, database } = await start({
    serverSettings: {
      max_connections: 300,
      // Databases are made by the hundred: small ones, and none of them worth an autovacuum.
      autovacuum: false,
      // Nothing of it is to survive the machine.
      fsync: false,
      full_page_writes: false,
      max_prepared_transactions: 4,
      // A socket file in the data directory, for the tests that connect by path.
      unix_socket_directories: "."
    }
  }).pipe(Scope.provide(scope), Effect.runPromise)
  project.provide("server", { host, port, username, password: Redacted.value(password), database })
  return end
}
