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

/** Takes notices, in the order in which they come. */
export const make =
  (
    { key, onNotice = (notice) => log(notice, key) }: ResolvedSettings,
    run: (effect: Effect.Effect<void>) => unknown
  ): ((fields: ServerFields) => void) =>
  (fields) => {
    const handled = Effect.suspend(() => onNotice(fromFields(fields)))
    run(Effect.ignoreCause(handled, { log: "Warn", message: "onNotice failed" }))
  }
