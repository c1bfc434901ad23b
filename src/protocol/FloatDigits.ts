/**
 * Whether a session prints all digits of a float, which it does not report by itself.
 */

/** `unknown` until it was asked. */
export type FloatDigits = "unknown" | "exact" | "short"

/** Before Postgres 12 sessions print too few digits unless `extra_float_digits` is set. */
const exactSince = 12

/** What is known of a session that nobody has set anything in, by its `server_version`. */
export const floatsOf = (parameters: ReadonlyMap<string, string>): FloatDigits => {
  const major = Number.parseInt(parameters.get("server_version") ?? "", 10)
  return major < exactSince ? "short" : "unknown"
}
