/**
 * What the text of a statement shows before it is sent: whether it may be sent at all, whether it only reads, what it leaves
 * behind in the session, and whether it may change what the catalogue says.
 *
 * **Gotchas**
 *
 * Only the text is seen. A function that writes, sets or locks looks like any other; what it leaves in the session is
 * caught by `reset: "always"`. What a text may hide from its reader counts as if it did: a name with an escape character of
 * its own, a function that runs a text, a backslash in a `DO` block. `nextval` counts as leaving nothing, although `currval` and `lastval` remember it: every
 * insert into a table with a serial column does the same unseen, asyncpg's reset keeps it too, and neither is of use outside
 * a transaction.
 */
import { type Direction, directionOf } from "./CopyStatement.ts"
import { hasEffect, isGrammar, isHarmless, runsText, takesNothing, takesSessionLock } from "./Functions.ts"
import { placeholdersOf } from "./Placeholders.ts"
import { mayReturnRecord } from "./RecordResults.ts"
import { empty, nul, rejectionOf } from "./Reject.ts"
import { asConforming, symbolOf, type Token, tokenAt, valueOf, wordOf } from "./Scan.ts"

/** What the text of a statement shows that it leaves behind in its session; `"prepared statements"` are those of SQL's `PREPARE`. */
export type SessionEffects = "none" | "settings" | "prepared statements"

export interface Analysis {
  /** Why the statement is not sent and what to use instead: a whole message. */
  readonly rejection: string | undefined
  /** It begins, ends or divides a transaction: rejected, except on a connection that its caller has whole. */
  readonly isTransactionControl: boolean
  /** The first word in upper case; empty for an empty statement and for one that begins with no word. */
  readonly command: string
  /** It only reads, as far as its text shows: nothing is locked, written, waited for or left behind. */
  readonly isRead: boolean
  /** It calls a function that may do anything. */
  readonly callsFunctions: boolean
  /**
   * It only reads, and calls nothing but what the grammar defines and functions that are Postgres's own for certain: views
   * apart, running it twice is as good as once. Anybody may define another function of the same name for other arguments, so
   * one counts that takes none, which is found in `pg_catalog` first, or that is called by that name.
   */
  readonly isPlainRead: boolean
  readonly sessionEffects: SessionEffects
  /** It may set how many digits of a float the session shows. */
  readonly setsFloatDigits: boolean
  /** It may set how the session shows dates and intervals, or in which zone. */
  readonly setsDateStyle: boolean
  /** It may change which tables and types a name means. */
  readonly setsSearchPath: boolean
  /** It may create, change or drop a type, and every table and view is one. */
  readonly changesCatalogue: boolean
  /** How many parameters it takes. */
  readonly placeholders: number
  /** A `COPY` whose data go over the connection: it is sent by `copyFrom` and `copyTo` alone. */
  readonly copies: Direction | undefined
  /** It may return rows. */
  readonly returnsRows: boolean
  /** It may return an anonymous record, whose types are known only from its description or its binary format. */
  readonly mayReturnRecord: boolean
}

/** Whether its rows are those of a cursor or a statement that the session has under a name: their columns are not in the text. */
export const returnsByName = ({ command }: Pick<Analysis, "command">): boolean =>
  command === "FETCH" || command === "EXECUTE"

const nothing: Analysis = {
  rejection: undefined,
  isTransactionControl: false,
  command: "",
  isRead: false,
  callsFunctions: false,
  isPlainRead: false,
  sessionEffects: "none",
  setsFloatDigits: false,
  setsDateStyle: false,
  setsSearchPath: false,
  changesCatalogue: false,
  placeholders: 0,
  copies: undefined,
  returnsRows: false,
  mayReturnRecord: false
}

