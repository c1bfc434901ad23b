/**
 * The errors of a transaction that did not end as its caller meant it to: each says whether it may run again.
 */
import { ConnectionError, type SqlError, UnknownError } from "effect/sql/SqlError"
import { fieldsOf, finish } from "../errors/BuildError.ts"
import { stringOf, unknownOutcome } from "../errors/ConnectionErrors.ts"
import { notReturned, type PoolError, refused } from "../errors/PoolError.ts"
import { isStatementMode } from "../errors/Reasons.ts"

/** The story so far, without its advice on the single statement. */
const storyOf = (error: SqlError): string =>
  error.message
    .split("\n")
    .filter((line) => line !== unknownOutcome)
    .join("\n")

/** The connection was lost before `COMMIT` was sent. */
export const undone = (error: SqlError): SqlError =>
  finish(
    (message) =>
      new ConnectionError({ cause: error.reason.cause, message, operation: error.reason.operation }),
    [
      "The connection was lost in a transaction, before COMMIT was sent: nothing of it took effect. Run all of it again.",
      storyOf(error)
    ],
    !isStatementMode(error)
  )

/** The connection was lost and `COMMIT` was on its way. Not retryable: repeating could do the work twice. */
export const unknown = (error: SqlError): SqlError =>
  finish(
    (message) =>
      new ConnectionError({
        cause: fieldsOf(message, { code: "08007", condition: "transaction_resolution_unknown" }),
        message,
        operation: "commit"
      }),
    [
      "The connection was lost during COMMIT, so it is unknown whether the transaction took effect: look before you repeat it.",
      storyOf(error)
    ],
    false
  )

/** The server refused `BEGIN`; the statement that was sent with it did not run. */
export const notBegun = (error: SqlError): SqlError =>
  finish(
    (message) => new UnknownError({ cause: error.reason.cause, message, operation: "begin" }),
    ["The server refused to begin the transaction, so nothing of it took effect.", storyOf(error)],
    error.isRetryable
  )

/** The server ended the transaction before `COMMIT` was sent: a cancel hit `BEGIN`, or a procedure ended it. */
export const lostTransaction = (): SqlError =>
  finish(
    (message) => new UnknownError({ cause: new Error(message), message, operation: "query" }),
    [
      "The transaction is no longer open on the server, so nothing more of it is sent.",
      "Run all of it again."
    ],
    false
  )

/** Its end came when a statement of it had failed, so it could only be rolled back. */
const failedBefore = (what: string, instead: string): SqlError =>
  finish(
    (message) =>
      new UnknownError({
        cause: fieldsOf(message, { code: "25P02", condition: "in_failed_sql_transaction" }),
        message,
        operation: "commit"
      }),
    [`${what}, because a statement of it had failed and that failure was caught.`, instead]
  )

/** A nested transaction came to its end when a statement of it had failed. */
export const rolledBackInside = (): SqlError =>
  failedBefore(
    "The nested transaction was rolled back",
    "Let the failure reach the nested transaction, or put what may fail into one of its own inside."
  )

/** `COMMIT` answered `ROLLBACK`. */
export const rolledBack = (): SqlError =>
  failedBefore(
    "COMMIT rolled the transaction back",
    "Let the failure reach the transaction, or put what may fail into a transaction of its own inside: that is a savepoint."
  )

/** A value of a result could not be given, when the transaction had committed. */
export const committed = (error: SqlError, count: number): SqlError =>
  finish(
    (message) => new UnknownError({ cause: error.reason.cause, message, operation: error.reason.operation }),
    [error.message, `All ${count} statements of the transaction are committed: do not repeat it.`],
    false
  )

/** A fiber or a stream that was started in a transaction, or in a nested one, outlived it. */
export const over = (): PoolError =>
  refused(
    "The statement was not sent: the transaction that its fiber was forked or its stream was opened in has ended. End both inside the transaction, start them outside, or use afterCommit."
  )

/** A stream's cursor went with the savepoint in which it was declared. */
export const cursorGone = (): PoolError =>
  notReturned(
    "The rest of the rows was not read: the nested transaction that the stream was opened in was rolled back, and its cursor with it. Read the stream to its end inside, or open it outside."
  )

/** A stream that a `COPY` of a transaction reads has asked for that transaction's connection. */
export const copying = (): PoolError =>
  refused(
    "The statement was not sent: the stream that it belongs to is being copied into a table, and the COPY has the connection of the transaction to itself. Read the rows before, outside of the transaction, or store them by insertStream."
  )

/** A fiber waited for the connection of its transaction while another fiber's nested transaction had it. */
export const waited = (millis: number): PoolError =>
  refused(
    `The statement was not sent: another fiber of the same transaction kept the connection busy for longer than acquireTimeout, ${millis} ms. A nested transaction keeps it until it ends, so it must not wait for a fiber of the outer one.`
  )

/** Whether the error is the server's answer. Without one, nothing is known but that something was sent. */
export const isAnswer = ({ reason: { cause } }: SqlError): boolean => stringOf(cause, "severity") === "ERROR"
