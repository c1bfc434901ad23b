/**
 * libpq's connection strings, as its words and their texts: a URL, or keywords and values.
 *
 * The grammar is that of the PostgreSQL manual, "Connection Strings" (libpq-connect), and of what `PQconninfoParse` makes
 * of it. What libpq takes by accident is refused: a URL with a `#`, or with an `@` that is not the one before the host, which
 * are names or passwords that were not percent-encoded.
 *
 * An error names the broken rule and not the string: a password may stand anywhere in it.
 */
import * as Result from "effect/Result"

/** Texts by libpq's words. */
export type Texts = Readonly<Record<string, string>>

type Read<A> = Result.Result<A, string>

const urlPrefix = /^postgres(?:ql)?:\/\//

/** Decodes one part of a URL: `%` escapes, and spaces around it that do not count. */
const decode = (raw: string, part: string): Read<string> => {
  const text = raw.replaceAll(/^ +| +$/g, "")
  if (text.includes(" ")) return Result.fail(`its ${part} has a space, which is written %20`)
  const wrong = /%(?![0-9a-f]{2})/i.test(text)
  if (wrong) return Result.fail(`its ${part} has a % that begins no escape; a % is written %25`)
  if (/%00/.test(text)) return Result.fail(`its ${part} has %00, which Postgres cannot take`)
  return Result.try({
    try: () => decodeURIComponent(text),
    catch: () => `its ${part} has escapes that are not UTF-8`
  })
}

/** One host of a URL and its port, and what follows. */
const hostAt = (rest: string): Read<readonly [host: string, port: string, rest: string]> => {
  const [, address, name] = /^(?:\[([^\]]*)\](?=[:/?,]|$)|(?!\[)([^:/?,]*))/.exec(rest) ?? []
  if (address === "") return Result.fail("its IPv6 address is empty")
  if (address === undefined && name === undefined) {
    return Result.fail("its IPv6 address has no ], or something else than a port behind it")
  }
  const behind = rest.slice(address === undefined ? name!.length : address.length + 2)
  const [whole = "", port = ""] = /^(?::([^/?,]*))?/.exec(behind) ?? []
  return Result.succeed([address ?? name ?? "", port, behind.slice(whole.length)])
}

/** The pairs behind the `?`. */
const parametersOf = (query: string): Read<Texts> =>
  Result.gen(function* () {
    const words: Record<string, string> = {}
    const pairs = query.split("&")
    if (pairs.at(-1) === "") pairs.pop()
    for (const pair of pairs) {
      const [name = "", text, ...more] = pair.split("=")
      if (text === undefined) return yield* Result.fail("a parameter has no =")
      if (more.length > 0) return yield* Result.fail("a parameter has two =; one in a value is written %3D")
      const word = yield* decode(name, "parameter's name")
      const value = yield* decode(text, word === "" ? "parameter" : word)
      // As in JDBC's URLs.
      if (word === "ssl" && value === "true") words.sslmode = "require"
      else words[word] = value
    }
    return words
  })

const strayAt =
  "it has an @ that does not stand right before the host: in a name or a password an @ is written %40, a / %2F, a : %3A and a ? %3F"
const atBehind =
  "it has an @ behind the ?, which libpq takes for the one before the host: write it %40, or write /? for ?"

const urlWords = (text: string): Read<Texts> =>
  Result.gen(function* () {
    if (text.includes("#"))
      return yield* Result.fail("it has a #, which is written %23 in a name or a password")
    const words: Record<string, string> = {}
    let rest = text.replace(urlPrefix, "")
    const [login] = /^[^@/]*@/.exec(rest) ?? []
    if (login !== undefined) {
      rest = rest.slice(login.length)
      const [, user = "", password = ""] = /^([^:]*):?(.*)@$/s.exec(login) ?? []
      if (user !== "") words.user = yield* decode(user, "user")
      if (password !== "") words.password = yield* decode(password, "password")
    }
    if (/^[^?]*@/.test(rest)) return yield* Result.fail(strayAt)
    if (login !== undefined && /\?[\w%]+=/.test(login)) return yield* Result.fail(atBehind)
    const hosts: Array<string> = []
    const ports: Array<string> = []
    do {
      const [host, port, behind] = yield* hostAt(hosts.length === 0 ? rest : rest.slice(1))
      hosts.push(host)
      ports.push(port)
      rest = behind
    } while (rest.startsWith(","))
    const host = yield* decode(hosts.join(","), "host")
    const port = yield* decode(ports.join(","), "port")
    if (host !== "") words.host = host
    if (port !== "") words.port = port
    const [, database = "", query = ""] = /^(?:\/([^?]*))?(?:\?(.*))?$/s.exec(rest) ?? []
    if (database !== "") words.dbname = yield* decode(database, "database")
    return { ...words, ...(yield* parametersOf(query)) }
  })

/** A keyword, `=`, and a value: quoted, or up to the next space; a backslash takes what follows as it stands. */
const pair = /[ \t-\r]*([^= \t-\r]*)[ \t-\r]*(=?)[ \t-\r]*('(?:[^'\\]|\\.)*(')?|(?:[^ \t-\r\\]|\\.?)*)/sy

const keywordWords = (text: string): Read<Texts> =>
  Result.gen(function* () {
    const words: Record<string, string> = {}
    pair.lastIndex = 0
    let count = 0
    while (/[^ \t-\r]/.test(text.slice(pair.lastIndex))) {
      count++
      const [, word = "", equals, value = "", closing] = pair.exec(text) ?? []
      if (equals !== "=") {
        return yield* Result.fail(`keyword ${count} has no = behind it; a value with a space stands in '…'`)
      }
      if (word === "") return yield* Result.fail(`there is no keyword before = ${count}`)
      if (value.startsWith("'") && closing === undefined) {
        return yield* Result.fail(`the value of keyword ${count} has no closing '`)
      }
      words[word] = (closing === undefined ? value : value.slice(1, -1)).replaceAll(/\\(.?)/gs, "$1")
    }
    return words
  })

/** Reads a connection string; fails with the rule that it breaks. */
export const parse = (text: string): Read<Texts> => {
  if (text === "") return Result.fail("it is empty")
  if (text.includes("\0")) return Result.fail("it holds a NUL character")
  if (urlPrefix.test(text)) return urlWords(text)
  if (/^[a-z][\w+.-]*:\/\//i.test(text)) {
    return Result.fail("it must begin with postgres:// or postgresql://")
  }
  return text.includes("=") ? keywordWords(text) : Result.fail("it cannot be parsed")
}
