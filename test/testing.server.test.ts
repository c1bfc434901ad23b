/** Test processes of one machine, each by itself: they share a server and its templates, and leave nothing. */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, statfsSync, writeFileSync } from "node:fs"
import * as Path from "node:path"
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { connect, eventually, server } from "./support/database.ts"
import { folder, isAlive, Temporary, traces } from "./support/folder.ts"
import { Built, install, installation } from "./support/installation.ts"
import { type Program, program, root } from "./support/process.ts"
import { urlOf } from "./support/url.ts"

interface Told {
  readonly name: string
  readonly dataDir: string
  readonly file: string
  readonly started: string
  readonly templates: ReadonlyArray<number>
  readonly users: number
}

interface Asked {
  readonly key: string
  readonly go?: string
  readonly stays?: boolean
  readonly url?: string
  readonly server?: { readonly dataDir: string }
}

/** A folder with the package and the worker's program. */
class Place extends Context.Service<Place, { readonly path: string }>()("test/Place") {
  static readonly layer = Layer.effect(
    Place,
    Effect.gen(function* () {
      const path = yield* installation()
      const worker = Path.join(root, "test/support/test-worker.mjs")
      yield* Effect.promise(() => install(worker, Path.join(path, "worker.mjs"), true))
      return { path }
    })
  )
}

/** Gives what starts workers, and how often their setups have run. */
const workers = Effect.gen(function* () {
  const { path } = yield* Place
  const place = yield* folder()
  const counter = Path.join(place, "setups")
  return {
    place,
    start: (asked: Asked, env: Readonly<Record<string, string | undefined>> = {}, cwd = root) =>
      program(Path.join(path, "worker.mjs"), { args: [JSON.stringify({ ...asked, counter })], env, cwd }),
    setups: Effect.sync(() => (existsSync(counter) ? readFileSync(counter, "utf8") : ""))
  }
})

const told = (worker: Program) => Effect.map(worker.prints(/^\{.*\}$/m), ([line]): Told => JSON.parse(line))
const finished = (worker: Program) =>
  Effect.gen(function* () {
    const answer = yield* told(worker)
    assert.strictEqual((yield* worker.exit).code, 0, worker.stderr())
    return answer
  })

const pidOf = ({ file }: Told) => Number.parseInt(file, 10)
const gone = (told: Told) =>
  eventually(
    "the server and its files are gone",
    Effect.sync(() => !isAlive(pidOf(told)) && !existsSync(Path.join(told.dataDir, "postmaster.pid"))),
    (isGone) => isGone,
    "20 seconds"
  )
/** The process that keeps the server. */
const keeperOf = (told: Told) =>
  Number(execFileSync("ps", ["-o", "ppid=", "-p", String(pidOf(told))], { encoding: "utf8" }))

