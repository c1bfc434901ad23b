/**
 * From a link to a session: the start-up message, the authentication, and what the server reports before it is ready.
 *
 * See the PostgreSQL manual, "Start-up" (protocol-flow, 55.2.1).
 */
import * as PgProtocol from "@effect/sql-pg/PgProtocol"
import * as Effect from "effect/Effect"
import type { TypeMap } from "../types/TypeMap.ts"
import type { AuthenticationProblem, Credentials } from "./Authentication.ts"
import * as Authentication from "./Authentication.ts"
import { closedEarly, type Link } from "./Link.ts"
import { LinkProblem } from "./LinkProblem.ts"
import type { ServerFields } from "./MessageReader.ts"
import * as MessageReader from "./MessageReader.ts"
import type { Listeners, Session } from "./Session.ts"
import * as Sessions from "./Session.ts"

export interface Options {
  readonly link: Link
  readonly parameters: Parameters<typeof PgProtocol.encodeStartupMessage>[0]
  readonly credentials: Omit<Credentials, "binding" | "isEncrypted" | "isPrivate">
  readonly types: TypeMap
  readonly listeners: Listeners
}

/** The server refused the client, in its own words. */
export class ServerRefusal extends Error {
  override readonly name = "ServerRefusal"
  readonly fields: ServerFields
  /** Whether it had accepted who the client is. */
  readonly isAuthenticated: boolean
  /** Whether its session was open already. */
  readonly isOpen: boolean

  constructor(fields: ServerFields, stage: "authentication" | "start" | "open") {
    super(fields.message ?? "The server refused the connection")
    this.fields = fields
    this.isAuthenticated = stage !== "authentication"
    this.isOpen = stage === "open"
  }
}

export type StartupProblem = LinkProblem | AuthenticationProblem | ServerRefusal

/** Why an open session does not do after all: what the server said of a question, or in farewell, or that it has gone. */
export const problemOf = (session: Session, error?: ServerFields): StartupProblem => {
  const end = session.end()
  const fields = error ?? end?.farewell
  return fields === undefined
    ? new LinkProblem(closedEarly, { cause: end?.cause })
    : new ServerRefusal(fields, "open")
}

/** Opens a session on a link. Interruption and failure leave the link to its owner. */
export const open = ({
  credentials,
  link,
  listeners,
  parameters,
  types
}: Options): Effect.Effect<Session, StartupProblem> =>
  Effect.callback((resume) => {
    const { incoming, socket } = link
    const authenticate = Authentication.make({
      ...credentials,
      binding: link.certificateHash,
      isEncrypted: link.isEncrypted,
      isPrivate: link.isPrivate
    })
    const reported = new Map<string, string>()
    let key = { pid: 0, secret: 0 }
    let isAccepted = false
    let isOver = false
    let session: Session | undefined

    const stop = () => {
      isOver = true
      incoming.onChunk = () => undefined
      socket.off("error", onError)
      socket.off("close", onClose)
    }
    const fail = (problem: StartupProblem) => {
      if (isOver) return
      stop()
      resume(Effect.fail(problem))
    }

    const onStep = (step: Authentication.Step): void => {
      if (isOver) return
      if (step._tag === "Send") socket.write(step.bytes)
      else if (step._tag === "Refuse") fail(step.problem)
      else isAccepted = true
    }

    const onMessage = (message: PgProtocol.BackendMessage) => {
      switch (message._tag) {
        case "ErrorResponse":
          return fail(new ServerRefusal(message.fields, isAccepted ? "start" : "authentication"))
        case "NoticeResponse":
          return listeners.onNotice(message.fields)
        // A server that lacks an option of the protocol goes on without it.
        case "NegotiateProtocolVersion":
          return
      }
      if (!isAccepted) return authenticate(message, onStep)
      switch (message._tag) {
        case "ParameterStatus":
          reported.set(message.name, message.value)
          return
        case "BackendKeyData":
          key = { pid: message.pid, secret: message.secret }
          return
        case "ReadyForQuery": {
          stop()
          reader.limit(MessageReader.sessionLimit)
          session = Sessions.make({ socket, incoming, types, key, parameters: reported, listeners }, reader)
          resume(Effect.succeed(session))
          return
        }
        default:
          throw new MessageReader.ProtocolViolation(`a message out of turn: ${message._tag}`)
      }
    }

    const reader = MessageReader.make((type, bytes, start, end) => {
      if (!isOver) onMessage(MessageReader.decode(type, bytes, start, end))
    })
    let received = 0
    const onData = (chunk: Buffer): void => {
      try {
        received += chunk.length
        if (received > MessageReader.openingLimit) {
          throw new MessageReader.ProtocolViolation("more bytes than a server has to say before it is ready")
        }
        reader.push(chunk)
      } catch (cause) {
        // Behind the message that made the session, the violation is the session's.
        if (session !== undefined) session.destroy(cause instanceof Error ? cause : new Error(String(cause)))
        fail(new LinkProblem("The server does not speak Postgres's protocol", { cause }))
      }
    }
    const onError = (cause: Error) => fail(new LinkProblem("The connection broke off", { cause }))
    const onClose = () => fail(new LinkProblem(closedEarly))

    incoming.onChunk = onData
    socket.on("error", onError)
    socket.on("close", onClose)
    socket.write(PgProtocol.encodeStartupMessage(parameters))
    return Effect.sync(stop)
  })
