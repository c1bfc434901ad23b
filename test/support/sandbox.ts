/**
 * Tests of other files, run once more with `TestDatabase.sandbox` around each: with the same assertions, and with a witness that
 * is one more client of the sandbox.
 */
import { afterAll, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import { PG, PoolRegistry } from "effect-global-pool"
import { TestDatabase } from "effect-global-pool/testing"
import { Route } from "../../src/pool/Route.ts"
import { connect, eventually, server, sessionsOf } from "./database.ts"
import { type Given, setTester } from "./handle.ts"
import { fromUrl, urlOf } from "./url.ts"

/** Why tests cannot run in a sandbox, by their names. */
export type Exceptions = Readonly<Record<string, ReadonlyArray<string>>>

/** Connections go where their settings say: to the sandbox's own address, or to a proxy before it. */
const asWritten: Route = { follow: Effect.succeed, memoMap: undefined }

const given = Effect.gen(function* () {
  const url = Redacted.value(yield* TestDatabase.url)
  const settings = fromUrl(url)
  const witness = yield* connect(settings, "witness")
  const sessions = sessionsOf(witness, settings.database)
  const given: Given = {
    settings,
    url,
    witness,
    connect: (settings) => connect(settings),
    sessions,
    until: (what, holds) => eventually(what, sessions, holds),
    pgdb: PG.make(settings),
    sharesSession: true
  }
  return given
})

/** Imports the files, whose tests get a sandbox each in place of a database. */
export const inSandboxes = (
  files: ReadonlyArray<string>,
  load: (file: string) => Promise<unknown>,
  exceptions: Exceptions
): void => {
  const reasons = new Map(
    Object.entries(exceptions).flatMap(([reason, names]) => names.map((name) => [name, reason]))
  )
  const found = new Set<string>()
  let runtime: ManagedRuntime.ManagedRuntime<TestDatabase | PoolRegistry, unknown> | undefined
  beforeAll(() => {
    runtime = ManagedRuntime.make(TestDatabase.layer({ url: urlOf(server()) }))
  })
  afterAll(() => runtime?.dispose())

  setTester((name, statements, body) => {
    const reason = reasons.get(name)
    if (reason !== undefined) {
      found.add(name)
      return it.skip(`${name}: ${reason}`, () => undefined)
    }
    it(name, () =>
      runtime?.runPromise(
        TestDatabase.sandbox(
          Effect.gen(function* () {
            const made = yield* given
            for (const statement of statements) yield* made.witness.query(statement)
            yield* body(made)
          }).pipe(Effect.provide(PoolRegistry.layer()), Effect.provideService(Route, asWritten))
        )
      )
    )
  })
  for (const file of files) {
    describe(file, async () => {
      await load(file)
    })
  }
  it("every exception is a test", () => {
    const unknown = Array.from(reasons.keys()).filter((name) => !found.has(name))
    if (unknown.length > 0) throw new Error(`No such tests: ${unknown.join(", ")}`)
  })
}
