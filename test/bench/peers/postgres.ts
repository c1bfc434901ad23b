/** `postgres` (postgres.js) with its defaults: 10 connections, prepared statements, pipelining. */
import postgres from "postgres"
import { bulkColumns, bulkRows, chunksOf, personOf, type Step, stepsOf } from "../data.ts"
import { type Open, promiseSession } from "./Peer.ts"

export const open: Open = async (target, sizes) => {
  const sql = postgres({ ...target, max: 10 })
  const rows = bulkRows(sizes.bulk)

  const statement = (on: postgres.TransactionSql, step: Step) => {
    const [a = 0, b = 0, c = 0] = step.params
    switch (step.name) {
      case "take":
        return on`update accounts set balance = balance - ${a} where id = ${b}`
      case "give":
        return on`update accounts set balance = balance + ${a} where id = ${b}`
      case "transfer":
        return on`insert into transfers (source, target, amount) values (${a}, ${b}, ${c})`
    }
  }
  const trans = (turn: number, count: number) =>
    sql.begin((on) => stepsOf(turn, count).map((step) => statement(on, step)))

  return promiseSession(
    {
      pointSelect: async (turn) => [
        ...(await sql`select id, name, email, age from people where id = ${personOf(turn, sizes)}`)
      ],
      rows1000: async () => [
        ...(await sql`select id, name, email, active, score, visits, created_at, note from wide order by id`)
      ],
      insertOne: (turn) => sql`insert into inserts (name, amount) values (${`name ${turn}`}, ${turn})`,
      trans3: (turn) => trans(turn, 3),
      trans100: (turn) => trans(turn, 100),
      interactive: (turn) =>
        sql.begin(async (on) => {
          const account = stepsOf(turn, 1)[0]?.params[1] ?? 1
          await on`select id, balance from accounts where id = ${account} for update`
          await on`update accounts set balance = balance + ${1} where id = ${account}`
        }),
      insertMany: () =>
        sql.begin((on) =>
          chunksOf(rows).map(
            (chunk) => on`insert into bulk ${on(chunk as Array<(typeof chunk)[number]>, ...bulkColumns)}`
          )
        ),
      stream: async () => {
        let count = 0
        let sum = 0
        for await (const batch of sql`select id, kind, at, value from events`.cursor(1000)) {
          for (const row of batch) {
            count++
            sum += row.id
          }
        }
        return { count, sum }
      },
      slow: () => sql`select pg_sleep(0.05)`
    },
    () => sql.end()
  )
}
