/** The mutations: each breaks one rule of the pool or of transactions, and the tests that should notice it. */
export interface Mutation {
  readonly rule: string
  readonly file: string
  readonly from: string
  readonly to: string
  readonly tests: ReadonlyArray<string>
}

const mutation = (
  rule: string,
  file: string,
  from: string,
  to: string,
  ...tests: ReadonlyArray<string>
): Mutation => ({ rule, file, from, to, tests })

export const mutations: ReadonlyArray<Mutation> = [
  mutation(
    "a read shares only after its text has shown itself short",
    "pool/Sharing.ts",
    "runs >= minRuns && longShare < maxLongShare",
    "longShare < maxLongShare",
    "pool.sharing-rule"
  ),
  mutation(
    "no read shares a connection that is asked whether it lives",
    "pool/Acquire.ts",
    "            connection.isExclusive = true\n            run(Effect.flatMap(answered",
    "            run(Effect.flatMap(answered",
    "pool-asked"
  ),
  mutation(
    "nobody queues behind a long statement",
    "pool/Sharing.ts",
    "now - connection.busySince < longRunningMillis",
    "true",
    "pool.sharing-rule"
  ),
  mutation(
    "a busy connection of one caller is not shared",
    "pool/Sharing.ts",
    "  !connection.isExclusive &&\n  !connection.isDraining",
    "  !connection.isDraining",
    "pool.sharing-rule"
  ),
  mutation(
    "quick reads share although another is idle only when the loop is busy",
    "pool/Sharing.ts",
    "const joins = isLoopHalfBusy && expectedMillis < quickMillis",
    "const joins = expectedMillis < quickMillis",
    "pool.sharing-rule"
  ),
  mutation(
    "an expired connection is replaced when it comes back",
    "pool/Acquire.ts",
    'else if (evict.isExpired(connection)) run(evict.close(connection, "expired"))\n',
    "",
    "timers",
    "pool-healing"
  ),
  mutation(
    "an abandoned statement's connection is not lent as it is",
    "pool/Reset.ts",
    "  !connection.isAbandoned &&\n",
    "",
    "interruption",
    "pool-sharing"
  ),
  mutation(
    "a session that a text changed is reset",
    "pool/Reset.ts",
    '  connection.sessionEffects === "none" &&\n',
    "",
    "guards",
    "locks"
  ),
  mutation(
    "an open transaction does not reach the next caller",
    "pool/Reset.ts",
    'if (isInTransaction(connection)) yield* ask(session, "ROLLBACK")',
    "",
    "guards",
    "client",
    "interruption"
  ),
  mutation(
    "the registry's limit is never passed",
    "registry/ConnectionBudget.ts",
    "if (used >= max) return false",
    "if (used > max) return false",
    "limit"
  ),
  mutation(
    "the connection that is idle longest makes room",
    "registry/ConnectionBudget.ts",
    "const oldest = idle.values().next()",
    "const oldest = Array.from(idle).reverse().values().next()",
    "limit",
    "budget-turns",
    "tenants"
  ),
  mutation(
    "pools that wait get their turns",
    "registry/ConnectionBudget.ts",
    "if (next !== requester) return true",
    "if (next !== requester) return false",
    "budget-turns",
    "limit",
    "tenants"
  ),
  mutation(
    "a write whose connection was lost is not sent again",
    "execute/Resend.ts",
    'return analysis.isPlainRead ? "elsewhere" : "fail"\n    case',
    'return "elsewhere"\n    case',
    "pool-healing",
    "errors.connection",
    "execute.resend"
  ),
  mutation(
    "what was refused for something remembered is sent once more",
    "execute/Resend.ts",
    'return usedMemory && wasStale(exchange) ? "anew" : "fail"',
    'return "fail"',
    "transaction.plans",
    "types.sessions",
    "pool-healing"
  ),
  mutation(
    "nothing is sent again inside a transaction",
    "execute/Resend.ts",
    'if (inTransaction || attempts >= maxAttempts) return "fail"',
    'if (attempts >= maxAttempts) return "fail"',
    "transaction.lost",
    "transaction.plans",
    "execute.resend"
  ),
  mutation(
    "the outcome of a lost COMMIT is unknown, and not retryable",
    "transaction/Commit.ts",
    "return end === undefined ? error : TransactionErrors.unknown(error)",
    "return error",
    "transaction.lost"
  ),
  mutation(
    "a COMMIT that rolled back is an error",
    "transaction/Commit.ts",
    'return commandOf(exchange) === "ROLLBACK" ? TransactionErrors.rolledBack() : undefined',
    "return undefined",
    "transaction.swallowed",
    "transaction"
  ),
  mutation(
    "a nested transaction that failed is rolled back to its savepoint",
    "transaction/Savepoint.ts",
    "if (!wasSent ||",
    "if (true ||",
    "transaction.nested"
  ),
  mutation(
    "a nested transaction whose failure was caught inside did not take effect",
    "transaction/Savepoint.ts",
    'transaction.connection.session.status() === "failed" && !isUnsent(transaction, level)',
    "false",
    "transaction.swallowed",
    "transaction.nested"
  ),
  mutation(
    "fibers of one transaction take turns",
    "transaction/Mutex.ts",
    "if (mutex.holder !== undefined) return undefined",
    "",
    "transaction.nested",
    "transaction",
    "interruption"
  ),
  mutation(
    "effects of a nested transaction that was rolled back do not run after the commit",
    "transaction/Savepoint.ts",
    "const undone = Effect.andThen(undo(transaction",
    "outer.afterCommit.push(...level.afterCommit)\n          const undone = Effect.andThen(undo(transaction",
    "transaction.nested",
    "transaction"
  ),
  mutation(
    "a turn is given back whatever step is interrupted",
    "transaction/Mutex.ts",
    "Effect.uninterruptibleMask((restore) => {",
    "Effect.suspend(() => {\n    const restore: Restore = (effect) => effect",
    "interruption.steps"
  ),
  mutation(
    "a statement whose types are asked for is under one Sync with its BEGIN",
    "execute/Execute.ts",
    "const question = Effect.ignore(",
    "before()\n  const question = Effect.ignore(",
    "transaction.begin"
  ),
  mutation(
    "a connection is given back when its caller is interrupted in the step after",
    "pool/Pool.ts",
    "if (isRegistering) queueMicrotask(",
    "if (false) queueMicrotask(",
    "interruption.steps"
  ),
  mutation(
    "a COPY that is given up before its data are asked for ends",
    "execute/CopyIn.ts",
    "if (!isOver()) write(session.writer)",
    "if (isAsked && !isOver()) write(session.writer)",
    "copy.interrupted"
  )
]
