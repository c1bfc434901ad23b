/**
 * What an operation costs on the wire, counted and not timed: round trips, messages, bytes, connections. A figure that
 * changes fails here; one that got better is written down anew.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { PG, PoolRegistry } from "effect-global-pool"
import { database, type TestDatabase } from "./support/database.ts"
import { lettersOf, tally } from "./support/letters.ts"
import { type Proxy, proxy } from "./support/proxy.ts"
import type { TestServer } from "./support/server.ts"

interface Wire {
  readonly roundTrips: number
  /** Messages sent, by letter. */
  readonly sent: string
  readonly toServer: number
  readonly toClient: number
}

/** Runs an operation and counts what it caused. */
const counted = <A, E, R>(link: Proxy, operation: Effect.Effect<A, E, R>): Effect.Effect<Wire, E, R> =>
  Effect.suspend(() => {
    const before = { roundTrips: link.roundTrips(), bytes: link.bytes(), sent: link.sent().length }
    return Effect.map(operation, () => {
      const bytes = link.bytes()
      return {
        roundTrips: link.roundTrips() - before.roundTrips,
        sent: tally(lettersOf(link.sent().slice(before.sent))),
        toServer: bytes.toServer - before.bytes.toServer,
        toClient: bytes.toClient - before.bytes.toClient
      }
    })
  })

interface Given {
  readonly link: Proxy
  readonly pgdb: PG.Database
  readonly users: PG.Table
  readonly settings: TestServer
  readonly connect: TestDatabase["connect"]
}

/** A test through a counting proxy, on a table of a hundred users; on one connection by default. */
const throughProxy = <E>(
  name: string,
  body: (given: Given) => Effect.Effect<void, E, PoolRegistry | Scope.Scope>,
  maxConnections = 1
): void =>
  it.live(name, () =>
    Effect.gen(function* () {
      const { connect, settings, witness } = yield* database()
      yield* witness.query("create table users (id int primary key, name text not null)")
      yield* witness.query("insert into users select i, 'user ' || i from generate_series(1, 100) i")
      const link = yield* proxy(settings)
      const linked = { ...settings, ...link.address }
      const pgdb = PG.make({ ...linked, maxConnections })
      yield* body({ link, pgdb, users: pgdb.table("users"), settings: linked, connect })
    }).pipe(Effect.provide(PoolRegistry.layer()))
  )

const byId = "select id, name from users where id = $1"
const rename = "update users set name = $1 where id = $2"
const renames = (count: number) =>
  Array.from({ length: count }, (_, index) => [rename, [`name ${index % 10}`, index + 1]] as const)

