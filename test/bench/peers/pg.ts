/** `pg`: a pool with plain statements, a pool with named statements, and one lone pipelining client. */
import pg from "pg"
import QueryStream from "pg-query-stream"
import { bulkArrays, bulkRows, personOf, stepsOf, text } from "../data.ts"
import { type Open, type Operations, promiseSession } from "./Peer.ts"

type Name = keyof typeof text

interface Queryable {
  readonly query: (config: pg.QueryConfig) => Promise<pg.QueryResult>
}

export const open: Open = async (target, sizes, variant) => {
  const { username: user, ...where } = target
  const named = variant !== "plain"
  const config = (name: Name, values: Array<unknown>): pg.QueryConfig =>
    named ? { name, text: text[name], values } : { text: text[name], values }
  const rowsOf = async (on: Queryable, name: Name, values: Array<unknown>) =>
    (await on.query(config(name, values))).rows
  const rows = bulkRows(sizes.bulk)

  const single = (on: Queryable) =>
    ({
      pointSelect: (turn) => rowsOf(on, "pointSelect", [personOf(turn, sizes)]),
      rows1000: () => rowsOf(on, "rows1000", []),
      insertOne: (turn) => rowsOf(on, "insertOne", [`name ${turn}`, turn]),
      insertMany: () => rowsOf(on, "unnest", [...bulkArrays(rows)]),
      slow: () => rowsOf(on, "slow", [])
    }) satisfies Operations<Promise<unknown>>

  if (variant === "pipeline") {
    const client = new pg.Client({ ...where, user, pipeline: true })
    await client.connect()
    const trans = (turn: number, count: number) => {
      const sent: Array<Promise<unknown>> = [client.query("BEGIN")]
      for (const step of stepsOf(turn, count)) sent.push(client.query(config(step.name, [...step.params])))
      sent.push(client.query("COMMIT"))
      return Promise.all(sent)
    }
    return promiseSession(
      { ...single(client), trans3: (turn) => trans(turn, 3), trans100: (turn) => trans(turn, 100) },
      () => client.end()
    )
  }

  const pool = new pg.Pool({ ...where, user, max: 10, idleTimeoutMillis: 0 })
  const transaction = async <A>(body: (client: pg.PoolClient) => Promise<A>): Promise<A> => {
    const client = await pool.connect()
    try {
      await client.query("BEGIN")
      const answer = await body(client)
      await client.query("COMMIT")
      return answer
    } catch (error) {
      await client.query("ROLLBACK")
      throw error
    } finally {
      client.release()
    }
  }
  const trans = (turn: number, count: number) =>
    transaction(async (client) => {
      for (const step of stepsOf(turn, count)) await client.query(config(step.name, [...step.params]))
    })
  return promiseSession(
    {
      ...single(pool),
      trans3: (turn) => trans(turn, 3),
      trans100: (turn) => trans(turn, 100),
      interactive: (turn) =>
        transaction(async (client) => {
          const [step] = stepsOf(turn, 1)
          const account = step?.params[1]
          await rowsOf(client, "balance", [account])
          await rowsOf(client, "give", [1, account])
        }),
      stream: async () => {
        const client = await pool.connect()
        let count = 0
        let sum = 0
        for await (const row of client.query(new QueryStream(text.stream, [], { batchSize: 1000 }))) {
          count++
          sum += row.id
        }
        client.release()
        return { count, sum }
      }
    },
    () => pool.end()
  )
}
