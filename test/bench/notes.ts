/** Why a peer is ahead where it is: shown in the results beside the figure. */
import type { Operation } from "./data.ts"

/** A transaction of Effect: scopes, turns of fibers, savepoints and an end that holds under interruption. */
const plain =
  "It runs a callback between two statements. A transaction here is more than that: Effect's scopes, turns among forked fibers, savepoints, and an end that holds wherever a fiber is interrupted."

export const notes: Readonly<Record<string, { readonly [name in Operation | "any"]?: string }>> = {
  "pgbench simple": { any: "A C program that throws the rows away: the limit, not a choice." },
  "pgbench prepared": { any: "A C program that throws the rows away: the limit, not a choice." },
  "pgbench pipelined": { any: "A C program that throws the rows away: the limit, not a choice." },
  "asyncpg copy": {
    any: "Its writer of binary rows is written in C."
  },
  asyncpg: {
    rows1000: "Its rows are C records that are decoded in C; a plain object per row is made of none of them.",
    any: "Its protocol is written in C."
  },
  PgClient: {
    interactive:
      "The same transaction of Effect, without turns among forked fibers and without a look at each statement's text.",
    rows1000:
      "Here int8 and timestamps are read by rules of this package, which know of 2^53 and of infinity."
  },
  "PgClient multiplex": {
    interactive:
      "The same transaction of Effect, without turns among forked fibers and without a look at each statement's text.",
    rows1000:
      "Here int8 and timestamps are read by rules of this package, which know of 2^53 and of infinity.",
    any: "It fills one connection before it takes the next, so more statements go in one write, and all of them wait behind a slow one (see the mix); a write is not cancelled when its caller is interrupted."
  },
  pg: { interactive: plain },
  "pg named": { interactive: plain },
  postgres: { interactive: plain },
  "pg-promise": {
    interactive: plain,
    any: "Promises instead of fibers; its statements are not cancelled when their caller leaves."
  },
  kysely: { interactive: plain },
  original: { rows1000: "asyncpg's rows, decoded in C." },
  "pg pipeline": {
    any: "One lone client: no pool to ask, no isolation of callers, no cancelling, and it stops all callers when one statement is slow (see the mix)."
  }
}
