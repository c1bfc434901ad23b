/** Ends at once, and leaves a process behind that holds its output open. */
import { spawn } from "node:child_process"

const orphan = spawn(process.execPath, ["-e", "require('node:net').createServer().listen(0)"], {
  stdio: ["ignore", "inherit", "inherit"],
  detached: true
})
process.stdout.write(`left ${orphan.pid}\n`, () => process.exit())
