import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { quickFolder } from "./test/support/temporary.ts"

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** Where to write a report that a program can read, besides the one for people. */
const report = process.env.TEST_REPORT

const folder = quickFolder()
if (folder !== undefined) process.env.TMPDIR = folder

export default defineConfig({
  resolve: {
    alias: [
      { find: /^effect-global-pool\/embedded$/, replacement: file("./src/embedded.ts") },
      { find: /^effect-global-pool\/pools-page$/, replacement: file("./src/pools-page.ts") },
      { find: /^effect-global-pool\/testing$/, replacement: file("./src/testing.ts") },
      { find: /^effect-global-pool\/kysely$/, replacement: file("./src/kysely.ts") },
      { find: /^effect-global-pool$/, replacement: file("./src/index.ts") }
    ]
  },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/server.ts"],
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    maxWorkers: 2
  }
})
