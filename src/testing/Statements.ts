/**
 * Statements inside a sandbox, where one transaction is open around all of them: what those of clients mean there, by what
 * their text shows, and those that the sandbox adds.
 */

import { quote } from "../statement/Names.ts"
import { symbolOf, tokenAt, valueOf } from "../statement/Scan.ts"

const savepoint = "effect_global_pool_sandbox"
export const enter = `savepoint ${savepoint}`
export const undo = `rollback to savepoint ${savepoint}`
export const release = `release savepoint ${savepoint}`

/** What to do about that which a sandbox cannot do. */
export const advice =
  "A sandbox is one transaction on one connection. Run the test on a database of its own and without a sandbox: Effect.provide(TestDatabase.layer(options))."

/** Whether a statement may make a constraint that is checked at the commit, or be about one. */
export const mayDefer = (text: string): boolean => /\bdeferr/i.test(text)

/** Whether the database has such a constraint. */
export const hasDeferrable =
  "select exists (select from pg_catalog.pg_constraint where condeferrable) as deferrable"

/** A row when this session does something else than wait for its client. */
export const isAtWork = (pid: number): string =>
  `select from pg_catalog.pg_stat_activity where pid = ${pid} and wait_event_type is distinct from 'Client'`

/**
 * Checks what is deferred to the commit, and leaves constraints as a new transaction finds them. Triggers see the role that the
 * client has set, as at a commit. Constraints in schemas which that role may not use can be named by the session's own alone.
 */
