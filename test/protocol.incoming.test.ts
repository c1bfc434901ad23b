/** Links read into one buffer, which the next chunk overwrites: nothing that was read before may change with it. */
import { Buffer } from "node:buffer"
import { createHash } from "node:crypto"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import * as MessageReader from "../src/protocol/MessageReader.ts"
import { withDatabase } from "./support/handle.ts"

const messageOf = (content: Uint8Array): Buffer => {
  const head = Buffer.from("D\0\0\0\0")
  head.writeInt32BE(content.length + 4, 1)
  return Buffer.concat([head, content])
}

it("messages come whole, however they are cut into chunks that overwrite each other", () => {
  const contents = fc.array(fc.uint8Array({ maxLength: 60 }), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(contents, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (contents, sizes) => {
      const sent = Buffer.concat(contents.map(messageOf))
      const taken: Array<string> = []
      const reader = MessageReader.make((_, bytes, start, end) => {
        taken.push(bytes.toString("hex", start, end))
      })
      const shared = Buffer.alloc(64)
      for (let at = 0, turn = 0; at < sent.length; turn++) {
        const size = sizes[turn % sizes.length]!
        shared.fill(0xff)
        reader.push(shared.subarray(0, sent.copy(shared, 0, at, at + size)))
        at += size
      }
      expect(taken).toEqual(contents.map((content) => Buffer.from(content).toString("hex")))
    })
  )
})

const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex")

const blobs = `select id, data, array[data, data] as two, md5(data) as hash from blobs where id % 8 = $1 order by id`

withDatabase(
  "bytes that many connections read at once are those that the server has",
  [
    `create table blobs as select i as id, string_agg(sha512((i || ' ' || j)::text::bytea), ''::bytea) as data
     from generate_series(1, 64) i, lateral generate_series(1, i * 60) j group by i`
  ],
  ({ pgdb }) =>
    Effect.gen(function* () {
      const part = (turn: number) =>
        turn % 2 === 0 ? pgdb.select(blobs, [turn % 8]) : Stream.runCollect(pgdb.stream(blobs, [turn % 8]))
      const parts = yield* Effect.all(
        Array.from({ length: 32 }, (_, turn) => part(turn)),
        {
          concurrency: "unbounded"
        }
      )
      const rows = parts.flatMap((rows) => [...rows])
      expect(rows.length).toBe(32 * 8)
      for (const { data, hash, two } of rows) {
        const all = [data, ...(Array.isArray(two) ? two : [])]
        expect(all.map((value) => (value instanceof Uint8Array ? md5(value) : value))).toEqual([
          hash,
          hash,
          hash
        ])
      }
    })
)
