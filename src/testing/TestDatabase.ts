/**
 * A database of its own for a test file or a test, and sandboxes on it, in which all that a test does is rolled back.
 *
 * **When to use**
 *
 * `TestDatabase.layer` once for a file, and `TestDatabase.sandbox` around each of its tests. A test of what one transaction
 * cannot give, such as two connections that see each other's commits, has a layer of its own and no sandbox.
 *
 * **Details**
 *
 * Under the layer every handle leads to the test's database, whatever address it was made with: no connection goes anywhere
 * else. In a sandbox every connection of the process leads there.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import * as Handles from "../api/Database.ts"
import type { EmbeddedPostgresError } from "../embedded/EmbeddedPostgresError.ts"
import { type PoolError, refused } from "../errors/PoolError.ts"
import * as Route from "../pool/Route.ts"
import type { PoolRegistry } from "../registry/PoolRegistry.ts"
import * as SharedRegistry from "../registry/SharedRegistry.ts"
import { check } from "../settings/Check.ts"
import { describe, moved, type ResolvedSettings, type Settings } from "../settings/Settings.ts"
import { urlOf } from "../settings/UrlOf.ts"
import { analyze } from "../statement/Analyze.ts"
import { psql } from "../statement/Reject.ts"
import { split } from "../statement/Split.ts"
import * as Server from "./AdminConnection.ts"
import * as Databases from "./Databases.ts"
import * as Sandbox from "./Sandbox.ts"
import { type Options, problemOf, type Setup } from "./TestDatabaseOptions.ts"

/** What a sandbox needs to run an effect that needs `R`. */
type Requires<R> = TestDatabase | Exclude<Exclude<R, PoolRegistry | TestDatabase>, Scope.Scope>

interface Service {
  /** A handle to the database. */
  readonly pgdb: Handles.Database
  /** Where it is, for other programs; in a sandbox they are a part of it. */
  readonly url: Redacted.Redacted
  /** @internal */
  readonly database: Database
  /** @internal */
  readonly isSandbox: boolean
}

interface Database extends Sandbox.Database {
  /** Where the sandboxes are that are open now. */
  readonly sandboxes: Set<ResolvedSettings>
  /** Whether there are connections that go by the sandboxes. */
  isUsedDirectly: boolean
  /** The other database that handles name, which this one stands for. */
  standsFor: string | undefined
}

const applicationName = "effect-global-pool/testing"

const settingsOf = (settings: Settings): Effect.Effect<ResolvedSettings, PoolError> =>
  Effect.fromResult(check({ applicationName, ...settings }))

const serverOf = ({
  server = {},
  url
}: Options<unknown, unknown>): Effect.Effect<
  ResolvedSettings,
  PoolError | EmbeddedPostgresError,
  Scope.Scope
> =>
  url !== undefined
    ? settingsOf({ url })
    : Effect.promise(() => import("./SharedServer.ts")).pipe(
        Effect.flatMap(({ start }) => start(server)),
        Effect.flatMap(({ database, host, password, port, username }) =>
          settingsOf({ database, host, password, port, username })
        )
      )

const urlTo = ({ database, encryption, password, servers, username }: ResolvedSettings): Redacted.Redacted =>
  urlOf({
    host: servers[0].host,
    port: servers[0].port,
    username,
    password: password?._tag === "Text" ? password.read() : undefined,
    database,
    // The default is this package's own: others take it for TLS, or do not know it.
    sslmode: encryption.mode === "allow" ? undefined : encryption.mode
  })

const handleTo = (settings: ResolvedSettings): Handles.Database =>
  Handles.make({ url: urlTo(settings), key: settings.database })

/** Everything that runs there leads to the database by `follow`. */
const under = (follow: Route.Follow) =>
  Effect.gen(function* () {
    const route: Route.Route = { follow, memoMap: Layer.makeMemoMapUnsafe() }
    const registry = Layer.buildWithScope(SharedRegistry.layer, yield* Effect.scope)
    return Context.add(yield* Effect.provideService(registry, Route.Route, route), Route.Route, route)
  })

/** The statements of texts, each with its place for errors. */
const statementsOf = (texts: ReadonlyArray<string>) => {
  const parts = texts.flatMap((text, index) =>
    Array.from(split(text), (part) => ({ ...part, file: `text ${index + 1} of the setup` }))
  )
  return parts.map((part, index) => ({ ...part, number: index + 1, of: parts.length }))
}

