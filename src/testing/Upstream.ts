/**
 * The session that all clients of a sandbox share: messages of the client whose turn it is, whose answers go there, and
 * statements of the sandbox's own, whose answers do not.
 */
import { Buffer } from "node:buffer"
import * as Effect from "effect/Effect"
import * as Cancel from "../protocol/Cancel.ts"
import * as MessageReader from "../protocol/MessageReader.ts"
import type { Session } from "../protocol/Session.ts"
import type { Opened } from "./AdminConnection.ts"
import * as Messages from "./Messages.ts"

export interface Upstream {
  readonly session: Session
  /** Gets each message for the client. */
  receive: (message: Buffer) => void
  /** Called behind the messages that have come at one time. */
  onPause: () => void
  /** Whether an answer is waited for. */
  readonly isBusy: () => boolean
  /** Sends messages of the client. */
  readonly pass: (bytes: Buffer) => void
  /** Sends what the server answers at once and in whole, and waits for that; `E` when something has failed. */
  readonly finish: (bytes: Buffer) => Effect.Effect<string>
  /** Runs statements in one round trip, and gives the error of the first that fails. */
  readonly run: (...texts: ReadonlyArray<string>) => Effect.Effect<Buffer | undefined>
  /** Cancels what runs. Nothing is sent until that cannot hit it any more. */
  readonly cancel: (onPassed: () => void) => void
}

export const lost = Messages.error("57P01", "the sandbox has ended", "", "FATAL")

/** Takes a session over, in which nothing is under way. */
export const make = ({ address, encryption, session }: Opened): Upstream => {
  const { incoming, socket } = session
  let onReady: ((status: string) => void) | undefined
  let isOwn = false
  let failure: Buffer | undefined
  let cancelling: Promise<unknown> | undefined

  const reader = MessageReader.make((_type, bytes, start, end) => {
    const message = bytes.subarray(start - 5, end)
    const type = Messages.typeOf(message)
    if (type === "Z") {
      upstream.onPause()
      onReady?.(String.fromCharCode(message[5]!))
    } else if (!isOwn || type === "S") upstream.receive(message)
    else if (type === "E") failure ??= message
  })
  reader.limit(MessageReader.sessionLimit)
  incoming.onChunk = (chunk) => {
    try {
      // Messages wait for their client, and a chunk is valid during this call only.
      reader.push(Buffer.from(chunk))
    } catch {
      session.destroy()
    }
    upstream.onPause()
  }
  socket.once("close", () => onReady?.(""))

  const finish: Upstream["finish"] = (bytes) =>
    Effect.callback<string>((resume) => {
      onReady = (status) => {
        onReady = undefined
        resume(Effect.succeed(status))
      }
      const send = () => (socket.destroyed ? onReady?.("") : socket.write(bytes))
      if (cancelling === undefined) send()
      else cancelling.then(send)
    }).pipe(Effect.uninterruptible)

  const upstream: Upstream = {
    session,
    receive: () => undefined,
    onPause: () => undefined,
    isBusy: () => onReady !== undefined,
    pass: (bytes) => socket.write(bytes),
    finish,
    run: (...texts) =>
      Effect.suspend(() => {
        isOwn = true
        failure = undefined
        return Effect.map(finish(Messages.message("Q", Messages.cString(texts.join(";\n")))), (status) => {
          isOwn = false
          return status === "" ? lost : failure
        })
      }),
    cancel: (onPassed) => {
      if (onReady === undefined || isOwn) return onPassed()
      cancelling = Effect.runPromise(Cancel.request(address, encryption, session.key)).then(() => {
        cancelling = undefined
        onPassed()
      })
    }
  }
  return upstream
}