const controls = new Set(["begin", "start", "commit", "end", "abort", "rollback", "savepoint", "release"])
const readers = new Set(["select", "values", "table", "with", "show"])
const writers = new Set(["insert", "update", "delete", "merge", "into"])
const lockStrengths = new Set(["update", "no", "share", "key"])
const preparing = new Set(["prepare", "deallocate", "discard"])
const sessionCommands = new Set(["reset", "load"])
const definers = new Set(["create", "alter", "drop", "import"])
/** What a definition may be about without any type or table being touched. */
const typeless = new Set(["index", "unique", "role", "user", "group", "database", "tablespace", "system"])
const temporary = new Set(["temp", "temporary"])
const ownSchema = /^pg_temp(?:_\d+)?$/

/** The characters of a `set_config` call's arguments that are looked at before it counts as one for the session. */
const longestArguments = 4096
const affirmative = /^(?:t|tr|tru|true|y|ye|yes|on|1)$/i

/** Whether the third argument of `set_config(`, whose parenthesis is `open`, is plainly true. */
const isLocal = (text: string, open: Token): boolean => {
  let depth = 0
  let commas = 0
  for (let token = open; token.kind !== "end" && token.end - open.end < longestArguments; ) {
    const next = tokenAt(text, token.end)
    const symbol = symbolOf(text, token)
    if (symbol === "(" || symbol === "[") depth++
    else if (symbol === ")" || symbol === "]") depth--
    else if (symbol === "," && depth === 1 && ++commas === 2) {
      const value =
        wordOf(text, next) === "true" || (next.kind === "string" && affirmative.test(valueOf(text, next)))
      return value && symbolOf(text, tokenAt(text, next.end)) === ")"
    }
    if (depth === 0) return false
    token = next
  }
  return false
}

/** Behind `EXPLAIN` and its options, where the explained statement starts. */
const afterExplain = (text: string, from: number): Token => {
  let token = tokenAt(text, from)
  if (symbolOf(text, token) === "(") {
    const inner = tokenAt(text, token.end)
    if (symbolOf(text, inner) === "(" || readers.has(wordOf(text, inner))) return token
    while (token.kind !== "end" && symbolOf(text, token) !== ")") token = tokenAt(text, token.end)
    token = tokenAt(text, token.end)
  }
  while (["analyze", "analyse", "verbose"].includes(wordOf(text, token))) token = tokenAt(text, token.end)
  return token
}

/** `SET`: for the session, unless it names the transaction. `SET local.name` is a setting with a dot in its name. */
const setEffects = (text: string, from: number): SessionEffects => {
  const scope = tokenAt(text, from)
  const local = ["local", "transaction", "constraints"].includes(wordOf(text, scope))
  return local && symbolOf(text, tokenAt(text, scope.end)) !== "." ? "none" : "settings"
}

/** Whether a cursor is declared `WITH HOLD`: it outlives the transaction. */
const holds = (text: string, from: number): boolean => {
  let last = ""
  for (let token = tokenAt(text, from); token.kind !== "end"; token = tokenAt(text, token.end)) {
    const value = wordOf(text, token)
    if (value === "hold" && last === "with") return true
    if (value === "for") return false
    last = value
  }
  return false
}

/** Words of a `DO` block, and of the strings in it, that say it sets something for the session or defines something. */
const blockLeaves =
  /\b(?:set|reset|set_config|temp|temporary|pg_temp\w*|listen|unlisten|load|hold|discard|prepare|deallocate|execute|pg_(?:try_)?advisory_lock(?:_shared)?)\b/i
const blockDefines = /\b(?:create|alter|drop|import|into|execute)\b/i

/** Whether a block may hold one of these words: a backslash may stand for any. */
const mayHold = (text: string, words: RegExp): boolean => words.test(text) || text.includes("\\")

/** Whether a function is Postgres's own and only reads, whatever else is defined; `open` is the parenthesis of its call. */
const isPostgresOwn = (text: string, name: string, open: Token, schema: string | undefined): boolean => {
  if (schema !== undefined) return schema === "pg_catalog" && isHarmless(name)
  const first = tokenAt(text, open.end)
  return symbolOf(text, first) === ")"
    ? takesNothing(name)
    : name === "count" && symbolOf(text, first) === "*"
}

