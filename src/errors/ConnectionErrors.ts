/**
 * Errors of connections: one that could not be opened, and one that was lost. Each says where it was to go or what became of
 * the statement, and what to do.
 */
import * as Predicate from "effect/Predicate"
import type { SqlError } from "effect/sql/SqlError"
import { AuthenticationProblem } from "../protocol/Authentication.ts"
import type { LinkProblem } from "../protocol/LinkProblem.ts"
import type { SessionEnd } from "../protocol/Session.ts"
import { ServerRefusal, type StartupProblem } from "../protocol/Startup.ts"
import { fieldsOf, finish } from "./BuildError.ts"
import { conditionOf } from "./Conditions.ts"
import { reasonOf, type Tag } from "./Reasons.ts"
import { type About, serverError, statementPart } from "./ServerErrors.ts"

/** A property that is a non-empty string. */
export const stringOf = (value: unknown, key: string): string | undefined => {
  if (!Predicate.hasProperty(value, key)) return undefined
  const found = value[key]
  return typeof found === "string" && found !== "" ? found : undefined
}

const refusals: { readonly [code: string]: readonly [what: string, advice: string] } = {
  ECONNREFUSED: ["nothing listens there", "Check the settings host and port, and that the server runs."],
  ENOTFOUND: ["its host name has no address", "Check the setting host."],
  EAI_AGAIN: ["its host name could not be looked up", "Check the setting host and the name service."],
  ETIMEDOUT: [
    "it did not answer in time",
    "Check the settings host and port and what filters traffic on the way, or raise connectTimeout."
  ],
  EHOSTUNREACH: ["no route leads there", "Check the setting host and the network."],
  ENETUNREACH: ["no route leads there", "Check the setting host and the network."],
  ENOENT: ["there is no such socket", "Check the setting path, and that the server runs."],
  EACCES: ["the socket may not be opened", "Check the rights of the socket's folder."]
}

/** OpenSSL's reasons for not taking a certificate. */
const isCertificate = (code: string): boolean =>
  !/^ERR_(?:SSL|OSSL)/.test(code) &&
  /CERT|CRL|SIGNED|SIGNATURE|PATH_LENGTH|INVALID_(?:CA|PURPOSE)|HOSTNAME/.test(code)
const isHandshake = (code: string): boolean => /^(?:ERR_TLS|ERR_SSL|ERR_OSSL|EPROTO)/.test(code)
/** The server did not like this client's certificate, or that there was none. */
const isOurCertificate = (code: string): boolean =>
  /ALERT.*(?:CERTIFICATE|UNKNOWN_CA)|CERTIFICATE_REQUIRED/.test(code)

export const tookEffect = "The statement took effect."
export const unknownOutcome =
  "Whether the statement took effect is not known: repeat it only if that does no harm."

const build = (
  tag: Tag,
  operation: string,
  code: string | undefined,
  parts: ReadonlyArray<string | undefined>,
  isRetryable: boolean
): SqlError =>
  finish(
    (message) => {
      const condition = code === undefined ? undefined : conditionOf(code)
      const cause = fieldsOf(parts[0] ?? "", { code, condition })
      return reasonOf(tag, { cause, message, operation }, undefined)
    },
    parts,
    isRetryable
  )

/** As it goes on behind a colon: an abbreviation stays as it is. */
const lowerFirst = (text: string): string =>
  /^[A-Z]{2}/.test(text) ? text : `${text.charAt(0).toLowerCase()}${text.slice(1)}`

/** The line about an attempt that failed. */
interface Story {
  /** Behind the name of the server and a colon. */
  readonly why: string
  /** All of it in a sentence of its own, where that reads better. */
  readonly whole?: string
  readonly advice: string | undefined
  readonly code: string | undefined
  readonly isPermanent: boolean
}

