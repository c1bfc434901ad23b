/**
 * The connection service file: sections of libpq's words by name. See the PostgreSQL manual, "The Connection Service File"
 * (libpq-pgservice).
 */
import { readFileSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import * as Result from "effect/Result"
import { attempt } from "../statement/PlainObject.ts"
import type { Texts } from "./ConnectionString.ts"

/** A service's words, and the file that they stand in. */
export interface Service {
  readonly file: string
  readonly texts: Texts
}

/** The files that are looked into, in their order. The variables that name them count for every handle. */
const filesOf = (given: string | undefined): ReadonlyArray<string> => {
  const { PGSERVICEFILE, PGSYSCONFDIR } = process.env
  const named = given ?? PGSERVICEFILE
  const own = named === undefined || named === "" ? join(homedir(), ".pg_service.conf") : named
  return PGSYSCONFDIR === undefined || PGSYSCONFDIR === ""
    ? [own]
    : [own, join(PGSYSCONFDIR, "pg_service.conf")]
}

/** The lines of a section. What stands behind its name is passed over, as in libpq. */
const sectionOf = (text: string, service: string): ReadonlyArray<string> | undefined => {
  const lines = text.split("\n").map((line) => line.trim())
  const begin = lines.findIndex((line) => line.startsWith(`[${service}]`))
  if (begin < 0) return undefined
  const end = lines.findIndex((line, index) => index > begin && line.startsWith("["))
  return lines
    .slice(begin + 1, end < 0 ? undefined : end)
    .filter((line) => line !== "" && !line.startsWith("#"))
}

const wordsOf = (lines: ReadonlyArray<string>): Result.Result<Texts, string> => {
  const words: Record<string, string> = {}
  for (const line of lines) {
    const [, name, value] = /^([^=]*?)\s*=\s*(.*)$/.exec(line) ?? []
    if (line.startsWith("ldap:")) return Result.fail("it asks an LDAP server, which this client does not")
    if (name === undefined || value === undefined) return Result.fail("one of its lines has no =")
    if (name === "service" || name === "servicefile") return Result.fail(`it names a ${name} in turn`)
    // The first of two counts, as in libpq.
    words[name] ??= value
  }
  return Result.succeed(words)
}

/** The words of a service, or why there are none. */
export const read = (service: string, given: string | undefined): Result.Result<Service, string> => {
  const files = filesOf(given)
  for (const file of files) {
    const text = attempt(() => readFileSync(file, "utf8"), "")
    const lines = sectionOf(text, service)
    if (lines !== undefined) return Result.map(wordsOf(lines), (texts) => ({ file, texts }))
  }
  return Result.fail(`there is no section [${service}] in ${files.join(" or ")}`)
}
