/**
 * A real server's answers to a short program, played back with one thing wrong: cut off at every byte, a bit flipped, messages
 * in another order, missing or twice. Each run ends in time, with rows or with a typed error, and leaves no connection.
 */
import * as Net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { isSqlError } from "effect/sql/SqlError"
import { PG, PoolError, PoolRegistry } from "effect-global-pool"
import * as fc from "fast-check"
import { database, eventually } from "./support/database.ts"
import { type Liar, liar, message } from "./support/liar.ts"
import type { TestServer } from "./support/server.ts"

const one = "select $1::int as one, 'a text' as two, now() as three, array[1, null] as four"

const program = (pgdb: PG.Database) =>
  Effect.gen(function* () {
    yield* pgdb.select(one, [1])
    yield* pgdb.select(one, [2])
    yield* Effect.ignore(pgdb.select("select 1 / 0"))
    yield* Stream.runDrain(pgdb.stream("select i, repeat('x', 20) from generate_series(1, 20) i"))
    yield* pgdb.trans([[one, [3]], "select 2 as n"])
    yield* pgdb.transaction(pgdb.transaction(pgdb.select(one, [4])))
  })

/** What the server says each time that the client has said something. */
const record = (server: TestServer) =>
  Effect.gen(function* () {
    const turns: Array<Array<Buffer>> = []
    const between = yield* Effect.acquireRelease(
      Effect.callback<Net.Server>((resume) => {
        const proxy = Net.createServer({ noDelay: true }, (client) => {
          const upstream = Net.connect({ host: server.host, port: server.port, noDelay: true })
          client.on("data", (chunk) => {
            turns.push([])
            upstream.write(chunk)
          })
          upstream.on("data", (chunk) => {
            turns.at(-1)?.push(chunk)
            client.write(chunk)
          })
          client.on("close", () => upstream.destroy())
          for (const socket of [client, upstream]) socket.on("error", () => undefined)
        })
        proxy.listen(0, "127.0.0.1", () => resume(Effect.succeed(proxy)))
      }),
      (proxy) => Effect.sync(() => proxy.close())
    )
    const address = between.address()
    const port = typeof address === "object" ? (address?.port ?? 0) : 0
    yield* program(PG.make({ ...server, host: "127.0.0.1", port, maxConnections: 1 })).pipe(
      Effect.provide(PoolRegistry.layer())
    )
    const said = turns.map((pieces) => Buffer.concat(pieces))
    // The client is let in without a password when it is played back.
    const accepted = message("R", 0)
    const opening = said.findIndex((bytes) => bytes.includes(accepted))
    const first = said[opening]!
    return [first.subarray(first.indexOf(accepted)), ...said.slice(opening + 1)].filter(
      ({ length }) => length > 0
    )
  })

const playing = (turns: ReadonlyArray<Buffer>) => liar((turn) => turns[turn], 100)

/** Runs the program against what is played back; says what it came to. */
const run = Effect.fnUntraced(function* ({ address, open }: Liar) {
  const pgdb = PG.make({ ...address, username: "u", database: "d", connectTimeout: 300, maxConnections: 1 })
  const result = yield* program(pgdb).pipe(
    Effect.result,
    Effect.timeout("5 seconds"),
    Effect.provide(PoolRegistry.layer())
  )
  if (result._tag === "Failure") {
    assert.isTrue(isSqlError(result.failure) || result.failure instanceof PoolError, String(result.failure))
  }
  yield* eventually("no connection is left", Effect.sync(open), (count) => count === 0)
  return result._tag
})

/** The messages in some bytes. */
const messagesOf = (bytes: Buffer): Array<Buffer> => {
  const messages: Array<Buffer> = []
  for (let at = 0; at + 5 <= bytes.length; ) {
    const end = at + 1 + bytes.readInt32BE(at + 1)
    messages.push(bytes.subarray(at, end))
    at = end
  }
  return messages
}

const test = (name: string, body: (turns: ReadonlyArray<Buffer>) => Effect.Effect<void, unknown, never>) =>
  it.live(
    name,
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const { settings } = yield* database()
          const turns = yield* record(settings)
          assert.strictEqual(yield* Effect.scoped(Effect.flatMap(playing(turns), run)), "Success")
          yield* body(turns)
        })
      ),
    120_000
  )

/** The same numbers in each run. */
const numbers = (numRuns: number) => fc.sample(fc.tuple(fc.nat(), fc.nat(), fc.nat()), { numRuns, seed: 20 })

const play = (turns: ReadonlyArray<Buffer>) => Effect.scoped(Effect.flatMap(playing(turns), run))

describe("a server's answers, with one thing wrong", () => {
  test("cut off at every byte", (turns) =>
    Effect.gen(function* () {
      const total = turns.reduce((sum, { length }) => sum + length, 0)
      const cuts = Array.from({ length: total }, (_, at) => {
        const kept: Array<Buffer> = []
        for (let left = at, turn = 0; left > 0; turn++) {
          kept.push(turns[turn]!.subarray(0, left))
          left -= turns[turn]!.length
        }
        return kept
      })
      yield* Effect.forEach(cuts, (kept) => cutOff(kept), { concurrency: 8, discard: true })
    }))

  test("a bit flipped, four hundred times", (turns) =>
    Effect.forEach(
      numbers(400),
      ([turn, place, bit]) => {
        const mutated = turns.map((bytes) => Buffer.from(bytes))
        const bytes = mutated[turn % mutated.length]!
        const at = place % bytes.length
        bytes[at] = bytes[at]! ^ (1 << (bit % 8))
        return play(mutated)
      },
      { concurrency: 8, discard: true }
    ))

  test("messages in another order, missing or twice, three hundred times", (turns) =>
    Effect.forEach(
      numbers(300),
      ([some, from, to], index) => {
        const turn = some % turns.length
        const messages = messagesOf(turns[turn]!)
        const at = from % messages.length
        if (index % 3 === 0) messages.splice(at, 1)
        else if (index % 3 === 1) messages.splice(at, 0, messages[at]!)
        else messages.splice(to % messages.length, 0, ...messages.splice(at, 1))
        return play(turns.map((bytes, place) => (place === turn ? Buffer.concat(messages) : bytes)))
      },
      { concurrency: 8, discard: true }
    ))
})

/** Plays what is kept, and ends the connection behind it. */
const cutOff = (kept: ReadonlyArray<Buffer>) =>
  Effect.scoped(
    Effect.flatMap(
      liar((turn, _heard, socket) => {
        const bytes = kept[turn]
        if (turn < kept.length - 1) return bytes
        if (bytes !== undefined) socket.write(bytes)
        return undefined
      }),
      run
    )
  )
