/**
 * Decodes those fields of a struct that are given, in the order in which they are declared. Used for settings and for libpq's
 * words: there are dozens of each and few are given, so the others cost nothing.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"

/** The first rule that is broken. It never holds the value. */
export interface Broken {
  readonly name: string
  readonly rule: string
}

const rulesOf = SchemaIssue.makeFormatterStandardSchemaV1()

export const decodeGiven = (
  fields: Readonly<Record<string, Schema.Codec<unknown, unknown>>>,
  given: Readonly<Record<string, unknown>>
): Result.Result<Readonly<Record<string, unknown>>, Broken> => {
  const decoded: Record<string, unknown> = {}
  for (const name in fields) {
    if (!Object.hasOwn(given, name)) continue
    const result = Schema.decodeUnknownResult(fields[name]!)(given[name])
    if (Result.isFailure(result)) {
      return Result.fail({ name, rule: rulesOf(result.failure.issue).issues[0]?.message ?? "is wrong" })
    }
    decoded[name] = result.success
  }
  return Result.succeed(decoded)
}
