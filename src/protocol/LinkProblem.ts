/**
 * Why there is no link to a server: what the system, the certificates or the settings say.
 */
import * as Predicate from "effect/Predicate"

/** Why a link could not be opened, or broke off while a session was opened on it. */
export class LinkProblem extends Error {
  override readonly name = "LinkProblem"
  /** Node's code, such as `ECONNREFUSED` or `ENOTFOUND`, where the system has one. */
  readonly code: string | undefined
  /** Trying again cannot help: the settings or the server have to change. */
  readonly isPermanent: boolean
  /** TLS failed, and not the way to the server. */
  readonly isOfTls: boolean
  /** What to do about it, where more can be said than its code says. */
  readonly advice: string | undefined

  constructor(
    message: string,
    options: {
      readonly cause?: unknown
      readonly isPermanent?: boolean
      readonly isOfTls?: boolean
      readonly advice?: string
    } = {}
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    const { cause, isOfTls = false, isPermanent = false } = options
    this.code =
      Predicate.hasProperty(cause, "code") && Predicate.isString(cause.code) ? cause.code : undefined
    this.isPermanent = isPermanent
    this.isOfTls = isOfTls
    this.advice = options.advice
  }
}
