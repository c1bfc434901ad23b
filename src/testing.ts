/**
 * Databases for tests: `import { TestDatabase } from "effect-global-pool/testing"`.
 */

export { TestDatabase } from "./testing/TestDatabase.ts"
export type {
  Options as TestDatabaseOptions,
  Setup as TestDatabaseSetup
} from "./testing/TestDatabaseOptions.ts"