type About = ReturnType<typeof statementsOf>[number]

const refusedAt = ({ file, line, number, of }: About, why: string): PoolError =>
  refused(`Statement ${number} of ${of}, line ${line} of ${file}: ${why} Nothing of the setup stays.`)

/** Why a statement cannot run: files that pg_dump writes hold more than SQL. */
const rejectionOf = ({ hasBackslash, text }: About): string | undefined => {
  if (hasBackslash) return psql
  const { command, rejection } = analyze(text)
  return command === "COPY" ? rejection : undefined
}

/** Runs the statements of texts. What a transaction that stays open has done would be lost with the session. */
const runTexts = Effect.fnUntraced(function* (opened: Server.Opened, texts: ReadonlyArray<string>) {
  let begun: About | undefined
  for (const about of statementsOf(texts)) {
    const rejection = rejectionOf(about)
    if (rejection !== undefined) return yield* refusedAt(about, rejection)
    yield* Server.run(opened, about)
    begun = opened.session.status() === "idle" ? undefined : (begun ?? about)
  }
  if (begun !== undefined) {
    return yield* refusedAt(begun, "The transaction that begins here is never ended: COMMIT is missing.")
  }
})

/** A key as far as an error shows it: those that are texts of migrations are long, and may hold anything. */
const shownOf = (template: string, setup: Setup<unknown, unknown>): string =>
  "run" in setup && typeof setup.key === "string" && /^[\w .:/@-]{1,60}$/.test(setup.key)
    ? `with the key "${setup.key}"`
    : `of ${template}`

const setUp = <E, R>(
  settings: ResolvedSettings,
  setup: Setup<E, R>
): Effect.Effect<void, E | SqlError | PoolError, Exclude<R, PoolRegistry> | Scope.Scope> => {
  const run: ReturnType<typeof setUp<E, R>> =
    "run" in setup
      ? Effect.flatMap(
          under((handle) => Effect.succeed(moved(handle, settings))),
          (context) => Effect.asVoid(Effect.provideContext(setup.run(handleTo(settings)), context))
        )
      : Effect.flatMap(Server.connect(settings), (opened) => runTexts(opened, setup))
  // Effect prints it below a failure.
  return Effect.withSpan(run, `the setup ${shownOf(settings.database, setup)}`)
}

/** Where a handle's connections go: all handles that lead to one other database lead to this one. */
const followTo =
  (database: Database, target: () => Effect.Effect<ResolvedSettings, SqlError>): Route.Follow =>
  (settings) =>
    Effect.flatMap(Effect.suspend(target), (at) => {
      const asked = describe(settings)
      if (asked !== describe(database.settings) && asked !== describe(at)) {
        database.standsFor ??= asked
        if (asked !== database.standsFor) {
          return Effect.fail(
            Route.unroutable(
              `The test database stands for ${database.standsFor} already, and this handle leads to ${asked}.`,
              "One test database stands for one database. Pass handles of your own to code that has several."
            )
          )
        }
      }
      return Effect.succeed(moved(settings, at))
    })

const outside = (database: Database): Effect.Effect<ResolvedSettings, SqlError> => {
  const [sandbox, ...others] = database.sandboxes
  if (others.length > 0) {
    return Effect.fail(
      Route.unroutable(
        "Several sandboxes are open at one time, and nothing says which of them this connection is for.",
        "Run the code in the fiber of its test, with PG.layer, in place of a runtime or a layer that all tests share; or run one test at a time."
      )
    )
  }
  if (sandbox === undefined) database.isUsedDirectly = true
  return Effect.succeed(sandbox ?? database.settings)
}

const make = Effect.fnUntraced(function* <E, R>(options: Options<E, R>) {
  const problem = problemOf(options)
  if (problem !== undefined) return yield* problem
  const { setup } = options
  const server = yield* serverOf(options)
  const admin = yield* Databases.administer(server)
  const key = setup === undefined ? [] : "run" in setup ? ["key", setup.key].flat() : ["texts", ...setup]
  const template = setup === undefined ? "template1" : Databases.nameOf(key)
  if (setup !== undefined) {
    yield* Databases.template(admin, template, Effect.scoped(setUp({ ...server, database: template }, setup)))
  }
  yield* Databases.sweep(admin)
  const settings = { ...server, database: yield* Databases.copy(admin, template) }
  const scope = yield* Effect.scope
  const database: Database = {
    admin,
    settings,
    connect: Scope.provide(Server.connect(settings), scope),
    idle: [],
    sandboxes: new Set(),
    isUsedDirectly: false,
    standsFor: undefined
  }
  const follow = followTo(database, () => outside(database))
  yield* Route.forProcess(follow)
  const service: Service = {
    pgdb: handleTo(settings),
    url: urlTo(settings),
    database,
    isSandbox: false
  }
  return Context.add(yield* under(follow), TestDatabase, service)
})

