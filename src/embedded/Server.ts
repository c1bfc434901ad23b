/**
 * A Postgres server that lives as long as a scope: options in, connection settings out.
 */
import * as Fs from "node:fs/promises"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { make } from "../api/Database.ts"
import { PoolRegistry } from "../registry/PoolRegistry.ts"
import { quote } from "../statement/Names.ts"
import { type Binaries, binaries } from "./Binaries.ts"
import * as DataDirectory from "./DataDirectory.ts"
import type { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { dataDirUnusable, portBusy, startFailed } from "./EmbeddedPostgresError.ts"
import type { Guard } from "./Guard.ts"
import { identity } from "./Identity.ts"
import { checked, type EmbeddedPostgresOptions, type Options } from "./Options.ts"
import * as Process from "./Process.ts"

export interface ServerSettings {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly password: Redacted.Redacted
  readonly database: string
  readonly dataDir: string
}

const host = "127.0.0.1"

/** Makes sure that a port is free, and gives it; 0 asks for any. */
const freePort = (wanted: number): Effect.Effect<number, EmbeddedPostgresError> =>
  Effect.callback((resume) => {
    const server = Net.createServer()
    server.once("error", (cause: NodeJS.ErrnoException) =>
      resume(
        Effect.fail(
          cause.code === "EADDRINUSE"
            ? portBusy(wanted)
            : startFailed(`Port ${wanted} of ${host} cannot be used.`, { cause })
        )
      )
    )
    server.listen(wanted, host, () => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : wanted
      server.close(() => resume(Effect.succeed(port)))
    })
  })

/** Data that goes away with the server need not survive a crash of the machine. */
const unsafeButFast = { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }

const flags = (settings: Readonly<Record<string, string | number | boolean>>): ReadonlyArray<string> =>
  Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])

const readText = (path: string) =>
  Effect.orElseSucceed(
    Effect.tryPromise(() => Fs.readFile(path, "utf8")),
    () => ""
  )

/** Why the server gave up, from what it wrote. */
const explain = (log: string, port: number, dataDir: string): EmbeddedPostgresError => {
  if (/could not bind .* Address already in use|could not bind .* Only one usage/.test(log))
    return portBusy(port)
  if (/lock file "postmaster\.pid" already exists|pre-existing shared memory block/.test(log)) {
    return dataDirUnusable(
      dataDir,
      `The data directory ${dataDir} is in use by another server. A data directory has one server at a time: connect to that one, or stop it first.`
    )
  }
  if (/data directory .* has (wrong ownership|invalid permissions)/.test(log)) {
    return dataDirUnusable(
      dataDir,
      `The data directory ${dataDir} cannot be used by this user: ${log.trim()}`
    )
  }
  return startFailed("The Postgres server did not start.", { log })
}

/** The last line of a server's pid file says that it takes connections. */
const isReady = (pidFile: string, pid: number): boolean => {
  const lines = pidFile.split("\n")
  return lines[0] === String(pid) && lines[7]?.trim() === "ready"
}

interface Launch {
  readonly binaries: Binaries
  readonly directory: DataDirectory.DataDirectory
  readonly work: string
  readonly guard: Guard
  readonly options: Options
}

