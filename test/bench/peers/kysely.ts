/** `kysely` on a `pg` pool of 10. It has no prepared statements. */
import { Kysely, PostgresDialect, sql } from "kysely"
import pg from "pg"
import { type BulkRow, bulkRows, chunksOf, personOf, stepsOf } from "../data.ts"
import { type Open, promiseSession } from "./Peer.ts"

interface Tables {
  readonly people: {
    readonly id: number
    readonly name: string
    readonly email: string
    readonly age: number
  }
  readonly wide: Record<
    "id" | "name" | "email" | "active" | "score" | "visits" | "created_at" | "note",
    unknown
  >
  readonly inserts: { readonly name: string; readonly amount: number }
  readonly accounts: { readonly id: number; readonly balance: number }
  readonly transfers: { readonly source: number; readonly target: number; readonly amount: number }
  readonly bulk: BulkRow
}

export const open: Open = async (target, sizes) => {
  const { username: user, ...where } = target
  const db = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ ...where, user, max: 10, idleTimeoutMillis: 0 }) })
  })
  const rows = bulkRows(sizes.bulk)
  const trans = (turn: number, count: number) =>
    db.transaction().execute(async (on) => {
      for (const step of stepsOf(turn, count)) {
        const [a = 0, b = 0, c = 0] = step.params
        if (step.name === "transfer") {
          await on.insertInto("transfers").values({ source: a, target: b, amount: c }).execute()
        } else {
          await on
            .updateTable("accounts")
            .set((eb) => ({ balance: eb("balance", step.name === "take" ? "-" : "+", a) }))
            .where("id", "=", b)
            .execute()
        }
      }
    })

  return promiseSession(
    {
      pointSelect: (turn) =>
        db
          .selectFrom("people")
          .select(["id", "name", "email", "age"])
          .where("id", "=", personOf(turn, sizes))
          .execute(),
      rows1000: () =>
        db
          .selectFrom("wide")
          .select(["id", "name", "email", "active", "score", "visits", "created_at", "note"])
          .orderBy("id")
          .execute(),
      insertOne: (turn) =>
        db
          .insertInto("inserts")
          .values({ name: `name ${turn}`, amount: turn })
          .execute(),
      trans3: (turn) => trans(turn, 3),
      trans100: (turn) => trans(turn, 100),
      interactive: (turn) =>
        db.transaction().execute(async (on) => {
          const account = stepsOf(turn, 1)[0]?.params[1] ?? 1
          await on
            .selectFrom("accounts")
            .select(["id", "balance"])
            .where("id", "=", account)
            .forUpdate()
            .execute()
          await on
            .updateTable("accounts")
            .set((eb) => ({ balance: eb("balance", "+", 1) }))
            .where("id", "=", account)
            .execute()
        }),
      insertMany: () =>
        db.transaction().execute(async (on) => {
          for (const chunk of chunksOf(rows)) await on.insertInto("bulk").values(chunk).execute()
        }),
      slow: () => sql`select pg_sleep(0.05)`.execute(db)
    },
    () => db.destroy()
  )
}
