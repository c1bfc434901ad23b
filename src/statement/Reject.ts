/**
 * Statements that are never sent, since they would leave a pooled connection in a state that its next borrower
 * has to suffer: each with what was refused, why, and what to use instead.
 */
import { type Direction, directionOf } from "./CopyStatement.ts"
import { tokenAt, wordOf } from "./Scan.ts"

const opening = (what: string): string =>
  `${what} was not sent: the transaction would stay open on a pooled connection and take in the statements of its next borrower. ` +
  "Use trans([...]) for statements that are known, or transaction(effect) for a program."

const ending = (what: string): string =>
  `${what} was not sent: each statement takes a connection from the pool, so this one would end another borrower's transaction or none. ` +
  "trans([...]) and transaction(effect) commit when they succeed and roll back when they fail."

const savepoint = (what: string): string =>
  `${what} was not sent: each statement takes a connection from the pool, and a savepoint lives on one connection only. ` +
  "Use transaction(effect) inside transaction(effect): the inner one is a savepoint, rolled back alone when it fails."

const twoPhase = (what: string): string =>
  `${what} was not sent: a pool does not carry two-phase commit. ` +
  "Use trans([...]) or transaction(effect), or a connection of its own for prepared transactions."

const copies: Readonly<Record<Direction, string>> = {
  in:
    "COPY … FROM STDIN was not sent: its data come from a stream. " +
    "Use copyFrom of a database's or table's handle, or insertMany(rows) and insertStream(stream) of a table's.",
  out:
    "COPY … TO STDOUT was not sent: it gives data and no rows. " +
    "Use copyTo of a database's or table's handle, or stream for rows."
}

const listening = (what: string): string =>
  `${what} was not sent: a notification comes over the connection that listens, and a pooled one is somebody else's by then. ` +
  "Use pgdb.listen(channel), a stream of notifications."

/** For a text without a statement: nothing, or only comments, white space and semicolons. */
export const empty =
  "An empty statement was not sent: the text holds no SQL. Pass one statement, for instance select 1."

/** For a text that the protocol would cut off in its middle. */
export const nul =
  "The statement was not sent: its text holds a NUL character (\\u0000), which Postgres cannot read. Remove it; a parameter of type bytea may hold it."

/** For a line of a file that psql takes as a command to itself. */
export const psql =
  "A backslash begins a command of psql, which no server knows: take it out of the file, or run the file by psql."

/** By the first word, whatever follows. */
const byCommand: ReadonlyMap<string, string> = new Map([
  ["begin", opening("BEGIN")],
  ["start", opening("START TRANSACTION")],
  ["commit", ending("COMMIT")],
  ["end", ending("END")],
  ["abort", ending("ABORT")],
  ["rollback", ending("ROLLBACK")],
  ["savepoint", savepoint("SAVEPOINT")],
  ["release", savepoint("RELEASE SAVEPOINT")],
  ["listen", listening("LISTEN")],
  ["unlisten", listening("UNLISTEN")]
])

/**
 * Why the statement whose first word is `command` (lower case, ending at `from`) is not sent.
 */
export const rejectionOf = (command: string, text: string, from: number): string | undefined => {
  if (command === "copy") {
    const direction = directionOf(text, from)
    return direction === undefined ? undefined : copies[direction]
  }
  const second = tokenAt(text, from)
  const word = wordOf(text, second)
  if (command === "prepare") {
    const isNamed = word === "transaction" && tokenAt(text, second.end).kind === "string"
    return isNamed ? twoPhase("PREPARE TRANSACTION") : undefined
  }
  if (word === "prepared" && (command === "commit" || command === "rollback")) {
    return twoPhase(`${command.toUpperCase()} PREPARED`)
  }
  if (command === "rollback") {
    const isNoise = word === "work" || word === "transaction"
    const to = isNoise ? wordOf(text, tokenAt(text, second.end)) : word
    if (to === "to") return savepoint("ROLLBACK TO SAVEPOINT")
  }
  return byCommand.get(command)
}