/** Starts the server on a port and waits until it takes connections, or has given up. */
const launch = Effect.fnUntraced(function* (
  { binaries, directory, work, guard, options }: Launch,
  port: number
) {
  const keeps = options.dataDir !== undefined
  const log = Path.join(work, `log-${port}`)
  const settings = {
    ...(keeps ? {} : unsafeButFast),
    unix_socket_directories: "",
    log_checkpoints: false,
    // Failing statements are the client's to report; the log would grow with them.
    log_min_messages: "log",
    ...options.serverSettings,
    listen_addresses: host,
    port,
    logging_collector: false
  }
  const server = yield* Process.supervise(
    {
      file: binaries.postgres,
      args: ["-D", directory.path, ...flags(settings)],
      identity: directory.identity,
      cwd: directory.path
    },
    {
      log,
      guard,
      // Fast shutdown, then immediate shutdown, from which data that stays recovers at the next start.
      signals: [
        ["SIGINT", keeps ? "10 seconds" : "1 second"],
        ["SIGQUIT", "5 seconds"],
        ["SIGKILL", "5 seconds"]
      ]
    }
  )
  const pidFile = Path.join(directory.path, "postmaster.pid")
  const check = Effect.gen(function* () {
    if (server.ended()) return yield* explain(yield* readText(log), port, directory.path)
    return isReady(yield* readText(pidFile), server.pid)
  })
  yield* check.pipe(
    Effect.repeat({ schedule: Schedule.spaced("10 millis"), until: (ready) => ready }),
    Effect.timeoutOrElse({
      duration: options.startTimeout,
      orElse: () =>
        Effect.flatMap(readText(log), (log) =>
          Effect.fail(
            startFailed(
              `The Postgres server was not ready within ${Duration.format(options.startTimeout)} (the option startTimeout).`,
              { log }
            )
          )
        )
    })
  )
})

/** Launches on the port of the options; without one on a free port, and again should someone else have been quicker. */
const launchOnPort = Effect.fnUntraced(function* (launchable: Launch) {
  const scope = yield* Effect.scope
  const attemptOn = Effect.fnUntraced(function* (port: number) {
    const own = yield* Scope.fork(scope)
    yield* launch(launchable, port).pipe(
      Scope.provide(own),
      Effect.onError((cause) => Scope.close(own, Exit.failCause(cause)))
    )
    return port
  })
  const { port } = launchable.options
  if (port !== undefined) return yield* attemptOn(port)
  return yield* Effect.retry(Effect.flatMap(freePort(0), attemptOn), {
    times: 4,
    while: (error) => error.reason._tag === "PortBusy"
  })
})

/** Creates the database unless it is there. A data directory that stays also shows here whether its password is right. */
const ensureDatabase = ({ dataDir, database, ...where }: ServerSettings) => {
  const pgdb = make({ ...where, database: "postgres" })
  return pgdb.select("select 1 from pg_catalog.pg_database where datname = $1", [database]).pipe(
    Effect.flatMap((found) =>
      found.length > 0 ? Effect.void : Effect.asVoid(pgdb.execute(`create database ${quote(database)}`))
    ),
    Effect.provide(PoolRegistry.layer()),
    Effect.mapError((error) =>
      error.reason._tag === "AuthenticationError"
        ? dataDirUnusable(
            dataDir,
            `The data directory ${dataDir} was set up with another username or password. Give those as the options username and password.`
          )
        : startFailed(`The database ${quote(database)} could not be created.`, { cause: error.cause })
    )
  )
}

/**
 * Starts a server, whose data are in a folder of their own in `folder` unless its options say where; the scope ends it. A server
 * takes real time, also in a test whose clock stands still.
 */
export const start = (
  input: EmbeddedPostgresOptions,
  folder?: string
): Effect.Effect<ServerSettings, EmbeddedPostgresError, Scope.Scope> =>
  Effect.provideService(startInRealTime(input, folder), Clock.Clock, Clock.Clock.defaultValue())

const startInRealTime = Effect.fnUntraced(function* (input: EmbeddedPostgresOptions, folder?: string) {
  const options = yield* checked(input)
  if (options.port !== undefined) yield* freePort(options.port)
  const stepDown = yield* identity
  const found = yield* binaries(stepDown)
  const { work, guard } = yield* DataDirectory.work(stepDown, folder)
  const { dataDir, username, password, database } = options
  const durable = dataDir !== undefined
  const surroundings = { binaries: found, identity: stepDown, username, password, work, guard, durable }
  const directory =
    dataDir === undefined
      ? yield* DataDirectory.fresh(surroundings)
      : yield* DataDirectory.kept(dataDir, surroundings)
  const port = yield* launchOnPort({ binaries: found, directory, work, guard, options })
  const settings: ServerSettings = {
    host,
    port,
    username,
    password: directory.password,
    database,
    dataDir: directory.path
  }
  if (dataDir !== undefined || database !== "postgres") yield* ensureDatabase(settings)
  return settings
})
