/** Checks that a peer gives the same rows and leaves the same data behind as the others. */
import type { Client } from "pg"
import { bulkRows, clean, type Operation, personOf, type Sizes, stepsOf, text } from "./data.ts"

const turn = 77

/** Libraries show a timestamp as a Date, a text or milliseconds, and a bigint in three ways; the value is the same. */
const plain = (column: string, value: unknown): unknown => {
  if (column === "created_at") {
    return new Date(value instanceof Date || typeof value === "number" ? value : String(value)).toISOString()
  }
  return column === "visits" ? String(value) : value
}

const plainRows = (rows: unknown): string =>
  JSON.stringify(
    Array.isArray(rows)
      ? rows.map((row: object) =>
          Object.entries(row).map(([column, value]) => [column, plain(column, value)])
        )
      : rows
  )

/** What the answer to an operation has to be, or after a writing one the tables. */
const expected = async (admin: Client, operation: Operation, sizes: Sizes): Promise<string | undefined> => {
  switch (operation) {
    case "pointSelect":
      return plainRows((await admin.query(text.pointSelect, [personOf(turn, sizes)])).rows)
    case "rows1000":
      return plainRows((await admin.query(text.rows1000)).rows)
    case "stream":
      return JSON.stringify({ count: sizes.events, sum: (sizes.events * (sizes.events + 1)) / 2 })
    default:
      return undefined
  }
}

const witness: Partial<Record<Operation, string>> = {
  insertOne: "select name, amount from inserts",
  trans3: "select source, target, amount from transfers",
  trans100: "select count(*)::int, min(source), max(target), sum(amount)::int from transfers",
  insertMany:
    "select count(*)::int, sum(id)::text as ids, round(sum(score))::int as score, count(*) filter (where active)::int as active, max(at)::timestamptz(0) at time zone 'UTC' = to_timestamp($1) at time zone 'UTC' as at, min(length(name)) as name from bulk"
}

const left = (operation: Operation, sizes: Sizes): unknown => {
  const step = stepsOf(turn, 3)[2]?.params
  switch (operation) {
    case "insertOne":
      return [{ name: `name ${turn}`, amount: turn }]
    case "trans3":
      return [{ source: step?.[0], target: step?.[1], amount: 1 }]
    case "trans100":
      return [{ count: 33, min: step?.[0], max: step?.[1], sum: 33 }]
    case "insertMany": {
      const rows = bulkRows(sizes.bulk)
      return [
        {
          count: rows.length,
          ids: String((rows.length * (rows.length + 1)) / 2),
          score: Math.round(rows.reduce((sum, row) => sum + row.score, 0)),
          active: rows.filter((row) => row.active).length,
          at: true,
          name: "name of row 1".length
        }
      ]
    }
    default:
      return undefined
  }
}

/** Runs the operation once and says what is wrong with the outcome, or nothing. */
export const verify = async (
  admin: Client,
  operation: Operation,
  sizes: Sizes,
  once: (turn: number) => Promise<unknown>
): Promise<string | undefined> => {
  await clean(admin)
  const answer = await once(turn)
  const rows = await expected(admin, operation, sizes)
  if (rows !== undefined && plainRows(answer) !== rows)
    return `other rows: ${plainRows(answer).slice(0, 200)}`
  const statement = witness[operation]
  if (statement === undefined) return undefined
  const last = bulkRows(sizes.bulk).at(-1)?.at.getTime() ?? 0
  const found = await admin.query(statement, operation === "insertMany" ? [last / 1000] : [])
  return JSON.stringify(found.rows) === JSON.stringify(left(operation, sizes))
    ? undefined
    : `other data left behind: ${JSON.stringify(found.rows).slice(0, 200)}`
}
