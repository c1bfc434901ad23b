/** Texts of every length, of ASCII and of anything else: short ones are read in a way of their own. */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { ascii } from "../src/types/Ascii.ts"
import { database } from "./support/database.ts"
import { typed } from "./support/typed.ts"

const letters = "abcdefghijklmnopqrstuvwxyz 0123456789"

it.effect(
  "texts of up to 40 characters come as the server has them, with any other character at any place",
  () =>
    Effect.gen(function* () {
      const db = yield* database()
      const { run } = yield* typed(db.settings)
      const rows = yield* run(
        `select size, place, other, value, length(value) as length, encode(convert_to(value, 'UTF8'), 'hex') as bytes,
         array[value] as list, value::varchar as varchar, value::bpchar as bpchar
       from generate_series(0, 40) size,
         unnest(array['', 'é', '€', '😀', chr(127), chr(128), chr(65533)]) other,
         generate_series(0, size) place,
         lateral (select substr('${letters}${letters}', 1, place) || other || substr('${letters}${letters}', place + 1, size - place) as value) v`
      )
      expect(rows.length).toBe(7 * 861)
      for (const { bytes, bpchar, list, other, place, size, value, varchar } of rows) {
        const plain = `${letters}${letters}`.slice(0, Number(size))
        const expected = plain.slice(0, Number(place)) + String(other) + plain.slice(Number(place))
        expect(value).toBe(expected)
        expect(Buffer.from(expected).toString("hex")).toBe(bytes)
        expect([list, varchar, bpchar]).toEqual([[expected], expected, expected])
      }
    })
)

it("up to 24 bytes are read as ASCII, none of which is past it", () => {
  const bytes = Uint8Array.from({ length: 64 }, (_, index) => (index * 41) % 128)
  for (let size = 0; size <= 30; size++) {
    for (let start = 0; start <= 3; start++) {
      const plain = Buffer.from(bytes).toString("latin1", start, start + size)
      expect(ascii(bytes, start, size)).toBe(size <= 24 ? plain : undefined)
      for (let place = 0; place < size; place++) {
        const other = Uint8Array.from(bytes)
        other[start + place] = 128
        expect(ascii(other, start, size)).toBeUndefined()
      }
    }
  }
})
