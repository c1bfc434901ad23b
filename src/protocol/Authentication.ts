/**
 * Authentication as the server asks for it: none, a password in the clear, MD5, or SCRAM.
 *
 * **Guarantees**
 *
 * The server decides how it asks, so what it asks for is checked: a password in the clear goes over an encrypted link or
 * stays on this machine, nothing but the next step of SCRAM is answered once SCRAM has begun, and a server that was given a
 * SCRAM proof has to prove in turn that it knows the password.
 */
import * as PgAuth from "@effect/sql-pg/PgAuth"
import * as PgProtocol from "@effect/sql-pg/PgProtocol"
import * as Result from "effect/Result"
import type { Keys, Scram } from "./Scram.ts"
import * as Scrams from "./Scram.ts"

/** How a server may ask; libpq's names. This client answers the first four. */
export type Method = "none" | "password" | "md5" | "scram-sha-256" | "gss" | "sspi" | "oauth"

/** The ways of asking that are answered. */
export interface Allowed {
  readonly methods: ReadonlyArray<Method>
  /** Whether the password may be sent in the clear where others can read it. */
  readonly isClearAllowed: boolean
}

export interface Credentials {
  readonly username: string
  readonly password: string | undefined
  /** The ways of asking that are answered; `undefined` for all that are safe on this link. */
  readonly allowed: Allowed | undefined
  readonly channelBinding: "disable" | "prefer" | "require"
  readonly isEncrypted: boolean
  /** Nobody on the way can read what is sent: the link is encrypted, or ends on this machine. */
  readonly isPrivate: boolean
  /** The hash of the server's certificate, where the link is encrypted. */
  readonly binding: Buffer | undefined
  readonly keys: Keys
}

/** Why the server and this client do not come together. Never holds a password. */
export class AuthenticationProblem extends Error {
  override readonly name = "AuthenticationProblem"
  /** What to do about it. */
  readonly advice: string | undefined

  constructor(message: string, advice?: string) {
    super(message)
    this.advice = advice
  }
}

/** A step: what to send, that the server has accepted the client, or why it ends. */
export type Step =
  | { readonly _tag: "Send"; readonly bytes: Uint8Array }
  | { readonly _tag: "Accepted" }
  | { readonly _tag: "Refuse"; readonly problem: AuthenticationProblem }

const refuse = (message: string, advice?: string): Step => ({
  _tag: "Refuse",
  problem: new AuthenticationProblem(message, advice)
})
const send = (bytes: Uint8Array): Step => ({ _tag: "Send", bytes })

/** Takes a message of the server; gives the next step if there is one, now or later. */
export type Authentication = (message: PgProtocol.BackendMessage, next: (step: Step) => void) => void

const noPassword = () => refuse("the server asks for a password and none is set", "Set the setting password.")

export const make = (credentials: Credentials): Authentication => {
  const { allowed, binding, channelBinding, isEncrypted, isPrivate, keys, password, username } = credentials
  let scram: Scram | undefined
  let isProven = false
  let hasAnswered = false
  let isAsked = false

  const isAllowed = (method: Method): boolean => allowed === undefined || allowed.methods.includes(method)
  const notAllowed = (method: string): Step =>
    refuse(
      `the server asks for authentication by ${method}, which require_auth does not allow`,
      "Allow it in require_auth, or change the server's pg_hba.conf."
    )

  const unbound = () => refuse("channel_binding is require, and the server asked for no SCRAM")

  const cleartext = (): Step => {
    if (!isAllowed("password")) return notAllowed("password")
    if (channelBinding === "require") return unbound()
    if (!isPrivate && allowed?.isClearAllowed !== true) {
      return refuse(
        "the server asks for the password in the clear, over a link that is not encrypted",
        "Encrypt the link by sslmode, have the server use scram-sha-256, or allow it with require_auth=password."
      )
    }
    if (password === undefined) return noPassword()
    return send(PgProtocol.encodePasswordMessage({ password }))
  }

  const md5 = (salt: Uint8Array): Step => {
    if (!isAllowed("md5")) return notAllowed("md5")
    if (channelBinding === "require") return unbound()
    if (password === undefined) return noPassword()
    const hashed = PgAuth.md5Password({ user: username, password, salt })
    if (Result.isFailure(hashed)) return refuse(hashed.failure.message)
    return send(PgProtocol.encodePasswordMessage({ password: hashed.success }))
  }

  const sasl = (mechanisms: ReadonlyArray<string>): Step => {
    if (!isAllowed("scram-sha-256")) return notAllowed("scram-sha-256")
    if (password === undefined) return noPassword()
    if (!isEncrypted && mechanisms.includes(Scrams.plus) && channelBinding !== "disable") {
      return refuse(
        "the server offers SCRAM-SHA-256-PLUS, which needs TLS, over a link that is not encrypted: something on the way takes TLS off",
        "Set channel_binding to disable if that is meant to be."
      )
    }
    const canBind = binding !== undefined && channelBinding !== "disable"
    const binds = canBind && mechanisms.includes(Scrams.plus)
    if (!binds && channelBinding === "require") {
      return refuse(
        "channel_binding is require, and the server offers no SCRAM-SHA-256-PLUS over this link",
        "Use TLS with a server that supports it, or set channel_binding to prefer."
      )
    }
    if (!binds && !mechanisms.includes(Scrams.plain)) {
      return refuse(`the server offers ${mechanisms.join(", ")}, and this client has SCRAM-SHA-256`)
    }
    scram = Scrams.make(password, keys, { binding: binds ? binding : undefined, supports: canBind })
    return send(
      PgProtocol.encodeSASLInitialResponse({ mechanism: scram.mechanism, initialResponse: scram.first })
    )
  }

  const accepted = (): Step =>
    scram === undefined && channelBinding === "require" ? unbound() : { _tag: "Accepted" }

  const text = (data: Uint8Array): string => Buffer.from(data).toString("utf8")

  return (message, next) => {
    if (scram !== undefined && !isProven) {
      switch (message._tag) {
        case "AuthenticationSASLContinue":
          // Each answer costs thousands of hashes, so a server gets one.
          if (hasAnswered) return next(refuse("the server asked twice for the same step of SCRAM"))
          hasAnswered = true
          return scram.answer(text(message.data), (answer) =>
            next(
              typeof answer === "string"
                ? refuse(answer)
                : send(PgProtocol.encodeSASLResponse({ data: answer }))
            )
          )
        case "AuthenticationSASLFinal": {
          const problem = scram.verify(text(message.data))
          isProven = problem === undefined
          return problem === undefined ? undefined : next(refuse(problem))
        }
        default:
          return next(refuse("the server asked for something else in the middle of SCRAM"))
      }
    }
    if (message._tag === "AuthenticationOk") {
      // A server that asks for nothing is the method "none".
      return next(isAsked || isAllowed("none") ? accepted() : notAllowed("none"))
    }
    if (isProven) return next(refuse("the server asked for authentication again"))
    isAsked = true
    switch (message._tag) {
      case "AuthenticationCleartextPassword":
        return next(cleartext())
      case "AuthenticationMD5Password":
        return next(md5(message.salt))
      case "AuthenticationSASL":
        return next(sasl(message.mechanisms))
      default:
        return next(refuse("the server asks for a way of authentication that this client does not have"))
    }
  }
}