const certificateAdvice = (code: string): string => {
  if (code === "CERT_REVOKED") return "Its authority has revoked it, by the lists of sslcrl and sslcrldir."
  if (code.includes("CRL"))
    return "Give a list that its authority signed and that is not out of date: sslcrl or sslcrldir."
  if (code === "CERT_HAS_EXPIRED") return "It has expired: the server needs a new one."
  return "Give the authority that signed it, ssl: { ca } or sslrootcert, and connect to a name that it is made out to."
}

const tlsStory = (code: string, server: string): Story | undefined => {
  if (isCertificate(code)) {
    return {
      why: `its TLS certificate was not accepted (${code})`,
      whole: `The TLS certificate of ${server} was not accepted (${code}).`,
      advice: certificateAdvice(code),
      code,
      isPermanent: true
    }
  }
  if (!isHandshake(code)) return undefined
  return {
    why: `no agreement on TLS (${code})`,
    whole: `${server} and this program could not agree on TLS (${code}).`,
    advice: isOurCertificate(code)
      ? "The server wants a certificate of this client that it can check: sslcert and sslkey, or ssl: { cert, key }."
      : undefined,
    code,
    isPermanent: true
  }
}

const linkStory = (problem: LinkProblem, server: string): Story => {
  const { code, isPermanent, message } = problem
  const tls = code === undefined || problem.advice !== undefined ? undefined : tlsStory(code, server)
  if (tls !== undefined) return tls
  const known = code === undefined ? undefined : refusals[code]
  // What this package found out itself has words of its own.
  const isSystems = stringOf(problem.cause, "syscall") !== undefined
  const why = isSystems && known !== undefined ? known[0] : lowerFirst(message)
  return {
    why: `${why}${code === undefined ? "" : ` (${code})`}`,
    advice: problem.advice ?? known?.[1],
    code,
    isPermanent
  }
}

const dot = (text: string): string => (/[?.]$/.test(text) ? text : `${text}.`)

const sessionSettings =
  "The server refused a setting of the session. Such settings stand in startupParameters, and in url or the environment as words of their own or in options."
/** A word of other libraries' URLs. */
const schemaWord =
  'A schema is chosen by search_path: "?search_path=…" in url, or startupParameters: { search_path: "…" }.'

/** Whether a server, or a pooler, took the client and not what it wants of its session. */
const isOfSessionSettings = ({
  fields: { code = "", message = "" },
  isAuthenticated
}: ServerRefusal): boolean =>
  message.includes("unsupported startup parameter") ||
  (isAuthenticated &&
    (/^(?:42704|22023|55P02|42601)$/.test(code) || (code === "42501" && message.includes("parameter"))))

/** The error of a connection that could not be opened. */
export const connectError = (problem: StartupProblem, about: About): SqlError => {
  const server = about.server ?? "the server"
  if (problem instanceof ServerRefusal) {
    const isSchema = problem.fields.message?.includes('"schema"') === true
    const note = isOfSessionSettings(problem) ? (isSchema ? schemaWord : sessionSettings) : about.note
    return serverError(problem.fields, { ...about, note, operation: "connect" })
  }
  if (problem instanceof AuthenticationProblem) {
    const what = `Could not connect to ${server}: ${problem.message}.`
    return build("AuthenticationError", "connect", undefined, [what, problem.advice, about.note], false)
  }
  const { advice, code, isPermanent, whole, why } = linkStory(problem, server)
  const what = whole ?? dot(`Could not connect to ${server}: ${why}`)
  return build("ConnectionError", "connect", code, [what, advice], !isPermanent)
}

/** A server that was tried, and why it was not taken. */
export interface Tried {
  readonly server: string
  readonly problem: StartupProblem
  /** What the password file has to do with it. */
  readonly note: string | undefined
}

const isLink = (problem: StartupProblem): problem is LinkProblem =>
  !(problem instanceof ServerRefusal) && !(problem instanceof AuthenticationProblem)

