/**
 * Statements of the test kit's own on a server: to make databases, and to fill a template.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import * as ConnectionErrors from "../errors/ConnectionErrors.ts"
import { type About, serverError } from "../errors/ServerErrors.ts"
import * as OpenConnection from "../pool/OpenConnection.ts"
import { ask } from "../protocol/Ask.ts"
import * as Link from "../protocol/Link.ts"
import * as Scram from "../protocol/Scram.ts"
import type { ResolvedSettings } from "../settings/Settings.ts"
import * as TypeMap from "../types/TypeMap.ts"

export type Opened = OpenConnection.Opened

const nothing = () => undefined
const quiet = { onNotice: nothing, onNotification: nothing }
const goodbyeMillis = 2_000

/** Opens a session. When the scope is closed, the server has ended it. Time is real, also under a test's clock. */
export const connect = (
  settings: ResolvedSettings,
  onEnd: () => void = nothing
): Effect.Effect<OpenConnection.Opened, SqlError, Scope.Scope> => {
  const types = TypeMap.make({ int8: settings.int8, timestamp: settings.timestamp })
  return Effect.acquireRelease(
    Effect.mapError(
      OpenConnection.direct(settings, types, Scram.makeKeys(), quiet)(onEnd),
      ({ error }) => error
    ),
    ({ session }) => {
      session.terminate()
      return Link.hangUp(session.socket, goodbyeMillis)
    }
  ).pipe(Effect.provideService(Clock.Clock, Clock.Clock.defaultValue()))
}

/** Runs a statement without parameters, and gives its rows; a failure says what it is about. */
export const run = (
  { session }: Opened,
  about: About & { readonly text: string }
): Effect.Effect<ReadonlyArray<unknown>, SqlError> =>
  Effect.flatMap(ask(session, about.text), ({ error, rows, state }) => {
    if (state === "done") return Effect.succeed(rows)
    if (error !== undefined) return Effect.fail(serverError(error, about))
    const end = session.end() ?? { farewell: undefined, cause: undefined }
    return Effect.fail(ConnectionErrors.lostError(end, false, about))
  })

/** Runs statements without parameters in one round trip, each by itself, and gives the rows of each. */
export const query = (
  opened: Opened,
  ...texts: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, SqlError> =>
  Effect.forEach(texts, (text) => run(opened, { text }), { concurrency: "unbounded" })