/** Connections that were opened before the sandbox are closed where nothing happens on them: the next ones lead into it. */
const closeDirect = (database: Database) =>
  Effect.suspend(() => {
    if (!database.isUsedDirectly) return Effect.void
    database.isUsedDirectly = false
    return Server.query(
      database.admin,
      `select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity
       where datname = '${database.settings.database}' and state = 'idle' and query not ilike 'listen %'
         and application_name <> '${applicationName}'`
    )
  })

const enter = Effect.gen(function* () {
  const { database, isSandbox, pgdb } = yield* TestDatabase
  if (isSandbox) {
    return yield* refused(
      "A sandbox cannot be opened in another one: all that this effect does is rolled back by that."
    )
  }
  yield* closeDirect(database)
  const settings = yield* Sandbox.open(database)
  yield* Effect.acquireRelease(
    Effect.sync(() => database.sandboxes.add(settings)),
    () => Effect.sync(() => database.sandboxes.delete(settings))
  )
  const url = urlTo(settings)
  const context = yield* under(followTo(database, () => Effect.succeed(settings)))
  return Context.add(context, TestDatabase, { pgdb, url, database, isSandbox: true })
})

/**
 * A test's database: made by `TestDatabase.layer`, used through `TestDatabase.pgdb` or any other handle, and left as it was by
 * what runs in `TestDatabase.sandbox`.
 */
export class TestDatabase extends Context.Service<TestDatabase, Service>()(
  "effect-global-pool/TestDatabase"
) {
  /**
   * A database of its own, a copy of a template that `setup` made, and the pools to it. It is dropped when the layer's scope is
   * closed.
   *
   * **Details**
   *
   * The first test that asks starts the server, which ends some seconds after the last one, and has `setup` run. A copy takes
   * some 30 ms. Databases of processes that were killed are dropped by the next. Nothing is dropped that it did not make.
   *
   * Fails with `EmbeddedPostgresError` where there is no server, with `SqlError` where its user may not create databases, and with
   * what `setup` fails with.
   */
  static layer<E = never, R = never>(
    options: Options<E, R> = {}
  ): Layer.Layer<
    TestDatabase | PoolRegistry,
    E | SqlError | PoolError | EmbeddedPostgresError,
    Exclude<R, PoolRegistry>
  > {
    return Layer.effectContext(make(options))
  }

  /** A handle to the test's database. In a sandbox it is a part of it. */
  static readonly pgdb: Effect.Effect<Handles.Database, never, TestDatabase> = Effect.map(
    TestDatabase,
    ({ pgdb }) => pgdb
  )

  /** Where the test's database is, for other programs: a libpq URL. One that a sandbox gives leads into the sandbox. */
  static readonly url: Effect.Effect<Redacted.Redacted, never, TestDatabase> = Effect.map(
    TestDatabase,
    ({ url }) => url
  )

  /**
   * Runs an effect of which nothing stays in the database. The code in it cannot tell: it commits and rolls back, catches what
   * fails, streams, opens and ends pools as outside.
   *
   * **Details**
   *
   * All connections that the effect opens, and those that other fibers of the process open meanwhile, are one transaction on the
   * server, with savepoints for theirs. The effect's scope is closed before that is rolled back.
   *
   * **Gotchas**
   *
   * `now()` stands still, sequences go on counting, and transactions run one behind another, at whatever isolation they ask for.
   * `LISTEN`, and what Postgres does outside of transactions alone, fails with what to do instead; so does, after 3 seconds, a
   * statement that waits for another connection's transaction in which nothing happens.
   */
  static sandbox<A, E, R>(
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | SqlError | PoolError, Requires<R>> {
    return Effect.scoped(Effect.flatMap(enter, (context) => Effect.provideContext(effect, context)))
  }
}
