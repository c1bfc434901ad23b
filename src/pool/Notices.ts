/**
 * Where the notices of a pool's connections go: to the setting `onNotice`, else to Effect's log at their level.
 */
import * as Effect from "effect/Effect"
import type { ServerFields } from "../protocol/MessageReader.ts"
import { fromFields, type Notice } from "../protocol/Notice.ts"
import type { ResolvedSettings } from "../settings/Settings.ts"

const levelOf = (severity: string) =>
  severity === "WARNING" ? "Warn" : severity.startsWith("DEBUG") ? "Debug" : "Info"

const log = ({ code, detail, hint, message, severity }: Notice, key: string): Effect.Effect<void> => {
  const lines = [
    `${severity}: ${message}`,
    ...(detail === undefined ? [] : [`Detail: ${detail}`]),
    ...(hint === undefined ? [] : [`Hint: ${hint}`])
  ]
  return Effect.annotateLogs(Effect.logWithLevel(levelOf(severity))(lines.join("\n")), {
    "db.client.connection.pool.name": key,
    "db.response.status_code": code
  })
}

/** How many notices may wait to be handled; more are dropped, and counted. */
const mostWaiting = 1_024

/** Takes notices and has them handled one after the other, in the order in which they come, for as long as the pool lives. */
export const make = (
  { key, onNotice = (notice) => log(notice, key) }: ResolvedSettings,
  runInPool: (effect: Effect.Effect<void>) => void
): ((fields: ServerFields) => void) => {
  const waiting: Array<Notice> = []
  let isHandling = false
  let dropped = 0

  const handleAll = Effect.gen(function* () {
    for (let notice = waiting.shift(); notice !== undefined; notice = waiting.shift()) {
      const next = notice
      const handled = Effect.suspend(() => onNotice(next))
      yield* Effect.ignoreCause(handled, { log: "Warn", message: "onNotice failed" })
    }
    isHandling = false
    if (dropped === 0) return
    yield* Effect.logWarning(`${dropped} notices were dropped, since onNotice was slower than the server.`)
    dropped = 0
  })

  return (fields) => {
    if (waiting.length >= mostWaiting) {
      dropped++
      return
    }
    waiting.push(fromFields(fields))
    if (isHandling) return
    isHandling = true
    runInPool(handleAll)
  }
}
