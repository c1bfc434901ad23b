/**
 * The client's side of a `COPY … FROM STDIN`: data that waits here while the server is slower.
 */
import * as Effect from "effect/Effect"
import * as Writer from "./MessageWriter.ts"
import type { Session } from "./Session.ts"

/** Pieces up to this size are gathered; larger ones go to the socket as they are. */
const gatheredSize = 16_384
/** So much is gathered at the most. */
const mostGathered = 65_536
/** A server takes messages of up to a gigabyte. */
const mostInMessage = 2 ** 26

/** Sends data. The bytes are the socket's until `room` says that there is room for more. */
export const send = ({ flush, socket, writer }: Session, data: Uint8Array): void => {
  if (data.length === 0) return
  if (data.length <= gatheredSize) {
    Writer.copyData(writer, data)
    if (writer.at > mostGathered) flush()
    return
  }
  socket.cork()
  for (let at = 0; at < data.length; at += mostInMessage) {
    const part = data.subarray(at, at + mostInMessage)
    Writer.copyHeader(writer, part.length)
    flush()
    socket.write(part)
  }
  socket.uncork()
}

/** Waits until the socket takes more, or the session has ended. Other fibers have their turn meanwhile. */
export const room = ({ flush, socket }: Session): Effect.Effect<void> =>
  Effect.callback((resume) => {
    flush()
    const done = () => {
      socket.off("drain", done)
      socket.off("close", done)
      resume(Effect.void)
    }
    const turn = setImmediate(() => {
      if (!socket.writableNeedDrain || socket.destroyed) return done()
      socket.on("drain", done)
      socket.on("close", done)
    })
    return Effect.sync(() => {
      clearImmediate(turn)
      socket.off("drain", done)
      socket.off("close", done)
    })
  })
