/** Why a peer is ahead where it is: shown in the results beside the figure. */
import type { Operation } from "./data.ts"

export const notes: Readonly<Record<string, { readonly [name in Operation | "any"]?: string }>> = {
  "pgbench simple": { any: "A C program that throws the rows away: the limit, not a choice." },
  "pgbench prepared": { any: "A C program that throws the rows away: the limit, not a choice." },
  "pgbench pipelined": { any: "A C program that throws the rows away: the limit, not a choice." },
  "asyncpg copy": {
    any: "`COPY` skips the planner and the executor's insert path; the driver under this package has no `COPY`."
  },
  asyncpg: {
    rows1000: "Its rows are C records that are decoded in C; a plain object per row is made of none of them.",
    any: "Its protocol is written in C."
  },
  original: { rows1000: "asyncpg's rows, decoded in C." },
  "pg pipeline": {
    any: "One lone client: no pool to ask, no isolation of callers, no cancelling, and it stops all callers when one statement is slow (see the mix)."
  }
}
