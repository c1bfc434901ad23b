/**
 * The optional embedded server: `import { EmbeddedPostgres } from "effect-global-pool/embedded"`.
 */
export * as EmbeddedPostgres from "./embedded/EmbeddedPostgres.ts"
export {
  type DataDirUnusable,
  EmbeddedPostgresError,
  type InvalidOption,
  type PackageMissing,
  type PortBusy,
  type Reason as EmbeddedPostgresReason,
  type StartFailed
} from "./embedded/EmbeddedPostgresError.ts"
export type { EmbeddedPostgresOptions } from "./embedded/Options.ts"
