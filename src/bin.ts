#!/usr/bin/env node
/**
 * `npx effect-global-pool`: loads the program, or says which package it lacks.
 */
import { createRequire } from "node:module"

const require = createRequire(import.meta.url)
const { peerDependencies, version } = require("../package.json")
const needed = ["effect", "@effect/platform-node"]
const missing = needed.filter((name) => {
  try {
    return require.resolve(name) === ""
  } catch {
    return true
  }
})
if (missing.length > 0) {
  const packages = missing.map((name) => `"${name}@${peerDependencies[name]}"`).join(" ")
  process.stderr.write(
    `effect-global-pool's commands need ${missing.join(" and ")}, which is not installed here. Run: npm install --save-dev ${packages}\n`
  )
  process.exitCode = 1
} else {
  const { main } = await import("./cli/Main.ts")
  main(version)
}