describe("what operations cost on the wire", () => {
  throughProxy("a select: one round trip, parsed the first time only", ({ link, users }) =>
    Effect.gen(function* () {
      yield* users.select("select 1")
      const first = yield* counted(link, users.select(byId, [42]))
      const again = yield* counted(link, users.select(byId, [43]))
      expect(first).toEqual({ roundTrips: 1, sent: "P1 D1 B1 E1 S1", toServer: 100, toClient: 116 })
      expect(again).toEqual({ roundTrips: 1, sent: "B1 E1 S1", toServer: 38, toClient: 51 })
    })
  )

  throughProxy("a write: the same", ({ link, users }) =>
    Effect.gen(function* () {
      yield* users.execute(rename, ["a", 1])
      const again = yield* counted(link, users.execute(rename, ["b", 1]))
      expect(again).toEqual({ roundTrips: 1, sent: "B1 E1 S1", toServer: 40, toClient: 25 })
    })
  )

  throughProxy(
    "trans: one round trip and one Sync, for three statements as for a hundred",
    ({ link, users }) =>
      Effect.gen(function* () {
        yield* users.trans(renames(1))
        const three = yield* counted(link, users.trans(renames(3)))
        const hundred = yield* counted(link, users.trans(renames(100)))
        expect(three).toEqual({ roundTrips: 1, sent: "B5 E5 S1", toServer: 175, toClient: 96 })
        expect(hundred).toEqual({ roundTrips: 1, sent: "B102 E102 S1", toServer: 4147, toClient: 1939 })
        expect(yield* counted(link, users.trans([]))).toEqual({
          roundTrips: 0,
          sent: "",
          toServer: 0,
          toClient: 0
        })
      })
  )

  throughProxy(
    "a transaction: one round trip per statement and one for COMMIT, none for BEGIN",
    ({ link, users }) =>
      Effect.gen(function* () {
        yield* users.select(byId, [1])
        const three = yield* counted(
          link,
          users.transaction(Effect.forEach([1, 2, 3], (id) => users.select(byId, [id])))
        )
        const nothing = yield* counted(link, users.transaction(Effect.void))
        expect(three).toEqual({ roundTrips: 4, sent: "P2 D2 B5 E5 S4", toServer: 217, toClient: 223 })
        expect(nothing).toEqual({ roundTrips: 0, sent: "", toServer: 0, toClient: 0 })
      })
  )

  throughProxy("tables without SQL: one round trip each, parsed the first time only", ({ link, users }) =>
    Effect.gen(function* () {
      yield* users.find({ id: 1 })
      const find = yield* counted(link, users.find({ id: 2 }))
      yield* users.insert({ id: 500, name: "x" })
      const insert = yield* counted(link, users.insert({ id: 501, name: "y" }))
      expect(find).toEqual({ roundTrips: 1, sent: "B1 E1 S1", toServer: 37, toClient: 50 })
      expect(insert).toEqual({ roundTrips: 1, sent: "B1 E1 S1", toServer: 44, toClient: 47 })
    })
  )

  throughProxy(
    "insertMany: one round trip for a thousand rows, once the table's columns are known",
    ({ link, users }) =>
      Effect.gen(function* () {
        const rows = (from: number) =>
          Array.from({ length: 1000 }, (_, index) => ({ id: from + index, name: "user" }))
        const first = yield* counted(link, users.insertMany(rows(1000)))
        const again = yield* counted(link, users.insertMany(rows(2000)))
        const inside = yield* counted(link, users.transaction(users.insertMany(rows(3000))))
        expect(first.roundTrips).toBeLessThanOrEqual(6)
        expect([again.roundTrips, again.sent]).toEqual([1, "P1 D1 B2 E2 S1 d1 c1"])
        // The digest of the table, a number as text, has no fixed length.
        expect(Math.abs(again.toServer - 18_172)).toBeLessThanOrEqual(4)
        expect([inside.roundTrips, inside.sent]).toEqual([2, "P4 D4 B5 E5 S2 d1 c1"])
      })
  )

  throughProxy("a stream: two round trips, and one once its statement is known", ({ link, users }) =>
    Effect.gen(function* () {
      const stream = Stream.runDrain(users.stream("select * from users"))
      yield* users.select("select 1")
      const first = yield* counted(link, stream)
      const again = yield* counted(link, stream)
      expect(first).toEqual({ roundTrips: 2, sent: "P1 D1 B1 E2 S2", toServer: 91, toClient: 2692 })
      expect(again).toEqual({ roundTrips: 1, sent: "B1 E2 S1", toServer: 47, toClient: 2623 })
    })
  )

  throughProxy(
    "a FETCH: two round trips, and a missing cursor fails its transaction",
    ({ link, users, pgdb }) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(
          pgdb.transaction(
            Effect.gen(function* () {
              yield* users.execute("declare c cursor for select id from users order by id")
              const first = yield* counted(link, users.select("fetch 2 from c"))
              expect(first.roundTrips).toBe(2)
              expect(yield* users.select("fetch 1 from c")).toEqual([{ id: 3 }])
              yield* users.select("fetch 1 from d")
            })
          )
        )
        expect(error.message).toContain('cursor "d" does not exist')
      })
  )

  throughProxy("64 short selects at once share their connection, with a Sync each", ({ link, users }) =>
    Effect.gen(function* () {
      for (const id of [1, 2, 3]) yield* users.select(byId, [id])
      const ids = Array.from({ length: 64 }, (_, index) => index + 1)
      const selects = Effect.forEach(ids, (id) => users.select(byId, [id]), { concurrency: "unbounded" })
      const found = yield* Effect.repeat(counted(link, selects), {
        until: ({ roundTrips }) => roundTrips <= 2,
        times: 50
      })
      expect(found.sent).toBe("B64 E64 S64")
      expect(found.roundTrips).toBeLessThanOrEqual(2)
    })
  )

  throughProxy("a pool's first row: no round trip more than the driver's own", (given) =>
    Effect.gen(function* () {
      const { connect, link, settings, users } = given
      const driver = yield* counted(
        link,
        Effect.scoped(Effect.flatMap(connect(settings), ({ query }) => query("select 1")))
      )
      const pool = yield* counted(link, users.select("select 1"))
      expect(pool.roundTrips).toBeLessThanOrEqual(driver.roundTrips)
    })
  )

  throughProxy(
    "one caller after another: one connection of ten",
    ({ link, users }) =>
      Effect.gen(function* () {
        yield* Effect.forEach(Array.from({ length: 50 }), () => users.select(byId, [1]))
        expect(link.opened()).toBe(1)
        yield* Effect.forEach(Array.from({ length: 200 }), () => users.select(byId, [1]), {
          concurrency: "unbounded"
        })
        expect(link.opened()).toBeLessThanOrEqual(10)
      }),
    10
  )
})
