/**
 * Cancels what a session runs: a request on a link of its own, to the address that the session is connected to.
 *
 * The server passes the request on by a signal, which can overtake the statement that it is meant for or come after it. So
 * the request is repeated until the session has nothing under way, and a round trip afterwards takes a late signal.
 */
import type * as Net from "node:net"
import * as PgProtocol from "@effect/sql-pg/PgProtocol"
import * as Effect from "effect/Effect"
import type { Encryption } from "./Encryption.ts"
import type { Address } from "./Link.ts"
import * as Link from "./Link.ts"
import type { BackendKey } from "./Session.ts"

/** How long a request may take until the server has passed it on. */
const patience = 5_000

/** Sends one request, and waits until the server has passed it on. `false` when that is not known. */
export const request = (address: Address, encryption: Encryption, key: BackendKey): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const sockets: Array<Net.Socket> = []
    return Link.open(address, encryption, { sockets }).pipe(
      Effect.flatMap(({ socket }) =>
        Effect.suspend(() => {
          socket.on("error", () => undefined)
          socket.resume()
          // The server ends the link. PgBouncer takes one that the client ends for a request that was given up.
          socket.write(PgProtocol.encodeCancelRequest(key))
          return Link.closed(socket)
        })
      ),
      Effect.as(true),
      Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.succeed(false) }),
      // Where no link could be opened, nothing was sent.
      Effect.orElseSucceed(() => true),
      Effect.ensuring(Link.discardAll(sockets))
    )
  })
