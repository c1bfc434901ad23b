/** A suite measures what is not a load on a connection: start-up, memory, costs in one process, many databases. */
import type { Context } from "../run.ts"

/** A table of the report: the first row is its head, the first column names what was measured. */
export interface Section {
  readonly title: string
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
  readonly note?: string
}

export interface Suite {
  readonly name: string
  /** Whether a run without names includes it, and the quick run. */
  readonly always: boolean
  readonly quick: boolean
  readonly run: (context: Context) => Promise<ReadonlyArray<Section>>
}
