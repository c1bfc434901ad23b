/** A primary and its streaming standby, each a server of its own on loopback. */
import { rm } from "node:fs/promises"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { start } from "../../src/embedded/Server.ts"
import { connect, eventually, type Witness } from "./database.ts"
import type { TestServer } from "./server.ts"

export interface Node {
  readonly settings: TestServer
  readonly witness: Witness
  /** Its first process: a SIGKILL to it ends the server without a word. */
  readonly pid: number
}

export interface Pair {
  readonly primary: Node
  readonly standby: Node
  /** Makes the standby a primary, and waits until it is one. */
  readonly promote: Effect.Effect<void>
}

const settingsOf = ({
  database,
  host,
  password,
  port,
  username
}: Omit<TestServer, "password"> & { readonly password: Redacted.Redacted }): TestServer => ({
  host,
  port,
  username,
  database,
  password: Redacted.value(password)
})

const nodeOf = (settings: TestServer) =>
  Effect.gen(function* () {
    const witness = yield* connect(settings, "witness")
    const [row] = yield* witness.query("select pg_read_file('postmaster.pid') as text")
    return { settings, witness, pid: Number(String(row?.text).split("\n", 1)[0]) }
  })

/** What the clones do not take along. */
const leftOut = ["postmaster.pid", "postmaster.opts"]

/** Starts both, the standby in step with the primary; `synchronous`: a commit waits for the standby. */
export const pair = (
  serverSettings: Readonly<Record<string, string | number | boolean>> = {},
  { synchronous = false } = {}
): Effect.Effect<Pair, never, Scope.Scope> =>
  Effect.gen(function* () {
    const primary = yield* nodeOf(
      settingsOf(
        yield* start({
          serverSettings: {
            max_wal_senders: 4,
            wal_level: "replica",
            ...(synchronous ? { synchronous_commit: "remote_apply" } : {}),
            ...serverSettings
          }
        })
      )
    )
    const { host, password, port, username } = primary.settings
    const { query } = primary.witness
    const [row] = yield* query("select current_setting('data_directory') as data")
    const clone = join(String(row?.data), "..", `clone-${port}`)
    yield* Effect.addFinalizer(() => Effect.promise(() => rm(clone, { recursive: true, force: true })))
    // The server takes it for an error if a program ends before it has read all.
    const run = (command: string) => query(`copy (select 1) to program 'cat > /dev/null; ${command}'`)
    yield* query("select pg_backup_start('clone', true)")
    yield* run(`cp -a "${String(row?.data)}" "${clone}"`)
    for (const file of leftOut) yield* run(`rm -f "${clone}/${file}"`)
    const [stopped] = yield* query("select labelfile from pg_backup_stop(false)")
    const lines = `select unnest(string_to_array('${String(stopped?.labelfile).trim().replaceAll("'", "''")}', E'\\n'))`
    yield* query(
      `copy (${lines}) to program 'cat > "${clone}/backup_label"; touch "${clone}/standby.signal"'`
    )
    const standby = yield* nodeOf(
      settingsOf(
        yield* start({
          dataDir: clone,
          password,
          username,
          serverSettings: {
            max_wal_senders: 4,
            ...serverSettings,
            fsync: false,
            primary_conninfo: `host=${host} port=${port} user=${username} password=${password} application_name=standby`
          }
        })
      )
    )
    yield* eventually(
      "the standby streams",
      query("select state from pg_stat_replication"),
      ([row]) => row?.state === "streaming"
    )
    if (synchronous) {
      yield* query("alter system set synchronous_standby_names = 'standby'")
      yield* query("select pg_reload_conf()")
      yield* eventually(
        "the standby is synchronous",
        query("select sync_state from pg_stat_replication"),
        ([row]) => row?.sync_state === "sync"
      )
    }
    return {
      primary,
      standby,
      promote: Effect.asVoid(Effect.orDie(standby.witness.query("select pg_promote(true)")))
    }
  }).pipe(Effect.orDie)
