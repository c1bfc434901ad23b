/** A connection whose opening is interrupted at any of its steps: no socket is left, and no session on the server. */

import type * as Net from "node:net"
import { expect } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { PG } from "effect-global-pool"
import { direct } from "../src/pool/OpenConnection.ts"
import * as Link from "../src/protocol/Link.ts"
import * as Scram from "../src/protocol/Scram.ts"
import { check } from "../src/settings/Check.ts"
import * as TypeMap from "../src/types/TypeMap.ts"
import { eventually } from "./support/database.ts"
import { withDatabase } from "./support/handle.ts"
import { interruptAt } from "./support/interruptAt.ts"
import { proxy } from "./support/proxy.ts"

const nothing = () => undefined
const listeners = { onNotice: nothing, onNotification: nothing }

const variants: Readonly<Record<string, Partial<PG.Settings>>> = {
  "as it is": {},
  "that is asked whether it may write": { targetSessionAttributes: "read-write" },
  "that asks for encryption": {},
  "with a hook": { onConnect: (connection) => connection.execute("select 1") }
}

for (const [name, settings] of Object.entries(variants)) {
  withDatabase(`an opening ${name} leaves nothing at whatever step it is interrupted`, [], (given) =>
    Effect.gen(function* () {
      const between = yield* proxy(given.settings)
      const { database, password, username } = given.settings
      const { host, port } = between.address
      const sslmode = name.includes("encryption") ? "prefer" : "disable"
      const url = `postgres://${username}:${password}@${host}:${port}/${database}?sslmode=${sslmode}`
      const checked = Result.getOrThrow(check({ ...settings, url, applicationName: "opening" }))
      const types = TypeMap.make({ int8: checked.int8, timestamp: checked.timestamp })
      /** What the pool does: the opening can be interrupted, and what becomes of it cannot. */
      const opening = Effect.uninterruptibleMask((restore) => {
        const sockets: Array<Net.Socket> = []
        const open = direct(checked, types, Scram.makeKeys(), listeners)
        return Effect.matchCauseEffect(restore(open(nothing, sockets)), {
          onFailure: (cause) =>
            Cause.hasFails(cause) ? Effect.die(Cause.squash(cause)) : Link.discardAll(sockets),
          onSuccess: ({ session }) => Effect.sync(() => session.destroy())
        })
      })
      let step = 1
      while ((yield* interruptAt(step, opening)).isHit) {
        yield* eventually(
          `nothing is left of step ${step}`,
          Effect.sync(() => between.open()),
          (open) => open === 0
        )
        step++
      }
      expect(step).toBeGreaterThan(20)
      yield* eventually(
        "no session is left",
        given.witness.query("select pid from pg_stat_activity where application_name = 'opening'"),
        (sessions) => sessions.length === 0
      )
    })
  )
}
