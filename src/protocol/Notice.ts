/**
 * What the server says beside its answers: notices and warnings, of statements (`raise notice`, `create table if not exists`)
 * and of the connection itself.
 */
import type { ServerFields } from "./MessageReader.ts"

/** A notice of the server, with the fields of its protocol. */
export interface Notice {
  /** `DEBUG`, `LOG`, `INFO`, `NOTICE` or `WARNING`. */
  readonly severity: string
  /** The SQLSTATE: `00000` where there is nothing to say. */
  readonly code: string
  readonly message: string
  readonly detail?: string | undefined
  readonly hint?: string | undefined
  /** In which function and line, for one that a function raises. */
  readonly where?: string | undefined
  readonly schema?: string | undefined
  readonly table?: string | undefined
  readonly column?: string | undefined
  readonly dataType?: string | undefined
  readonly constraint?: string | undefined
}

export const fromFields = (fields: ServerFields): Notice => ({
  ...fields,
  // A pooler's own notices lack the first.
  severity: fields.severityUnlocalized ?? fields.severity ?? "NOTICE",
  code: fields.code ?? "00000",
  message: fields.message ?? ""
})
