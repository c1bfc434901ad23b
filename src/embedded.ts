/**
 * The optional embedded server: `import { EmbeddedPostgres } from "effect-global-pool/embedded"`.
 */
export * as EmbeddedPostgres from "./embedded/EmbeddedPostgres.ts"
export {
  EmbeddedPostgresError,
  type Reason as EmbeddedPostgresReason
} from "./embedded/EmbeddedPostgresError.ts"
export type { EmbeddedPostgresOptions } from "./embedded/Options.ts"
