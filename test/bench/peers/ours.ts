/** This package with its default settings; `unshared` turns off the sharing of busy connections. */
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import { PG } from "../../../src/index.ts"
import { bulkRows, personOf, stepsOf, text } from "../data.ts"
import { effectSession, type Open } from "./Peer.ts"

export const open: Open = async (target, sizes, variant) => {
  const runtime = ManagedRuntime.make(PG.layer)
  const pgdb = PG.make({ ...target, ...(variant === "unshared" ? { pipelining: false } : {}) })
  const people = pgdb.table("people")
  const wide = pgdb.table("wide")
  const inserts = pgdb.table("inserts")
  const accounts = pgdb.table("accounts")
  const bulk = pgdb.table("bulk")
  const events = pgdb.table("events")
  const rows = bulkRows(sizes.bulk).map((row): Record<string, unknown> => ({ ...row }))

  const trans = (turn: number, count: number) =>
    accounts.trans(stepsOf(turn, count).map((step) => [text[step.name], step.params] as const))

  return effectSession(
    {
      pointSelect: (turn) => people.select(text.pointSelect, [personOf(turn, sizes)]),
      rows1000: () => wide.select(text.rows1000),
      insertOne: (turn) => inserts.execute(text.insertOne, [`name ${turn}`, turn]),
      trans3: (turn) => trans(turn, 3),
      trans100: (turn) => trans(turn, 100),
      interactive: (turn) =>
        pgdb.transaction(
          Effect.gen(function* () {
            const account = stepsOf(turn, 1)[0]?.params[1]
            yield* accounts.select(text.balance, [account])
            yield* accounts.execute(text.give, [1, account])
          })
        ),
      insertMany: () => bulk.insertMany(rows),
      stream: () =>
        Stream.runFold(
          events.stream(text.stream),
          () => ({ count: 0, sum: 0 }),
          (total, row) => {
            total.count++
            total.sum += Number(row.id)
            return total
          }
        ),
      slow: () => people.select(text.slow)
    },
    (effect) => runtime.runPromise(effect),
    () => runtime.dispose()
  )
}
