/** The tests of the collection and of transactions, each in a sandbox in place of a database of its own. */
import { inSandboxes } from "./support/sandbox.ts"

const files = [
  "collection",
  "collection-filters",
  "collection-injection",
  "collection-refusals",
  "collection-schema",
  "collection-tables",
  "bulk",
  "bulk-stream",
  "bank",
  "client",
  "client.reserve",
  "locks",
  "stream",
  "trans",
  "trans.failures",
  "transaction",
  "transaction.asyncpg",
  "transaction.begin",
  "transaction.cutoff",
  "transaction.lost",
  "transaction.nested",
  "transaction.options",
  "transaction.plans",
  "transaction.retry",
  "transaction.swallowed"
]

/** Tests of what a sandbox cannot be, by the reason. */
const exceptions = {
  "looks on from another connection while a transaction is open, and a sandbox has one at a time": [
    "no more than a few megabytes are on the way, however long the batch",
    "trans interrupted in a statement is cancelled on the server and undone, and the connection is fit",
    "trans interrupted in COMMIT is done or undone, never open",
    "waiting for a connection, an interrupted trans leaves the line",
    "a row that is read whole has its values under their names, also behind a change of its table",
    "a connection lost in COMMIT: the outcome is unknown, and it is not for trying again",
    "a backend that is terminated in a statement: nothing took effect, and it may run again",
    "a connection lost before COMMIT was sent: nothing took effect, and it may run again",
    "all of it holds with pipelining",
    "all of it holds without pipelining",
    "what is done inside is seen inside at once, outside after the end, or never",
    "the connection of a transaction is one of the pool, waited for like any",
    "stores nothing when it is interrupted while the server works, or the connection is lost",
    "a handle joins the client's, and the client a handle's",
    "a reserved connection ends what a fiber has under way on it when its scope closes",
    "withLock lets one in at a time",
    "tryLock runs or does not, at once",
    "failure, defect, interruption and a lost connection free the lock",
    "the lock and what is done under it are one transaction",
    "a key is a text, a whole number or a bigint of 64 bits; others are refused, and nothing is sent",
    "a slow consumer blocks the server, and few bytes wait in memory",
    "an early end, a failing and an interrupted consumer cancel on the server",
    "a transaction interrupted before, in and between statements is rolled back when its fiber has ended",
    "waiting for a connection, an interrupted transaction leaves the line",
    "a transaction interrupted in COMMIT is cancelled on the server and undone",
    "a connection lost in COMMIT: the outcome is unknown, and nobody tries again",
    "a backend that is ended in COMMIT leaves the outcome unknown, and the error is not retryable",
    "a single write whose backend is ended while it commits is not reported as done",
    "a failing transaction does not wait for the statement of a fiber that it forked",
    "a statement that is interrupted inside spoils the inner one only",
    "trans inside a transaction gives the new rows, and the transaction goes on",
    "another fiber's change of the catalogue does not stop a stream"
  ],
  "is about transactions of several connections that conflict": [
    "money is neither made nor lost",
    "a transaction with retry runs again on serialization failures and deadlocks",
    "a transaction with retry runs again when a deadlock chose it"
  ],
  "asks the server for the isolation of the transaction, which is that of the sandbox's": [
    "test_isolation_level: by level, and within the default of the session",
    "options of a transaction are what the server sees",
    "the standard client's way to begin works for handles too, where they ask for nothing"
  ],
  "counts the server's sessions, of which a sandbox has one": [
    "stores nothing when it is interrupted, and leaves no transaction behind",
    "a layer opens nothing until its client is used",
    "serves handles and clients, by layer too",
    "a statement whose types are asked for when its pool is ended does not begin"
  ],
  "ends the server's session, which is the sandbox's": [
    "a backend that ends in the middle is a typed error",
    "a backend that ends between or in statements: nothing took effect, and it may run again",
    "a transaction with retry runs again on nothing else"
  ],
  "listens, which is refused": [
    "arrive, and the connection that listened is clean afterwards",
    "a listener whose connection is lost fails"
  ]
}

/** They pass too, and take half of the time: `SUITES=all` runs them. */
const slow = {
  "takes long, and runs with SUITES=all": [
    "find keeps what the filter keeps",
    "the server takes hostile words as values and as names of columns that do not exist",
    "a fiber of a transaction that is interrupted at any moment leaves the connection fit"
  ]
}

inSandboxes(
  files,
  (file) => import(`./${file}.test.ts`),
  process.env.SUITES === "all" ? exceptions : { ...exceptions, ...slow }
)