const storyOf = ({ problem, server }: Tried): Story =>
  isLink(problem)
    ? linkStory(problem, server)
    : { why: lowerFirst(problem.message), advice: undefined, code: undefined, isPermanent: false }

const lineOf = (tried: Tried): string => `  ${tried.server}: ${dot(storyOf(tried).why)}`

/**
 * The error of a connection that no server gave, host by host. A server that refused the client has the first word: it was the
 * last that was tried.
 */
export const openError = (tried: ReadonlyArray<Tried>, about: About, database: string): SqlError => {
  const last = tried.at(-1)
  if (last === undefined)
    return build("ConnectionError", "connect", undefined, ["There is no server to connect to."], false)
  if (tried.length === 1) return connectError(last.problem, { ...about, note: last.note })
  if (!isLink(last.problem)) {
    const before = tried.slice(0, -1).map(lineOf)
    const note = [...(last.note === undefined ? [] : [last.note]), "Tried before:", ...before].join("\n")
    return connectError(last.problem, { ...about, server: `"${database}" on ${last.server}`, note })
  }
  const stories = tried.map(storyOf)
  const advice = new Set(stories.map((story) => story.advice))
  const what = `Could not connect to "${database}" on any of ${tried.length} servers:`
  return build(
    "ConnectionError",
    "connect",
    stories.at(-1)?.code,
    [what, ...tried.map(lineOf), ...advice],
    stories.some((story) => !story.isPermanent)
  )
}

/** The error of a statement that was not sent, since its connection had ended: in the server's words if it had any. */
export const unsentError = (about: About, end?: SessionEnd): SqlError => {
  if (end?.farewell !== undefined) return serverError(end.farewell, about)
  const { server = "the server" } = about
  const what = `The connection to ${server} was already closed; the statement was not sent.`
  return build("ConnectionError", "query", undefined, [what, statementPart(about)], true)
}

/** The error of a statement that was under way when its connection was lost. `isHarmless`: it only reads. */
export const lostError = ({ cause, farewell }: SessionEnd, isHarmless: boolean, about: About): SqlError => {
  const { server = "the server" } = about
  const code = farewell?.code ?? stringOf(cause, "code")
  const closed = farewell?.message ?? "it was closed"
  const why =
    stringOf(cause, "code") ??
    (cause === undefined ? closed : `its messages could not be understood: ${cause.message}`)
  const what = `The connection to ${server} was lost while the statement was under way (${why}).`
  const advice = isHarmless ? undefined : unknownOutcome
  return build("ConnectionError", "query", code, [what, advice, statementPart(about)], isHarmless)
}

/** The error of a listener whose connection was lost. */
export const listenerError = (end: SessionEnd, about: About): SqlError => {
  if (end.farewell !== undefined) return serverError(end.farewell, { ...about, operation: "listen" })
  const code = stringOf(end.cause, "code")
  const why = code ?? end.cause?.message ?? "it was closed"
  const what = `The connection to ${about.server ?? "the server"} on which the pool listened was lost (${why}).`
  return build("ConnectionError", "listen", code, [what], true)
}

/** The error of a value that arrived and cannot be given: what became of its statement, and in `why` an error that stands behind it. */
export const unreadableError = (
  problem: Error,
  outcome: string | undefined,
  about: About,
  why?: SqlError
): SqlError => {
  const parts = [problem.message, why?.message, outcome, statementPart(about)]
  return build("UnknownError", "query", undefined, parts, false)
}

/** The error of a connection on which the setting `onConnect` failed. */
export const hookError = (error: unknown, server: string): SqlError => {
  const told = Predicate.hasProperty(error, "message") ? String(error.message) : String(error)
  const isRetryable = Predicate.hasProperty(error, "isRetryable") && error.isRetryable === true
  const what = `The setting onConnect failed on a new connection to ${server}:`
  return build("ConnectionError", "connect", undefined, [what, told], isRetryable)
}
