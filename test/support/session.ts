/**
 * One session of the package's own, without a pool around it.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Commands from "../../src/protocol/Commands.ts"
import type { Exchange } from "../../src/protocol/Exchange.ts"
import type { Statement } from "../../src/protocol/KnownStatement.ts"
import * as Link from "../../src/protocol/Link.ts"
import { makeKeys } from "../../src/protocol/Scram.ts"
import type { Session } from "../../src/protocol/Session.ts"
import * as Startup from "../../src/protocol/Startup.ts"
import { check } from "../../src/settings/Check.ts"
import type { WireValue } from "../../src/types/PgType.ts"
import * as TypeMap from "../../src/types/TypeMap.ts"
import type { TestServer } from "./server.ts"

const ignore = () => undefined

/** No encryption at all. */
export const { encryption: unencrypted } = Result.getOrThrow(check({ ssl: false }))

/** Opens a session; it ends with the scope. */
export const openSession: (settings: TestServer) => Effect.Effect<Session, never, Scope.Scope> =
  Effect.fnUntraced(function* ({ database, password, username, ...address }: TestServer) {
    const link = yield* Effect.acquireRelease(
      Effect.orDie(Link.open({ ...address, address: undefined, path: undefined }, unencrypted)),
      ({ socket }) => Link.hangUp(socket, 1_000)
    )
    return yield* Effect.orDie(
      Startup.open({
        link,
        parameters: { user: username, database, application_name: "session" },
        credentials: { username, password, allowed: undefined, channelBinding: "disable", keys: makeKeys() },
        types: TypeMap.make({ int8: "number", timestamp: "date" }),
        listeners: { onNotice: ignore, onNotification: ignore, onEnd: ignore }
      })
    )
  })

/** Runs a statement, whose parameters are declared with these types, and waits for all of its answer. */
export const runOn = (
  session: Session,
  text: string,
  values: ReadonlyArray<WireValue> = [],
  types: ReadonlyArray<number> = []
): Effect.Effect<Exchange> =>
  Effect.callback((resume) => {
    const statement: Statement = {
      text,
      types,
      memory: { generation: 0 },
      description: undefined,
      describedIn: -1,
      forgotten: 0,
      composites: undefined
    }
    Commands.run(session, statement, values, (exchange) => resume(Effect.succeed(exchange)), { keep: false })
  })
