/** `slonik` with a pool of 10. It has no prepared statements. */
import { createPool, sql } from "slonik"
import { bulkRows, personOf, type Step, stepsOf } from "../data.ts"
import { type Open, promiseSession } from "./Peer.ts"

const statement = (step: Step) => {
  const [a = 0, b = 0, c = 0] = step.params
  switch (step.name) {
    case "take":
      return sql.unsafe`update accounts set balance = balance - ${a} where id = ${b}`
    case "give":
      return sql.unsafe`update accounts set balance = balance + ${a} where id = ${b}`
    case "transfer":
      return sql.unsafe`insert into transfers (source, target, amount) values (${a}, ${b}, ${c})`
  }
}

export const open: Open = async (target, sizes) => {
  const { host, port, username, password, database } = target
  const pool = await createPool(`postgres://${username}:${password}@${host}:${port}/${database}`, {
    maximumPoolSize: 10,
    minimumPoolSize: 0,
    idleTimeout: 600_000
  })
  const rows = bulkRows(sizes.bulk)
  const trans = (turn: number, count: number) =>
    pool.transaction(async (on) => {
      for (const step of stepsOf(turn, count)) await on.query(statement(step))
    })

  return promiseSession(
    {
      pointSelect: (turn) =>
        pool.any(sql.unsafe`select id, name, email, age from people where id = ${personOf(turn, sizes)}`),
      rows1000: () =>
        pool.any(
          sql.unsafe`select id, name, email, active, score, visits, created_at, note from wide order by id`
        ),
      insertOne: (turn) =>
        pool.query(sql.unsafe`insert into inserts (name, amount) values (${`name ${turn}`}, ${turn})`),
      trans3: (turn) => trans(turn, 3),
      trans100: (turn) => trans(turn, 100),
      interactive: (turn) =>
        pool.transaction(async (on) => {
          const account = stepsOf(turn, 1)[0]?.params[1] ?? 1
          await on.any(sql.unsafe`select id, balance from accounts where id = ${account} for update`)
          await on.query(sql.unsafe`update accounts set balance = balance + ${1} where id = ${account}`)
        }),
      insertMany: () =>
        pool.query(
          sql.unsafe`insert into bulk select * from ${sql.unnest(
            rows.map((row) => [row.id, row.name, row.active, row.score, row.at.toISOString()]),
            ["int4", "text", "bool", "float8", "timestamptz"]
          )}`
        ),
      slow: () => pool.any(sql.unsafe`select pg_sleep(0.05)`)
    },
    () => pool.end()
  )
}
