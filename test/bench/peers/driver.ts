/** The driver's own client, `PgClient` of `@effect/sql-pg`: plain, and with `multiplex`. */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { bulkRows, chunksOf, personOf, stepsOf, text } from "../data.ts"
import { effectSession, type Open } from "./Peer.ts"

export const open: Open = async (target, sizes, variant) => {
  const multiplex = variant === "multiplex"
  const runtime = ManagedRuntime.make(
    PgClient.layer({
      ...target,
      password: Redacted.make(target.password),
      maxConnections: 10,
      idleTimeout: "10 minutes",
      multiplex
    })
  )
  const sql = await runtime.runPromise(PgClient.PgClient)
  /** The driver takes at most 32 767 parameters in a statement. */
  const chunks = chunksOf(
    bulkRows(sizes.bulk).map((row): Record<string, unknown> => ({ ...row })),
    6500
  ).filter(Arr.isReadonlyArrayNonEmpty)

  const trans = (turn: number, count: number) =>
    sql.withTransaction(
      Effect.forEach(stepsOf(turn, count), (step) => sql.unsafe(text[step.name], [...step.params]), {
        discard: true,
        concurrency: multiplex ? "unbounded" : 1
      })
    )
  return effectSession(
    {
      pointSelect: (turn) => sql.unsafe(text.pointSelect, [personOf(turn, sizes)]),
      rows1000: () => sql.unsafe(text.rows1000),
      insertOne: (turn) => sql.unsafe(text.insertOne, [`name ${turn}`, turn]),
      trans3: (turn) => trans(turn, 3),
      trans100: (turn) => trans(turn, 100),
      interactive: (turn) =>
        sql.withTransaction(
          Effect.gen(function* () {
            const account = stepsOf(turn, 1)[0]?.params[1]
            yield* sql.unsafe(text.balance, [account])
            yield* sql.unsafe(text.give, [1, account])
          })
        ),
      insertMany: () =>
        sql.withTransaction(
          Effect.forEach(chunks, (chunk) => sql`insert into bulk ${sql.insert(chunk)}`, { discard: true })
        ),
      stream: () =>
        Stream.runFold(
          sql.unsafe<{ readonly id: number }>(text.stream).stream,
          () => ({ count: 0, sum: 0 }),
          (total, row) => {
            total.count++
            total.sum += row.id
            return total
          }
        ),
      slow: () => sql.unsafe(text.slow)
    },
    (effect) => runtime.runPromise(effect),
    () => runtime.dispose()
  )
}
