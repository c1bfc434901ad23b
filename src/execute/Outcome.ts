/**
 * What a statement gives.
 */

/** A row without a declared type: a plain object keyed by column name. */
export interface Row {
  readonly [column: string]: unknown
}

/** What a statement did. */
export interface Outcome {
  /** The first word of the server's command tag: `INSERT`, `SELECT`, `CREATE` … */
  readonly command: string
  /** How many rows it returned or touched. */
  readonly rowCount: number
  readonly rows: ReadonlyArray<Row>
}