export const checkDeferred = `do $sandbox$ declare usable text; every text; deferred text;
  who text := session_user; role text := pg_catalog.current_setting('role'); begin
  select pg_catalog.string_agg(distinct name, ', ') filter (where pg_catalog.has_schema_privilege(schema, 'usage')),
    pg_catalog.string_agg(distinct name, ', '), pg_catalog.string_agg(distinct name, ', ') filter (where condeferred)
    into usable, every, deferred from (
      select pg_catalog.format('%I.%I', n.nspname, c.conname) as name, n.oid as schema, c.condeferred
      from pg_catalog.pg_constraint c join pg_catalog.pg_namespace n on n.oid = c.connamespace where c.condeferrable
    ) as constraints;
  if usable is not null then execute 'set constraints ' || usable || ' immediate'; end if;
  if usable is distinct from every then
    set local session authorization default;
    set local role none;
    execute 'set constraints ' || every || ' immediate';
  end if;
  if deferred is not null then execute 'set constraints ' || deferred || ' deferred'; end if;
  if usable is distinct from every then
    perform pg_catalog.set_config('session_authorization', who, true);
    perform pg_catalog.set_config('role', role, true);
  end if;
end $sandbox$`

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`
const current = (name: string): string => `coalesce(pg_catalog.current_setting(${literal(name)}, true), '')`
const setTo = (name: string, value: string, isLocal: boolean): string =>
  `select pg_catalog.set_config(${literal(name)}, ${value}, ${isLocal})`
const kept = (name: string): string => `effect_global_pool.kept_${name}`

/**
 * Remembers a setting that is not remembered yet, and brings it back if it is. Going back to a savepoint undoes what was remembered
 * behind it, and the setting as well.
 */
export const keep = (name: string): string =>
  `${setTo(kept(name), `'=' || ${current(name)}`, true)} where ${current(kept(name))} = ''`
export const bringBack = (name: string): string =>
  `${setTo(name, `pg_catalog.substr(${current(kept(name))}, 2)`, true)} where ${current(kept(name))} <> ''; ${setTo(kept(name), "''", true)}`

/** Puts the settings of one session in place of those of another. */
export const adopt = (
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>
): ReadonlyArray<string> => [
  ...Array.from(before.keys())
    .filter((name) => !after.has(name))
    .map((name) => `reset ${name.split(".").map(quote).join(".")}`),
  ...Array.from(after, ([name, value]) => setTo(name, literal(value), false))
]

/** A statement that the sandbox answers itself, with this tag, when it has run this text. */
export interface Local {
  readonly kind: "begin" | "commit" | "rollback" | "deallocate" | "other"
  readonly text: string
  readonly tag: string
}

/** What a client's statement is in a sandbox. */
export type Meaning =
  | Local
  /** It sets these until its transaction ends. */
  | { readonly kind: "set"; readonly names: ReadonlyArray<string> }
  /** It brings the settings back to those that the server gave the session. */
  | { readonly kind: "reset" }

/** Whether a parameter has the name, and which: `$1`. */
export const isParameter = (name: string): boolean => name.startsWith("$")

export const isLocal = (meaning: Meaning | undefined): meaning is Local =>
  meaning !== undefined && "tag" in meaning

/** A part of a transaction can be read-only. Isolation belongs to the whole, where no other transaction can be seen anyway. */
const modes = (text: string): string => (/\bread\s+only\b/i.test(text) ? "set transaction read only" : "")

const refusal = (what: string): Local => ({
  kind: "other",
  text: `do $sandbox$ begin raise '${what} does nothing in a sandbox, where nothing is committed'
    using errcode = 'feature_not_supported', hint = '${advice}'; end $sandbox$`,
  tag: ""
})

/** Those of SQL's own `PREPARE`. */
const deallocateAll = `do $sandbox$ declare prepared text; begin
  for prepared in select name from pg_catalog.pg_prepared_statements where from_sql loop
    execute pg_catalog.format('deallocate %I', prepared);
  end loop; end $sandbox$`

/** The words of a `BEGIN` that the server takes; a comma is no word. */
const isBeginning =
  /^(?:begin(?: work| transaction)?|start transaction)(?: +(?:isolation level (?:serializable|repeatable read|read (?:committed|uncommitted))|read (?:only|write)|(?:not )?deferrable))*$/
const mostWords = 16

/** The first words of a statement; anything else is an empty one. */
const wordsOf = (text: string): ReadonlyArray<string> => {
  const words: Array<string> = []
  for (let token = tokenAt(text, 0); token.kind !== "end" && words.length < mostWords; ) {
    words.push(token.kind === "word" ? valueOf(text, token) : "")
    token = tokenAt(text, token.end)
  }
  return words
}

/** Settings that `SET LOCAL` calls by another name, and what is none to bring back. */
const longNames = new Map([
  ["time", "timezone"],
  ["session", "session_authorization"],
  ["names", "client_encoding"],
  ["schema", "search_path"],
  ["xml", "xmloption"],
  ["seed", ""],
  ["transaction", ""]
])
const setConfig =
  /\bset_config\s*\(\s*(?:'([\w.]+)'|(\$\d+)(?:\s*::\s*\w+)?)\s*,(?:(?!set_config)[^;])*?,\s*(?:true|'t(?:rue)?')\s*\)/gi

/** The setting of `SET LOCAL`, as its tokens write it from `at` on. */
const localName = (text: string, at: number): string => {
  let name = ""
  for (let token = tokenAt(text, at); token.kind === "word" || token.kind === "name"; ) {
    name += valueOf(text, token)
    const dot = tokenAt(text, token.end)
    if (symbolOf(text, dot) !== ".") break
    name += "."
    token = tokenAt(text, dot.end)
  }
  return longNames.get(name.toLowerCase()) ?? name
}

/** The settings that a statement shows it sets for its transaction alone; `$1` is one that a parameter names. */
const namesOf = (text: string, [first, second]: ReadonlyArray<string>): ReadonlyArray<string> => {
  if (first !== "set")
    return Array.from(text.matchAll(setConfig), ([, name, parameter = ""]) => name ?? parameter)
  const name = second === "local" ? localName(text, tokenAt(text, tokenAt(text, 0).end).end) : ""
  return name === "" ? [] : [name]
}

/** What a statement is; `undefined` for one that is sent as it stands. */
export const meaningOf = (text: string): Meaning | undefined => {
  const words = wordsOf(text)
  const [first = "", second, third] = words
  switch (first) {
    case "begin":
    case "start":
      // The server says what is wrong with another one.
      return isBeginning.test(words.join(" "))
        ? { kind: "begin", text: modes(text), tag: first === "begin" ? "BEGIN" : "START TRANSACTION" }
        : undefined
    case "commit":
    case "end":
    case "rollback":
    case "abort":
      if (words.includes("to")) return undefined
      if (second === "prepared" || words.includes("chain")) return refusal(first.toUpperCase())
      return first === "commit" || first === "end"
        ? { kind: "commit", text: "", tag: "COMMIT" }
        : { kind: "rollback", text: "", tag: "ROLLBACK" }
    case "prepare":
      return second === "transaction" ? refusal("PREPARE TRANSACTION") : undefined
    case "listen":
      return refusal("LISTEN")
    case "reset":
      return second === "all" ? { kind: "reset" } : undefined
    case "deallocate":
      return second === "all" || third === "all"
        ? { kind: "deallocate", text: deallocateAll, tag: "DEALLOCATE ALL" }
        : undefined
  }
  if (first === "set" && words.includes("isolation")) return { kind: "other", text: modes(text), tag: "SET" }
  const names = namesOf(text, words)
  return names.length === 0 ? undefined : { kind: "set", names }
}
