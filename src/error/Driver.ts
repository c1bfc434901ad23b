/**
 * Failures without a SQLSTATE: of the socket, of TLS, of the driver reading or writing. Their own words can hold a
 * parameter, so only the known and constant part of them is repeated.
 */
import type { SqlError } from "effect/sql/SqlError"
import type { Tag } from "./Reason.ts"

/** A failure in words of ours; `code` is Node's, as in `ECONNREFUSED`. */
export interface Story {
  readonly tag: Tag
  readonly message: string
  readonly advice: string | undefined
  readonly code: string | undefined
}

const property = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null && key in value ? Reflect.get(value, key) : undefined

/** A property that is a non-empty string. */
export const stringOf = (value: unknown, key: string): string | undefined => {
  const found = property(value, key)
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

const isCertificate = (code: string): boolean => /CERT|SIGNED|LEAF_SIGNATURE/.test(code)
const isHandshake = (code: string): boolean => /^(?:ERR_TLS|ERR_SSL|EPROTO)/.test(code)

export const unknownOutcome =
  "Whether the statement took effect is not known: repeat it only if that does no harm."

/** The constant part of a message: up to where a value could begin. */
const constantPart = (text: string): string => text.split(/[:"'`([{]|, received|\d/, 1)[0]!.trim()

const kindOf = (value: unknown): string =>
  value === null || value === undefined
    ? "NULL"
    : Array.isArray(value)
      ? "an array"
      : typeof value === "object"
        ? value instanceof Date
          ? "a Date"
          : value instanceof Uint8Array
            ? "bytes"
            : "an object"
        : `a ${typeof value}`

/** A parameter told by its JavaScript type only, for instance `$2, a string`. */
export const describe = (params: ReadonlyArray<unknown> | undefined, number: number): string =>
  params !== undefined && number <= params.length ? `$${number}, ${kindOf(params[number - 1])}` : `$${number}`

const encoding = (cause: unknown, params: ReadonlyArray<unknown> | undefined): Story => {
  const why = constantPart(stringOf(cause, "message") ?? "").replace(/ for(?: \S*)?$/, "")
  const kinds = (params ?? []).slice(0, 20).map((_, index) => describe(params, index + 1))
  return {
    tag: "UnknownError",
    message: `A parameter cannot be sent${why === "" ? "" : `: ${why}`}. Nothing was sent.`,
    advice: kinds.length === 0 ? undefined : `The parameters are ${kinds.join("; ")}.`,
    code: undefined
  }
}

/** Words of the package itself, which hold no value: the driver's all begin with its name. */
export const isOwn = ({ reason }: SqlError): boolean =>
  reason.message !== undefined && reason.message !== "" && !/^Pg\w+: /.test(reason.message)

const lowerFirst = (text: string): string => `${text.charAt(0).toLowerCase()}${text.slice(1)}`

const connecting = (code: string | undefined, server: string, own = ""): Story => {
  const [what, advice] = (code === undefined ? undefined : refusals[code]) ?? [
    "the connection broke off",
    undefined
  ]
  return {
    tag: "ConnectionError",
    message: `Could not connect to ${server}: ${own === "" ? what : lowerFirst(own)}${code === undefined ? "" : ` (${code})`}.`,
    advice,
    code
  }
}

/** The story of a failure that the driver or the socket made, the original one being `error`. */
export const storyOf = (
  error: SqlError,
  server: string,
  params: ReadonlyArray<unknown> | undefined
): Story => {
  const { reason } = error
  const cause = reason.cause
  const said = (reason.message ?? "").replace(/^Pg\w+: /, "")
  const causeSaid = stringOf(cause, "message") ?? ""
  const code = stringOf(cause, "code")
  const story = (tag: Tag, message: string, advice?: string): Story => ({ tag, message, advice, code })

  if (code !== undefined && isCertificate(code)) {
    return story(
      "ConnectionError",
      `The TLS certificate of ${server} was not accepted (${code}).`,
      "Give the authority that signed it, ssl: { ca }, and connect to a name that it is made out to."
    )
  }
  if (code !== undefined && isHandshake(code)) {
    return story("ConnectionError", `${server} and this program could not agree on TLS (${code}).`)
  }
  if (reason.operation === "connect" && isOwn(error)) {
    return connecting(code, server, stringOf(cause, "syscall") === undefined ? causeSaid : "")
  }
  if (reason._tag === "AuthenticationError") {
    if (said === "No password configured") {
      return story(reason._tag, `${server} asks for a password and none is set.`, "Set the setting password.")
    }
    return story(
      reason._tag,
      `${server} and this program could not agree on who they are: ${constantPart(said)}.`
    )
  }
  if (said === "Failed to encode query") return encoding(cause, params)
  if (said === "Failed to decode row") {
    const why = constantPart(causeSaid)
    return story(
      "UnknownError",
      `A value in the answer of ${server} cannot be read${why === "" ? "" : `: ${why}`}. The connection was closed; the statement took effect.`,
      "Cast the column to text in the statement."
    )
  }
  if (said === "Connection timed out") return { ...connecting("ETIMEDOUT", server), code }
  if (said === "Server refused TLS") {
    return story(
      "ConnectionError",
      `${server} does not speak TLS.`,
      "Set ssl: false, or turn TLS on at the server."
    )
  }
  if (reason.operation === "connect") {
    return said === "Failed to connect" || said === "Connection closed during startup"
      ? connecting(code, server)
      : story(reason._tag, `Could not connect to ${server}: ${constantPart(said)}.`)
  }
  if (reason._tag === "ConnectionError") {
    if (said === "Connection is closed" || said === "Pinned connection was released") {
      return story(reason._tag, `The connection to ${server} was already closed; the statement was not sent.`)
    }
    const why =
      code ??
      (/desync|Unexpected|Failed to parse|DataRow/.test(said)
        ? "its messages could not be understood"
        : "it was closed")
    return story(
      reason._tag,
      `The connection to ${server} was lost while the statement was under way (${why}).`,
      unknownOutcome
    )
  }
  return story(
    reason._tag,
    said === "" ? "The statement failed." : `The statement failed: ${constantPart(said)}.`
  )
}
