/** Many databases on one server, for a role that the server itself holds to a number of connections. */
import { randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import { PG } from "effect-global-pool"
import { database, type TestDatabase, type Witness } from "./database.ts"
import type { TestServer } from "./server.ts"

export interface Tenants {
  /** A database beside them, whose witness sees the whole server. */
  readonly home: TestDatabase
  readonly witness: Witness
  readonly names: ReadonlyArray<string>
  readonly role: string
  readonly settings: (tenant: number) => TestServer
  readonly pgdb: (tenant: number, options?: Partial<PG.Settings>) => PG.Database
  /** Sessions of the role: its databases, one for each session, sorted. */
  readonly sessions: Effect.Effect<ReadonlyArray<string>, SqlError>
  /** Holds the role to so many connections: the server refuses one more. */
  readonly allow: (connections: number) => Effect.Effect<unknown, SqlError>
}

/** Databases with a table `people` of three rows, copied from a template; dropped when the scope closes. */
export const tenants: (count: number) => Effect.Effect<Tenants, SqlError, Scope.Scope> = Effect.fnUntraced(
  function* (count: number) {
    const home = yield* database()
    const { witness } = home
    const tag = randomBytes(4).toString("hex")
    const role = `tenant_role_${tag}`
    const template = `template_${tag}`
    const names = Array.from({ length: count }, (_, index) => `tenant_${tag}_${index}`)
    const drop = (name: string) =>
      Effect.ignore(witness.query(`drop database if exists ${name} with (force)`))
    yield* Effect.acquireRelease(witness.query(`create role ${role} login password 'tenant'`), () =>
      Effect.ignore(witness.query(`drop role ${role}`))
    )
    yield* Effect.acquireRelease(witness.query(`create database ${template} owner ${role}`), () =>
      drop(template)
    )
    const { password: _, ...where } = home.settings
    yield* Effect.scoped(
      Effect.gen(function* () {
        const inside = yield* home.connect({
          ...where,
          username: role,
          password: "tenant",
          database: template
        })
        yield* inside.query("create table people (id int primary key, name text not null)")
        yield* inside.query("insert into people values (1, 'Ada'), (2, 'Grace'), (3, 'Edsger')")
      })
    )
    // A hundred of them take one connection too long.
    const makers =
      count < 20 ? [witness] : yield* Effect.forEach([1, 2, 3], () => home.connect(home.settings))
    yield* Effect.forEach(
      makers,
      (maker, first) =>
        Effect.forEach(
          names.filter((_, index) => index % makers.length === first),
          (name) =>
            Effect.acquireRelease(
              maker.query(`create database ${name} template ${template} owner ${role} strategy wal_log`),
              () => drop(name)
            )
        ),
      { concurrency: "unbounded" }
    )
    const settings = (tenant: number): TestServer => ({
      ...where,
      username: role,
      password: "tenant",
      database: names[tenant] ?? template
    })
    return {
      home,
      witness,
      names,
      role,
      settings,
      pgdb: (tenant, options) => PG.make({ ...settings(tenant), ...options }),
      sessions: Effect.map(
        witness.query("select datname::text from pg_stat_activity where usename = $1 order by 1", [role]),
        (rows) => rows.map(({ datname }) => String(datname))
      ),
      allow: (connections) => witness.query(`alter role ${role} connection limit ${connections}`)
    }
  }
)

/** Looks at the role's sessions some hundred times a second while an effect runs: the most that there were at one moment. */
export const mostSessions = <A, E, R>(
  { home, role }: Tenants,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<{ readonly most: number; readonly looks: number; readonly answer: A }, E | SqlError, R> =>
  Effect.scoped(
    Effect.gen(function* () {
      const eye = yield* home.connect(home.settings)
      const seen = { most: 0, looks: 0 }
      const look = Effect.map(
        eye.query("select count(*)::int as n from pg_stat_activity where usename = $1", [role]),
        ([row]) => {
          seen.most = Math.max(seen.most, Number(row?.n))
          seen.looks++
        }
      )
      const pause = eye.query("select pg_sleep(0.005)")
      const looking = yield* Effect.forkChild(Effect.forever(Effect.andThen(look, pause)))
      const answer = yield* effect
      yield* Fiber.interrupt(looking)
      return { ...seen, answer }
    })
  )