/** What the rest of the statement shows, whatever its first word is. */
const traitsOf = (text: string, from: Token, creates: boolean) => {
  const traits = {
    changes: false,
    returning: false,
    plain: true,
    calls: false,
    session: false,
    table: false
  }
  let before = ""
  let last = ""
  for (let token = from; token.kind !== "end"; ) {
    const next = tokenAt(text, token.end)
    const isName = token.kind === "word" || token.kind === "name"
    const value = isName ? valueOf(text, token) : symbolOf(text, token)
    if (isName) {
      const called = symbolOf(text, next) === "("
      if (called) {
        const isSetting = value === "set_config" && !isLocal(text, next)
        traits.session ||= isSetting || takesSessionLock(value) || runsText(value)
        traits.changes ||= hasEffect(value)
        const schema = last === "." ? before : undefined
        if (token.kind === "name" || !isGrammar(value, last)) {
          traits.plain &&= isPostgresOwn(text, value, next, schema)
        }
        traits.calls ||= !isHarmless(value) || (schema ?? "pg_catalog") !== "pg_catalog"
      }
      if (creates && symbolOf(text, next) === "." && ownSchema.test(value)) traits.session = true
    }
    if (token.kind === "word" && last !== ".") {
      if (value === "uescape") traits.session = true
      if (writers.has(value)) traits.changes = true
      else if (value === "returning") traits.returning = true
      else if (value === "for" && lockStrengths.has(wordOf(text, next))) traits.changes = true
      if (value === "into" && last !== "insert" && last !== "merge") {
        traits.table = true
        const scoped = ["local", "global"].includes(wordOf(text, next)) ? tokenAt(text, next.end) : next
        const named = wordOf(text, scoped) === "table" ? tokenAt(text, scoped.end) : scoped
        traits.session ||= temporary.has(wordOf(text, scoped)) || ownSchema.test(valueOf(text, named))
      }
      if (temporary.has(value) && createsTemporary(before, last)) traits.session = true
    }
    before = last
    last = value
    token = next
  }
  return traits
}

type Traits = Readonly<ReturnType<typeof traitsOf>>

/** Whether `TEMP` behind these two words belongs to a `CREATE`. */
const createsTemporary = (before: string, last: string): boolean =>
  ["create", "replace"].includes(last === "local" || last === "global" ? before : last)

/** What is defined: the word behind CREATE and its OR REPLACE, ALTER or DROP. */
const definedKind = (text: string, from: number): string => {
  const first = tokenAt(text, from)
  if (wordOf(text, first) !== "or") return wordOf(text, first)
  return wordOf(text, tokenAt(text, tokenAt(text, first.end).end))
}

const effectsOf = (command: string, text: string, from: number, traits: Traits): SessionEffects => {
  if (preparing.has(command)) return "prepared statements"
  if (traits.session || sessionCommands.has(command)) return "settings"
  if (command === "declare") return holds(text, from) ? "settings" : "none"
  if (command === "set") return setEffects(text, from)
  if (command === "do") return mayHold(text, blockLeaves) ? "settings" : "none"
  return "none"
}

const changesCatalogueOf = (command: string, text: string, from: number, traits: Traits): boolean => {
  if (definers.has(command)) return !typeless.has(definedKind(text, from))
  return command === "do" ? mayHold(text, blockDefines) : readers.has(command) && traits.table
}

