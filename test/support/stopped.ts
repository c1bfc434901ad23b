/**
 * A script whose process a test stops and continues. It has ten idle connections then, or fibers under load, as its argument
 * says; once it goes on it makes a hundred calls, and says how they ended.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { PoolRegistry } from "effect-global-pool"
import { PG } from "effect-global-pool"
import { together } from "./handle.ts"

const isBusy = process.argv[2] === "busy"

const pgdb = PG.make({
  url: process.env.DATABASE_URL,
  maxConnections: isBusy ? 3 : 10,
  acquireTimeout: "1 second"
})

const range = (count: number) => Array.from({ length: count }, (_, index) => index)

const call = (n: number): Effect.Effect<unknown, PG.OperationError, PoolRegistry> =>
  n % 2 === 0 ? pgdb.select("select 1") : pgdb.execute("insert into t values ($1)", [n])

let goesOn = false
process.on("SIGCONT", () => {
  goesOn = true
})

const say = (what: string) => Effect.sync(() => void process.stdout.write(`${what}\n`))

/** Calls that take turns, before the process is stopped and after that. */
const load = Effect.gen(function* () {
  let after = 0
  const worker = Effect.gen(function* () {
    const exits: Array<Exit.Exit<unknown, PG.OperationError>> = []
    while (!goesOn || after++ < 100) exits.push(yield* Effect.exit(pgdb.select("select pg_sleep(0.02)")))
    return exits
  })
  const begun = Effect.andThen(pgdb.select("select 1"), say("ready"))
  const [all] = yield* Effect.all(
    [
      Effect.all(
        range(12).map(() => worker),
        { concurrency: 12 }
      ),
      begun
    ],
    {
      concurrency: 2
    }
  )
  return all.flat()
})

const idle = Effect.gen(function* () {
  yield* together(pgdb, 10)
  yield* say("ready")
  yield* Effect.whileLoop({ while: () => !goesOn, body: () => Effect.sleep(5), step: () => undefined })
  return yield* Effect.forEach(range(100), (n) => Effect.exit(call(n)), { concurrency: "unbounded" })
})

Effect.runPromise(
  PG.run(
    Effect.flatMap(isBusy ? load : idle, (exits) => {
      const failed = exits.filter(Exit.isFailure)
      return say(`ended: ${failed.length} failed ${failed.map(({ cause }) => String(cause)).join("; ")}`)
    })
  )
)
