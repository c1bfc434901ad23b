/**
 * The password file: lines of `host:port:database:user:password`, the first that matches counts. Looked into for each
 * connection without a password. See the PostgreSQL manual, "The Password File" (libpq-pgpass).
 */
import { readFile, stat } from "node:fs/promises"
import { homedir } from "node:os"
import { join } from "node:path"
import type { Address } from "../protocol/Link.ts"

/** A password file that was looked into. */
export interface PasswordFile {
  readonly file: string
  /** Why it was not used, though it is there. */
  readonly problem: string | undefined
  readonly passwordOf: (address: Address, database: string, username: string) => string | undefined
}

/** Its own, that of the variable, or the one in the home folder. */
const fileOf = (given: string | undefined): string => {
  const named = given ?? process.env.PGPASSFILE
  if (named !== undefined && named !== "") return named
  return process.platform === "win32"
    ? join(process.env.APPDATA ?? homedir(), "postgresql", "pgpass.conf")
    : join(homedir(), ".pgpass")
}

/** A backslash takes the next character as it stands; at the end it is one. */
const plain = (text: string): string => text.replaceAll(/\\(.)/g, "$1")

/**
 * What stands behind the first field, where that is `*` or this text. As in libpq a colon in it needs no backslash: many write
 * addresses of IPv6 without.
 */
const behind = (line: string | undefined, text: string): string | undefined => {
  if (line === undefined) return undefined
  if (line.startsWith("*:")) return line.slice(2)
  let at = 0
  for (const character of text) {
    if (line[at] === "\\") at++
    if (!line.startsWith(character, at)) return undefined
    at += character.length
  }
  return line[at] === ":" ? line.slice(at + 1) : undefined
}

/** The folders of a local server that needs no host: libpq looks for their sockets under `localhost`. */
const usualFolders: ReadonlyArray<string> = ["/tmp", "/run/postgresql", "/var/run/postgresql"]

const passwordIn = (
  lines: ReadonlyArray<string>,
  { host, path, port }: Address,
  database: string,
  username: string
): string | undefined => {
  const hosts = path !== undefined && usualFolders.includes(host) ? [host, "localhost"] : [host]
  for (const line of lines) {
    if (line.startsWith("#")) continue
    for (const name of hosts) {
      const rest = [name, String(port), database, username].reduce<string | undefined>(behind, line)
      // A colon needs no backslash in a password.
      if (rest !== undefined) return plain(rest)
    }
  }
  return undefined
}

/** Reads the password file; `undefined` where there is none that can be read. */
export const read = async (given: string | undefined): Promise<PasswordFile | undefined> => {
  const file = fileOf(given)
  const unused = (problem: string): PasswordFile => ({ file, problem, passwordOf: () => undefined })
  try {
    const about = await stat(file)
    if (!about.isFile()) return unused("it is not a plain file")
    if (process.platform !== "win32" && (about.mode & 0o077) !== 0) {
      return unused("others may read or write it; make it its owner's alone, chmod 600")
    }
    const lines = (await readFile(file, "utf8")).split(/\r?(?:\n|$)/)
    return {
      file,
      problem: undefined,
      passwordOf: (address, database, username) => passwordIn(lines, address, database, username)
    }
  } catch {
    return undefined
  }
}