layer(Layer.provideMerge(Place.layer, Layer.merge(Temporary.layer, Built.layer)))(
  "the workers of a test run",
  (it) => {
    it.effect(
      "that start in one instant share one server, which outlives all but the last, however they end",
      () =>
        Effect.gen(function* () {
          const { place, setups, start } = yield* workers
          let keeper = 0
          for (const round of ["first", "second"]) {
            const go = Path.join(place, round)
            const all = yield* Effect.replicateEffect(start({ key: "shared", go, stays: true }), 8)
            yield* Effect.forEach(all, (worker) => worker.prints("ready"))
            writeFileSync(go, "")
            const answers = yield* Effect.forEach(all, told, { concurrency: "unbounded" })
            const [one] = answers
            if (one === undefined) return assert.fail()
            assert.strictEqual(
              new Set(answers.map(({ dataDir, started }) => `${started} ${dataDir}`)).size,
              1
            )
            assert.strictEqual(new Set(answers.map(({ name }) => name)).size, 8)
            assert.isTrue(answers.every(({ users }) => users === 0))
            yield* eventually(
              "there is one server, and no trace of another",
              traces,
              ({ length }) => length === 2
            )
            assert.notStrictEqual(keeperOf(one), keeper)
            keeper = keeperOf(one)
            const [last, ...others] = all
            for (const [index, worker] of others.entries()) {
              yield* index % 2 === 0 ? worker.signal("SIGKILL") : worker.signalGroup("SIGINT")
              yield* worker.exit
            }
            assert.isTrue(isAlive(pidOf(one)))
            // The second round finds the name of a process that is no more.
            if (round === "first") process.kill(keeper, "SIGKILL")
            yield* last?.signalGroup("SIGINT") ?? Effect.void
            yield* gone(one)
          }
          assert.strictEqual(yield* setups, "shared\n".repeat(2))
          yield* eventually("nothing is left", traces, ({ length }) => length === 0)
        })
    )

    it.effect("find the templates of the run before in a dataDir, until the setup changes", () =>
      Effect.gen(function* () {
        const { setups, start } = yield* workers
        const dataDir = Path.join(yield* folder(), "data")
        const run = (key: string) => Effect.flatMap(start({ key, server: { dataDir } }), finished)
        const first = yield* run("1")
        assert.lengthOf(first.templates, 1)
        process.kill(keeperOf(first), "SIGTERM")
        yield* gone(first)
        const second = yield* run("1")
        assert.notStrictEqual(second.started, first.started)
        assert.deepStrictEqual(second.templates, first.templates)
        assert.strictEqual(yield* setups, "1\n")
        const third = yield* run("2")
        assert.lengthOf(third.templates, 2)
        assert.strictEqual(yield* setups, "1\n2\n")
        process.kill(keeperOf(third), "SIGTERM")
        yield* gone(third)
      })
    )

    it.effect("have a relative dataDir in the folder where they run", () =>
      Effect.gen(function* () {
        const { start } = yield* workers
        const places = [yield* folder(), yield* folder()]
        const answers = yield* Effect.forEach(places, (place) =>
          Effect.flatMap(start({ key: "relative", server: { dataDir: "data" } }, {}, place), finished)
        )
        assert.deepStrictEqual(
          answers.map(({ dataDir }) => dataDir),
          places.map((place) => Path.join(place, "data"))
        )
        for (const answer of answers) {
          process.kill(keeperOf(answer), "SIGTERM")
          yield* gone(answer)
        }
      })
    )

    it.effect("make one template on a server that is there, whichever of its databases their URLs name", () =>
      Effect.gen(function* () {
        const { place, setups, start } = yield* workers
        const { query } = yield* connect(server(), "witness")
        const other = `other_${process.pid}`
        yield* Effect.acquireRelease(query(`create database ${other}`), () =>
          Effect.orDie(query(`drop database ${other}`))
        )
        const go = Path.join(place, "go")
        const key = `two databases, ${process.pid} ${Date.now()}`
        const all = yield* Effect.forEach([server().database, other, server().database, other], (database) =>
          start({ key, go, url: urlOf({ ...server(), database }) })
        )
        yield* Effect.forEach(all, (worker) => worker.prints("ready"))
        writeFileSync(go, "")
        yield* Effect.forEach(all, finished, { concurrency: "unbounded" })
        assert.strictEqual(yield* setups, `${key}\n`)
      })
    )

    it.effect("have the server's data in memory where there is room, unless TMPDIR says where", () =>
      Effect.gen(function* () {
        const { start } = yield* workers
        const answer = yield* Effect.flatMap(start({ key: "memory" }, { TMPDIR: undefined }), finished)
        const { bavail, bsize } = existsSync("/dev/shm") ? statfsSync("/dev/shm") : { bavail: 0, bsize: 0 }
        const expected = bavail * bsize >= 2 * 2 ** 30 ? "/dev/shm" : "/tmp"
        assert.strictEqual(Path.dirname(Path.dirname(answer.dataDir)), expected)
        process.kill(keeperOf(answer), "SIGTERM")
        yield* gone(answer)
      })
    )
  }
)
