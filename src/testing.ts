/**
 * Databases for tests: `import { TestDatabase } from "effect-global-pool/testing"`.
 */
export {
  type Options as TestDatabaseOptions,
  type Setup as TestDatabaseSetup,
  TestDatabase
} from "./testing/TestDatabase.ts"
