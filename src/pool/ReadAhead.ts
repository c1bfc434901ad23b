/**
 * How far a stream of rows may run ahead of its consumer, in bytes. The driver counts rows, and 512 rows of a megabyte are
 * half a gigabyte.
 */
import type * as Net from "node:net"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/** What may arrive while the consumer is busy with the piece before. */
const mostBytes = 1024 * 1024

/** Pauses the socket while more waits than may, and nobody waits for it; then the server is blocked when the network is full. */
export const bounded = <A, E>(socket: Net.Socket, rows: Stream.Stream<A, E>): Stream.Stream<A, E> =>
  Stream.transformPull(rows, (pull, scope) =>
    Effect.suspend(() => {
      let ahead = 0
      let asked = false
      let paused = false
      const resume = (): void => {
        if (paused) socket.resume()
        paused = false
      }
      const count = (chunk: Uint8Array): void => {
        ahead += chunk.length
        if (asked || paused || ahead < mostBytes) return
        paused = true
        socket.pause()
      }
      socket.on("data", count)
      // Runs before the driver ends the statement, which takes reading what is left of it.
      const stop = Effect.sync(() => {
        socket.off("data", count)
        resume()
      })
      const next = Effect.suspend(() => {
        ahead = 0
        asked = true
        resume()
        return Effect.onExitPrimitive(pull, () => {
          asked = false
          return undefined
        })
      })
      return Effect.as(Scope.addFinalizer(scope, stop), next)
    })
  )