const floatDigits = /extra_float_digits/i
/** A `timezone` is a column of many tables, so it counts where something is set. */
const dateStyle = /datestyle|intervalstyle|^(?=.*\bset_config\b).*\btimezone/is
const timeZone = /^(?=.*\btime).*zone/is
const setters = new Set(["set", "reset", "do"])
const unnamedSetting = /\bset_config\b(?!"?\s*\(\s*'[^'\\]*'\s*,)/i
const execute = /\bexecute\b/i

/** Whether it may set a setting that is not written out, as `set_config($1, …)` and code that a `DO` puts together. */
const setsUnnamed = (command: string, text: string, from: number): boolean =>
  unnamedSetting.test(text) ||
  (command === "do" && execute.test(text)) ||
  (command === "reset" && wordOf(text, tokenAt(text, from)) === "all")

const writesRows = new Set(["insert", "update", "delete", "merge"])
const readsRows = new Set([...readers, "explain", "call", "fetch", "execute"])

const analyzeConforming = (text: string): Analysis => {
  let first = tokenAt(text, 0)
  while (symbolOf(text, first) === ";" || symbolOf(text, first) === "(") first = tokenAt(text, first.end)
  if (first.kind === "end") return { ...nothing, rejection: empty }
  const command = wordOf(text, first)
  if (text.includes("\0")) return { ...nothing, rejection: nul, command: command.toUpperCase() }
  const placeholders = placeholdersOf(text)
  if (command === "") return { ...nothing, placeholders }
  const rejection = rejectionOf(command, text, first.end)
  const copies = command === "copy" ? directionOf(text, first.end) : undefined
  if (rejection !== undefined && copies === undefined) {
    const isTransactionControl =
      controls.has(command) && wordOf(text, tokenAt(text, first.end)) !== "prepared"
    return { ...nothing, rejection, isTransactionControl, command: command.toUpperCase() }
  }

  let inner = command === "explain" ? afterExplain(text, first.end) : first
  while (symbolOf(text, inner) === "(") inner = tokenAt(text, inner.end)
  const executed = wordOf(text, inner)
  const traits = traitsOf(text, inner, executed === "create")
  const sessionEffects = effectsOf(executed, text, inner.end, traits)
  const isUnnamed = setsUnnamed(executed, text, inner.end)
  const isRead = readers.has(executed) && !traits.changes && sessionEffects === "none"
  const returnsRows = readsRows.has(command) || (writesRows.has(command) && traits.returning)
  return {
    rejection,
    isTransactionControl: false,
    command: command.toUpperCase(),
    isRead,
    callsFunctions: traits.calls,
    isPlainRead: isRead && traits.plain && command !== "explain",
    sessionEffects,
    setsFloatDigits: isUnnamed || floatDigits.test(text),
    setsDateStyle: isUnnamed || dateStyle.test(text) || (setters.has(executed) && timeZone.test(text)),
    setsSearchPath: /search_path/i.test(text) || (executed === "set" && /\bschema\b/i.test(text)),
    changesCatalogue: changesCatalogueOf(executed, text, inner.end, traits),
    placeholders,
    copies,
    returnsRows,
    mayReturnRecord:
      returnsRows && command !== "explain" && command !== "show" && (traits.calls || mayReturnRecord(text))
  }
}

const weight: Readonly<Record<SessionEffects, number>> = { none: 0, settings: 1, "prepared statements": 2 }

/** What two readings of one text show together: the worse of each. What words show that stand in no string is the same in both. */
const worse = (left: Analysis, right: Analysis): Analysis => ({
  ...right,
  rejection: left.rejection ?? right.rejection,
  copies: left.copies === right.copies ? left.copies : undefined,
  isRead: left.isRead && right.isRead,
  callsFunctions: left.callsFunctions || right.callsFunctions,
  isPlainRead: left.isPlainRead && right.isPlainRead,
  sessionEffects:
    weight[left.sessionEffects] < weight[right.sessionEffects] ? right.sessionEffects : left.sessionEffects,
  changesCatalogue: left.changesCatalogue || right.changesCatalogue,
  placeholders: Math.max(left.placeholders, right.placeholders),
  returnsRows: left.returnsRows || right.returnsRows,
  mayReturnRecord: left.mayReturnRecord || right.mayReturnRecord
})

/**
 * What the text of a statement shows. Pure; `StatementCache` keeps what it gives. Whether a backslash before a quote escapes
 * it is for the session to say, by `standard_conforming_strings`: such a text is read both ways.
 */
export const analyze = (text: string): Analysis => {
  const conforming = analyzeConforming(text)
  return text.includes("\\'") ? worse(conforming, analyzeConforming(asConforming(text))) : conforming
}
