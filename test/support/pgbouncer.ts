/** A PgBouncer of its own in front of a test's database. */
import { type ChildProcess, spawn } from "node:child_process"
import { chown, writeFile } from "node:fs/promises"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import pg from "pg"
import { identity } from "../../src/embedded/Identity.ts"
import { findDaemon, freePort, kill } from "./daemon.ts"
import { eventually } from "./database.ts"
import { folder } from "./folder.ts"
import type { TestServer } from "./server.ts"

const program = findDaemon("pgbouncer")

/** Whether there is one on this machine. */
export const hasPgbouncer = program !== undefined

export interface Pgbouncer {
  readonly settings: TestServer
  /** A command of its console: `PAUSE`, `RESUME`, `RECONNECT`. */
  readonly command: (text: string) => Effect.Effect<void>
  /** Ends it at once and starts it again. */
  readonly restart: Effect.Effect<void>
}

/** Starts one in a mode, with further settings of its own. */
export const pgbouncer = (
  server: TestServer,
  mode: "session" | "transaction" | "statement",
  more: Readonly<Record<string, string | number>> = {}
): Effect.Effect<Pgbouncer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const path = yield* folder()
    const user = yield* identity
    const port = yield* freePort
    const settings = {
      listen_addr: "127.0.0.1",
      listen_port: port,
      auth_type: "any",
      admin_users: server.username,
      pool_mode: mode,
      unix_socket_dir: "",
      logfile: join(path, "log"),
      ignore_startup_parameters: "extra_float_digits,options,statement_timeout",
      server_reset_query_always: 0,
      // It counts a server that it closed itself while that was being opened as one that failed.
      server_login_retry: 0.2,
      ...more
    }
    const target = `host=${server.host} port=${server.port} user=${server.username} password=${server.password} dbname=${server.database}`
    const lines = [
      "[databases]",
      `${server.database} = ${target}`,
      "[pgbouncer]",
      ...Object.entries(settings).map(([name, value]) => `${name} = ${value}`)
    ]
    const file = join(path, "pgbouncer.ini")
    yield* Effect.promise(async () => {
      await writeFile(file, `${lines.join("\n")}\n`)
      if (user !== undefined) await chown(path, user.uid, user.gid)
    })
    let child: ChildProcess | undefined
    const run = Effect.sync(() => {
      child = spawn(program ?? "pgbouncer", ["-q", file], { stdio: "ignore", ...user })
    })
    const stop = Effect.suspend(() => kill(child))
    const ask = (text: string) =>
      Effect.tryPromise(async () => {
        const client = new pg.Client({
          ...server,
          user: server.username,
          host: "127.0.0.1",
          port,
          database: "pgbouncer"
        })
        client.on("error", () => undefined)
        await client.connect()
        try {
          await client.query(text)
        } finally {
          await client.end()
        }
      })
    const isUp = Effect.asVoid(
      eventually("PgBouncer is up", Effect.option(ask("SHOW VERSION")), ({ _tag }) => _tag === "Some")
    )
    yield* Effect.acquireRelease(run, () => stop)
    yield* isUp
    return {
      settings: { ...server, host: "127.0.0.1", port },
      command: (text: string) => Effect.orDie(ask(text)),
      restart: Effect.orDie(Effect.andThen(Effect.andThen(stop, run), isUp))
    }
  }).pipe(Effect.orDie)
