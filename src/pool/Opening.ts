/**
 * A connection on its way: opened, and, where it is the pool's first, asked for the catalogue.
 */
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Codec } from "../codec/Codec.ts"
import type { Checked } from "../settings/Settings.ts"
import * as Connection from "./Connection.ts"
import * as Nearby from "./Nearby.ts"

type Restore = <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>

/**
 * Opens a connection, to be run where nothing interrupts but what `restore` lets; interruption leaves nothing behind on the
 * server. It is never done at once, so that who asks for several sees the ones that are on their way.
 */
export const open = (
  settings: Checked,
  codec: Codec,
  isLearnt: () => boolean,
  restore: Restore,
  onEnd: () => void,
  isShared: () => boolean
): Effect.Effect<Connection.Connection, SqlError> =>
  Effect.tap(
    restore(
      Effect.andThen(
        Effect.yieldNow,
        Effect.catchTag(Connection.open(settings, codec, onEnd, isShared), "SqlError", (error) =>
          Effect.flatMap(Nearby.openingError(settings, error), Effect.fail)
        )
      )
    ),
    (connection) =>
      isLearnt() ? Effect.void : Effect.onError(restore(codec.learn(connection.query)), () => connection.cut)
  )
