import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { shared } from "../src/embedded/CopyBinaries.ts"
import { folder } from "./support/folder.ts"

const files = {
  "bin/postgres": "the server",
  "lib/libpq.so.5.18": "a library",
  "lib/libpq.a": "for linking only",
  "lib/pkgconfig/libpq.pc": "for building only",
  "share/deep/er/zone": "a time zone",
  "pg-symlinks.json": JSON.stringify([{ source: "native/lib/libpq.so.5.18", target: "native/lib/libpq.so" }])
}

/** A package as npm unpacks it where it runs no install script. */
const unpacked = Effect.tap(folder(0o700), (native) =>
  Effect.promise(async () => {
    for (const [name, text] of Object.entries(files)) {
      await Fs.mkdir(Path.dirname(Path.join(native, name)), { recursive: true })
      await Fs.writeFile(Path.join(native, name), text, { mode: 0o600 })
    }
  })
)

const setting = Effect.gen(function* () {
  const [native, temporary] = [yield* unpacked, yield* folder()]
  const make = Effect.scoped(shared({ native, name: "@some/package", version: "18.4.0" }, temporary))
  const places = Effect.promise(() => Fs.readdir(temporary))
  return { make, places, temporary }
})

const read = (...path: ReadonlyArray<string>) => Effect.promise(() => Fs.readFile(Path.join(...path), "utf8"))
const mode = (...path: ReadonlyArray<string>) =>
  Effect.promise(async () => (await Fs.stat(Path.join(...path))).mode & 0o777)

it.effect("a copy of the binaries is complete, linked, and for everyone to use but not to change", () =>
  Effect.gen(function* () {
    const { make } = yield* setting
    const place = yield* make
    assert.strictEqual(yield* read(place, "bin", "postgres"), files["bin/postgres"])
    assert.strictEqual(yield* read(place, "lib", "libpq.so"), files["lib/libpq.so.5.18"])
    assert.deepStrictEqual(yield* Effect.promise(() => Fs.readdir(Path.join(place, "lib"))), [
      "libpq.so",
      "libpq.so.5.18"
    ])
    for (const path of ["", "bin", "bin/postgres", "share/deep/er"])
      assert.strictEqual(yield* mode(place, path), 0o755)
  })
)

it.effect("a copy of the binaries is made once, also when several begin together", () =>
  Effect.gen(function* () {
    const { make, places } = yield* setting
    const made = yield* Effect.all([make, make, make, make], { concurrency: "unbounded" })
    assert.strictEqual(new Set(made).size, 1)
    const inode = Effect.promise(() => Fs.stat(made[0]!)).pipe(Effect.map(({ ino }) => ino))
    const before = yield* inode
    yield* make
    assert.strictEqual(yield* inode, before)
    assert.strictEqual((yield* places).length, 1)
  })
)

it.effect("a copy of the binaries is made anew when part of it is gone, changed or open to others", () =>
  Effect.gen(function* () {
    const { make, places } = yield* setting
    const place = yield* make
    const damages = [
      () => Fs.rm(Path.join(place, "lib", "libpq.so")),
      () => Fs.rm(Path.join(place, "share"), { recursive: true }),
      () => Fs.writeFile(Path.join(place, "bin", "postgres"), "something else"),
      () => Fs.chmod(Path.join(place, "bin"), 0o777),
      () => Fs.chmod(Path.join(place, "bin", "postgres"), 0o775)
    ]
    for (const damage of damages) {
      yield* Effect.promise(damage)
      assert.strictEqual(yield* make, place)
      assert.strictEqual(yield* read(place, "bin", "postgres"), files["bin/postgres"])
      assert.strictEqual(yield* read(place, "lib", "libpq.so"), files["lib/libpq.so.5.18"])
      assert.strictEqual(yield* read(place, "share", "deep", "er", "zone"), files["share/deep/er/zone"])
      assert.strictEqual(yield* mode(place, "bin"), 0o755)
      assert.strictEqual((yield* places).length, 1)
    }
  })
)

it.effect("a link in the place of a copy of the binaries is not followed", () =>
  Effect.gen(function* () {
    const { make, temporary } = yield* setting
    const place = yield* make
    const elsewhere = Path.join(temporary, "elsewhere")
    yield* Effect.promise(async () => {
      await Fs.rename(place, elsewhere)
      await Fs.chmod(Path.join(elsewhere, "bin"), 0o777)
      await Fs.symlink(elsewhere, place)
    })
    assert.notStrictEqual(yield* mode(yield* make, "bin"), 0o777)
  })
)
