/**
 * The databases of the test kit on a server: templates, made once for each setup, and copies of them.
 *
 * What the kit has made says so in its comment, and nothing else is ever dropped. Who uses a copy holds an advisory lock of
 * its name, which the server frees with the session, also that of a killed process: a copy whose lock is free is left over.
 */
import { createHash, randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import { type PoolError, refused } from "../errors/PoolError.ts"
import type { Opened } from "../pool/OpenConnection.ts"
import { quote } from "../statement/Names.ts"
import { query } from "./AdminConnection.ts"

const prefix = "effect_test_"
const mark = "Made by effect-global-pool/testing"
const finished = `${mark}: a template`
/** A template that was made longer ago goes when nobody asks for it. */
const oldTemplate = "7 days"

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`
const lock = (name: string, how: string): string =>
  `select pg_catalog.${how}(pg_catalog.hashtextextended(${literal(name)}, 0)) as locked`
const drop = (name: string): string => `drop database if exists ${quote(name)} with (force)`

/** `create database` as quick as the server can. */
const create = ({ session }: Opened, name: string, template: string): string => {
  const major = Number.parseInt(session.parameters.get("server_version") ?? "", 10)
  return `create database ${quote(name)} template ${quote(template)}${major >= 15 ? " strategy file_copy" : ""}`
}

const textOf = (row: unknown, column: string): string =>
  Predicate.hasProperty(row, column) ? String(row[column] ?? "") : ""

/** The name of the template of this setup. */
export const nameOf = (key: ReadonlyArray<string>): string =>
  `${prefix}template_${createHash("sha256").update(JSON.stringify(key)).digest("hex").slice(0, 16)}`

const commentOn = (admin: Opened, name: string): Effect.Effect<string | undefined, SqlError> =>
  Effect.map(
    query(
      admin,
      `select pg_catalog.shobj_description(oid, 'pg_database') as comment from pg_catalog.pg_database where datname = ${literal(name)}`
    ),
    ([row]) => (row === undefined ? undefined : textOf(row, "comment"))
  )

/** Makes the template unless it is there; of all who ask at one time, one makes it. */
export const template = Effect.fnUntraced(function* <E, R>(
  admin: Opened,
  name: string,
  setUp: Effect.Effect<void, E, R>
): Effect.fn.Return<void, E | SqlError | PoolError, R> {
  if ((yield* commentOn(admin, name))?.startsWith(finished) === true) return
  yield* Effect.acquireUseRelease(
    query(admin, lock(name, "pg_advisory_lock")),
    Effect.fnUntraced(function* () {
      const comment = yield* commentOn(admin, name)
      if (comment?.startsWith(finished) === true) return
      if (comment !== undefined && !comment.startsWith(mark)) {
        return yield* refused(
          `The database ${quote(name)} was not made by TestDatabase, which would make its template by that name. Drop it yourself.`
        )
      }
      yield* query(admin, drop(name))
      yield* query(admin, create(admin, name, "template1"))
      yield* query(admin, `comment on database ${quote(name)} is ${literal(mark)}`)
      yield* Effect.onError(setUp, () => Effect.ignore(query(admin, drop(name))))
      yield* query(admin, `alter database ${quote(name)} with allow_connections false`)
      const at = new Date().toISOString()
      yield* query(admin, `comment on database ${quote(name)} is ${literal(`${finished}, of ${at}`)}`)
    }),
    () => Effect.ignore(query(admin, lock(name, "pg_advisory_unlock")))
  )
})

/** Makes a copy, which goes with the scope. */
export const copy = Effect.fnUntraced(function* (
  admin: Opened,
  template: string
): Effect.fn.Return<string, SqlError, Scope.Scope> {
  const name = `${prefix}${randomBytes(8).toString("hex")}`
  yield* query(admin, lock(name, "pg_advisory_lock"))
  yield* Effect.acquireRelease(query(admin, create(admin, name, template)), () =>
    Effect.ignore(query(admin, drop(name)))
  )
  yield* query(admin, `comment on database ${quote(name)} is ${literal(mark)}`)
  return name
})

/** Drops what killed processes have left (a lock in whichever database says that one is in use), and templates that nobody asks for any more. */
export const sweep = Effect.fnUntraced(function* (admin: Opened, template: string) {
  const found = yield* query(
    admin,
    `select datname from (
       select datname, pg_catalog.shobj_description(oid, 'pg_database') as comment from pg_catalog.pg_database
       where datname like ${literal(`${prefix.replaceAll("_", "\\_")}%`)} and datname <> ${literal(template)}
         and not exists (select from pg_catalog.pg_locks where locktype = 'advisory' and objsubid = 1
           and (classid::int8 << 32 | objid::int8) = pg_catalog.hashtextextended(datname::text, 0))
     ) as databases where ( comment = ${literal(mark)} or (comment like ${literal(`${finished}, of %`)}
       and pg_catalog.split_part(comment, ', of ', 2)::timestamptz < pg_catalog.now() - interval '${oldTemplate}'))`
  )
  for (const row of found) {
    const name = textOf(row, "datname")
    const [locked] = yield* query(admin, lock(name, "pg_try_advisory_lock"))
    if (textOf(locked, "locked") !== "true") continue
    // One of another role stays for that role.
    yield* Effect.ignore(query(admin, drop(name)))
    yield* query(admin, lock(name, "pg_advisory_unlock"))
  }
})
