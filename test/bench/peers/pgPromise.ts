/** `pg-promise` with prepared statements on its pool of 10. */
import pgPromise from "pg-promise"
import { bulkColumns, bulkRows, chunksOf, personOf, stepsOf, text } from "../data.ts"
import { type Open, promiseSession } from "./Peer.ts"

export const open: Open = async (target, sizes) => {
  const pgp = pgPromise({ noWarnings: true })
  const { username: user, ...where } = target
  const db = pgp({ ...where, user, max: 10, idleTimeoutMillis: 0 })
  const rows = bulkRows(sizes.bulk)
  const columns = new pgp.helpers.ColumnSet([...bulkColumns], { table: "bulk" })
  const prepared = (name: keyof typeof text, values: Array<unknown>) =>
    new pgPromise.PreparedStatement({ name, text: text[name], values })
  const trans = (turn: number, count: number) =>
    db.tx((t) => t.batch(stepsOf(turn, count).map((step) => t.none(prepared(step.name, [...step.params])))))

  return promiseSession(
    {
      pointSelect: (turn) => db.any(prepared("pointSelect", [personOf(turn, sizes)])),
      rows1000: () => db.any(prepared("rows1000", [])),
      insertOne: (turn) => db.none(prepared("insertOne", [`name ${turn}`, turn])),
      trans3: (turn) => trans(turn, 3),
      trans100: (turn) => trans(turn, 100),
      interactive: (turn) =>
        db.tx(async (t) => {
          const account = stepsOf(turn, 1)[0]?.params[1]
          await t.any(prepared("balance", [account]))
          await t.none(prepared("give", [1, account]))
        }),
      insertMany: () =>
        db.tx(async (t) => {
          for (const chunk of chunksOf(rows)) await t.none(pgp.helpers.insert(chunk, columns))
        }),
      slow: () => db.any(prepared("slow", []))
    },
    () => db.$pool.end()
  )
}
