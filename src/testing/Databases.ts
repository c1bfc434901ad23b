/**
 * The databases of the test kit on a server: templates, made once for each setup, and copies of them.
 *
 * The kit knows its own by their names and by a limit of connections that nobody else would give, which stand in the very
 * statement that makes a database: one that is interrupted leaves nothing that the next run would not find. Nothing else is ever
 * dropped. Who uses a database holds an advisory lock of its name, which the server frees with the session, also that of a
 * killed process. Advisory locks are those of one database, so all of them are taken in `maintenance`.
 */
import { createHash, randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import { type PoolError, refused } from "../errors/PoolError.ts"
import { sqlState } from "../errors/SqlState.ts"
import type { ResolvedSettings } from "../settings/Settings.ts"
import { quote } from "../statement/Names.ts"
import { connect, type Opened, query } from "./AdminConnection.ts"

/** Where locks hold for all who use the server, whichever database their URL names. */
const maintenance = "postgres"
const prefix = "effect_test_"
/** More connections than a server can have, so that this limit limits nothing. */
export const connectionLimit = 1_162_301_761
/** A template that was made longer ago is dropped when it is no longer in use. */
const oldTemplate = "7 days"
const finished = "A template of effect-global-pool/testing, of "

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`
const lock = (name: string, how: string): string =>
  `select pg_catalog.${how}(pg_catalog.hashtextextended(${literal(name)}, 0)) as locked`
const drop = (name: string): string => `drop database if exists ${quote(name)} with (force)`

/** `create database` as quick as the server can. */
const create = ({ session }: Opened, name: string, template: string): string => {
  const major = Number.parseInt(session.parameters.get("server_version") ?? "", 10)
  const strategy = major >= 15 ? " strategy file_copy" : ""
  return `create database ${quote(name)} template ${quote(template)}${strategy} connection limit ${connectionLimit}`
}

/** The name of the template of this setup. */
export const nameOf = (key: ReadonlyArray<string>): string =>
  `${prefix}template_${createHash("sha256").update(JSON.stringify(key)).digest("hex").slice(0, 16)}`

/** Opens the session that makes databases, as long as the scope is open. */
export const administer = (settings: ResolvedSettings): Effect.Effect<Opened, SqlError, Scope.Scope> =>
  Effect.catchIf(
    connect({ ...settings, database: maintenance }),
    // It is not there, or not for this user.
    (error) => ["3D000", "42501", "28000"].includes(sqlState(error) ?? ""),
    () => connect(settings)
  )

const look = (name: string): string =>
  `select datallowconn as open, datconnlimit = ${connectionLimit} as own from pg_catalog.pg_database where datname = ${literal(name)}`

/** A template is finished when nobody can connect to it any more. */
const stateOf = ([row]: ReadonlyArray<unknown>): "none" | "strange" | "begun" | "finished" => {
  if (!Predicate.hasProperty(row, "own") || !Predicate.hasProperty(row, "open")) return "none"
  if (row.own !== true) return "strange"
  return row.open === true ? "begun" : "finished"
}

const make = Effect.fnUntraced(function* <E, R>(
  admin: Opened,
  name: string,
  setUp: Effect.Effect<void, E, R>
) {
  const [rows = []] = yield* query(admin, look(name))
  const state = stateOf(rows)
  if (state === "finished") return
  if (state === "strange") {
    return yield* refused(
      `The database ${quote(name)} was not made by TestDatabase, which would make its template by that name. Drop it yourself.`
    )
  }
  yield* query(admin, drop(name), create(admin, name, "template1"))
  const comment = literal(finished + new Date().toISOString())
  yield* Effect.onError(
    Effect.andThen(
      setUp,
      query(
        admin,
        `comment on database ${quote(name)} is ${comment}`,
        `alter database ${quote(name)} with allow_connections false`
      )
    ),
    () => Effect.ignore(query(admin, drop(name)))
  )
})

/** Makes the template unless it is there; of all who ask at one time, one makes it. Nobody drops it while the session of `admin` is open. */
export const template = Effect.fnUntraced(function* <E, R>(
  admin: Opened,
  name: string,
  setUp: Effect.Effect<void, E, R>
): Effect.fn.Return<void, E | SqlError | PoolError, R> {
  const [, rows = []] = yield* query(admin, lock(name, "pg_advisory_lock_shared"), look(name))
  if (stateOf(rows) === "finished") return
  const making = `${name}, which is being made`
  // Should the setup fail, the session ends, and its locks with it.
  yield* query(admin, lock(making, "pg_advisory_lock"))
  yield* make(admin, name, setUp)
  yield* query(admin, lock(making, "pg_advisory_unlock"))
})

/**
 * Gives a copy what `ALTER DATABASE … SET` gave its template, which `CREATE DATABASE` leaves out. A list of names is not written as
 * a text, so it is set for this statement, and taken from there.
 */
const copySettings = (name: string, template: string): string => `do $$
  declare target text; parameter text; value text;
  begin
    for target, parameter, value in
      select pg_catalog.format(case setrole when 0 then 'database %1$I' else 'role %2$s in database %1$I' end,
          ${literal(name)}, setrole::pg_catalog.regrole),
        pg_catalog.split_part(setting, '=', 1), pg_catalog.regexp_replace(setting, '^[^=]*=', '')
      from pg_catalog.pg_db_role_setting join pg_catalog.pg_database on pg_database.oid = setdatabase,
        pg_catalog.unnest(setconfig) as setting
      where datname = ${literal(template)}
    loop
      if parameter in ('search_path', 'temp_tablespaces', 'session_preload_libraries', 'local_preload_libraries') then
        perform pg_catalog.set_config(parameter, value, true);
        execute pg_catalog.format('alter %s set %I from current', target, parameter);
      else
        execute pg_catalog.format('alter %s set %I to %L', target, parameter, value);
      end if;
    end loop;
  end $$`

/** Makes a copy, which goes with the scope. */
export const copy = (admin: Opened, template: string): Effect.Effect<string, SqlError, Scope.Scope> => {
  const name = `${prefix}${randomBytes(8).toString("hex")}`
  const dropped = Effect.ignore(query(admin, drop(name)))
  const made = Effect.onError(
    query(admin, lock(name, "pg_advisory_lock"), create(admin, name, template), copySettings(name, template)),
    () => dropped
  )
  return Effect.as(
    Effect.acquireRelease(made, () => dropped),
    name
  )
}

/** Databases of the kit that nobody needs: copies, templates that were not finished, and old ones. */
const unneeded = `select datname from pg_catalog.pg_database
  where datname ~ '^${prefix}(template_)?[0-9a-f]{16}$' and datconnlimit = ${connectionLimit} and (datallowconn or
    pg_catalog.substring(pg_catalog.shobj_description(oid, 'pg_database'), ${literal(`${finished}(\\d{4}-[-\\d]+T[\\d:.]+Z)$`)})::timestamptz
      < pg_catalog.now() - interval '${oldTemplate}')`

const isUsed = `exists (select from pg_catalog.pg_locks where locktype = 'advisory' and objsubid = 1
  and (classid::int8 << 32 | objid::int8) = pg_catalog.hashtextextended(datname::text, 0))`

/** Drops what killed processes have left, and templates that nobody asks for any more. */
export const sweep = Effect.fnUntraced(function* (admin: Opened) {
  const [found = []] = yield* query(admin, `${unneeded} and not ${isUsed}`)
  for (const row of found) {
    const name = Predicate.hasProperty(row, "datname") ? String(row.datname) : ""
    const [[locked] = [], [still] = []] = yield* query(
      admin,
      lock(name, "pg_try_advisory_lock"),
      `${unneeded} and datname = ${literal(name)}`
    )
    if (!Predicate.hasProperty(locked, "locked") || locked.locked !== true) continue
    // One of another role stays for that role.
    if (still !== undefined) yield* Effect.ignore(query(admin, drop(name)))
    yield* query(admin, lock(name, "pg_advisory_unlock"))
  }
})
