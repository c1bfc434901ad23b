/**
 * What a statement does in a few words, for spans, metrics and logs: its operations and what they are done to, in the order
 * and the spelling of the text, by OpenTelemetry's rules for `db.query.summary`. A word that is no command of Postgres's
 * says nothing, so that whatever a text begins with does not become a name.
 */
import { symbolOf, tokenAt, valueOf, wordOf } from "./Scan.ts"

export interface Summary {
  /** The command that the statement is, as it stands there: `select`, `create table`; of a `with` the one behind it. */
  readonly operation: string | undefined
  /** `insert shipments select orders`; empty where the text has no command. */
  readonly summary: string
}

/** The most characters of a summary. */
const longest = 255

const commands = new Set(
  `abort alter analyze begin call checkpoint close cluster comment commit copy create deallocate declare discard do drop end
  execute explain fetch grant import listen load lock move notify prepare reassign refresh reindex release reset revoke rollback
  savepoint security set show start truncate unlisten vacuum values table`.split(/\s+/)
)
const writers = new Set(["insert", "update", "delete", "merge"])
const definers = new Set(["create", "alter", "drop"])
/** Commands whose first name is what they are done to. */
const withTarget = new Set(
  "alter call copy create drop listen lock notify refresh reset set show table truncate unlisten".split(" ")
)
/** Words before what a definition is about, */
const modifiers = new Set(
  "or replace temp temporary global local unlogged unique recursive constraint event default".split(" ")
)
/** and those that belong to it. */
const twoWords = new Set(["materialized", "foreign", "access", "text", "user", "operator"])
/** Words before a name. */
const particles = new Set(
  "table only lateral materialized view concurrently session local if not exists into on for".split(" ")
)
/** What a statement, or one inside another, begins behind. */
const openers = new Set(["", "(", ")", ";", "explain", "analyze", "verbose", "as"])
const withFrom = new Set(["select", "delete", "update"])
const withUsing = new Set(["merge", "delete"])
/** Words that end a list of tables. */
const listEnds = new Set(
  "where group order having limit offset fetch for window union except intersect set values returning when".split(
    " "
  )
)

/** What is inside one pair of parentheses. */
interface Level {
  /** The command of the statement in there; empty before it, or where there is none. */
  command: string
  /** Queries that a `with` names stand before the statement. */
  isWith: boolean
  /** A comma leads to another table. */
  isList: boolean
}

const makeLevel = (): Level => ({ command: "", isWith: false, isList: false })

const plain = /^"[a-z_][a-z0-9_]*"$/

/** A name as it stands there, without quotes that it does not need. */
const nameOf = (raw: string): string => (plain.test(raw) ? raw.slice(1, -1) : raw)

/** Summarizes a statement. */
export const summarize = (text: string): Summary => {
  const parts: Array<string> = []
  const known = new Set<string>()
  const levels: Array<Level> = [makeLevel()]
  let operation: string | undefined
  let outermost = Number.POSITIVE_INFINITY
  let expectsName = false
  let isExplained = false
  let before = ""
  let length = -1
  let token = tokenAt(text, 0)
  const add = (part: string): void => {
    length += part.length + 1
    if (length <= longest) parts.push(part)
  }

  const begin = (raw: string, level: Level, command: string): void => {
    level.command = command
    level.isList = false
    if (levels.length < outermost) {
      outermost = levels.length
      operation = raw
    }
    add(raw)
  }

  /** What is defined, behind `create`, `alter` or `drop`; moves behind it. */
  const definition = (raw: string): string => {
    let next = tokenAt(text, token.end)
    while (modifiers.has(wordOf(text, next))) next = tokenAt(text, next.end)
    const words = [raw]
    for (let most = 1; words.length <= most && next.kind === "word"; next = tokenAt(text, next.end)) {
      // A user is defined, unless it is a mapping of one.
      if (wordOf(text, token) === "user" && wordOf(text, next) !== "mapping") break
      token = next
      words.push(text.slice(next.start, next.end))
      if (twoWords.has(wordOf(text, next))) most = 2
    }
    return words.join(" ")
  }

  /** Adds the name that begins here, dots included. */
  const readName = (): void => {
    let { end } = token
    for (;;) {
      const dot = tokenAt(text, end)
      const part = symbolOf(text, dot) === "." ? tokenAt(text, dot.end) : undefined
      if (part?.kind !== "word" && part?.kind !== "name") break
      end = part.end
    }
    const raw = text.slice(token.start, end).split(".").map(nameOf).join(".")
    if (end !== token.end || !known.has(valueOf(text, token))) add(raw)
  }

  for (; token.kind !== "end"; token = tokenAt(text, token.end)) {
    const level = levels[levels.length - 1] ?? makeLevel()
    // Behind a dot is a name, whatever it is called.
    const word = before === "." ? "" : wordOf(text, token)
    const symbol = symbolOf(text, token)
    const raw = text.slice(token.start, token.end)
    const isOpening = openers.has(before)
    const isFirst = level.command === "" && isOpening
    if (symbol === "(") {
      levels.push(makeLevel())
      expectsName = false
    } else if (symbol === ")") {
      if (levels.length > 1) levels.pop()
    } else if (symbol === "," && level.isList) expectsName = true
    else if (word === "with" && isFirst) level.isWith = true
    else if (word === "select") begin(raw, level, word)
    else if (writers.has(word) && isOpening) {
      begin(raw, level, word)
      expectsName = word === "update"
    } else if (commands.has(word) && isFirst && !level.isWith && !(isExplained && word === "analyze")) {
      isExplained = word === "explain"
      begin(definers.has(word) ? definition(raw) : raw, level, isExplained ? "" : word)
      expectsName = withTarget.has(word)
    } else if (
      (word === "from" && before !== "distinct" && withFrom.has(level.command)) ||
      (word === "using" && withUsing.has(level.command)) ||
      (word === "join" && level.command !== "") ||
      (word === "into" && level.command !== "")
    ) {
      expectsName = true
      level.isList = word === "from"
    } else if (expectsName && (token.kind === "name" || (word !== "" && !particles.has(word)))) {
      expectsName = false
      readName()
    } else if (listEnds.has(word)) level.isList = false
    else if (level.isWith && level.command === "") known.add(valueOf(text, token))
    before = word || symbol || token.kind
  }
  return { operation, summary: parts.join(" ") }
}
