/**
 * Tokens are found where Postgres finds them, in any text, in linear time.
 */
import { expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { tokenAt, valueOf } from "../src/statement/Scan.ts"

const tokens = (text: string) => {
  const found: Array<string> = []
  for (let token = tokenAt(text, 0); token.kind !== "end"; token = tokenAt(text, token.end)) {
    found.push(`${token.kind} ${valueOf(text, token)}`)
  }
  return found
}

it.each<readonly [text: string, expected: ReadonlyArray<string>]>([
  ["Select a_1$", ["word select", "word a_1$"]],
  ["/* a /* b */ c */ x -- y\nz", ["word x", "word z"]],
  ["'it''s' x", ["string it's", "word x"]],
  ["'back\\' x", ["string back\\", "word x"]],
  ["E'a\\'b' x", ["string a\\'b", "word x"]],
  ["e'a' \n 'b\\'c' x", ["string a' \n 'b\\'c", "word x"]],
  ["e'a' 'b\\' x", ["string a", "string b\\", "word x"]],
  ["e'a' -- 'c\n'b\\'c' x", ["string a' -- 'c\n'b\\'c", "word x"]],
  ["N'a' B'01' x'1F'", ["string a", "string 01", "string 1F"]],
  ["U&'d\\0061t' U&\"d\\+000061t\"", ["string dat", "name dat"]],
  ['"a""B" x', ['name a"B', "word x"]],
  ["$$a 'b$$ x", ["string a 'b", "word x"]],
  ["$a$ $$ $b$ $a$ x", ["string  $$ $b$ ", "word x"]],
  ["a$b$c $1 $12::int", ["word a$b$c", "parameter $1", "parameter $12", "symbol :", "symbol :", "word int"]],
  ["$ $a x", ["symbol $", "symbol $", "word a", "word x"]],
  [
    "1 1.5 .5 1e10 1.5E-3 1_000 1..2",
    [
      "number 1",
      "number 1.5",
      "number .5",
      "number 1e10",
      "number 1.5E-3",
      "number 1_000",
      "number 1",
      "symbol .",
      "number .2"
    ]
  ],
  ["a-/*b*/-c", ["word a", "symbol -", "symbol -", "word c"]],
  ["a--b", ["word a"]],
  ["größe Ω", ["word größe", "word ω"]],
  ["'open", ["string ope"]],
  ["x /* open /* */", ["word x", "symbol /* open /* */"]],
  ["", []]
])("%j", (text, expected) => {
  expect(tokens(text)).toEqual(expected)
})

it("any text has tokens, in order and without gaps other than white space and comments", () => {
  const pieces = fc.constantFrom(
    "'",
    '"',
    "$",
    "$a$",
    "/*",
    "*/",
    "--",
    "\n",
    " ",
    "E'",
    'U&"',
    "\\",
    "a",
    "1",
    ".",
    ";",
    "(",
    "é",
    "😀",
    "\u0000"
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: "binary" }),
        fc.array(pieces, { maxLength: 60 }).map((parts) => parts.join(""))
      ),
      (text) => {
        let at = 0
        for (let token = tokenAt(text, 0); token.kind !== "end"; token = tokenAt(text, token.end)) {
          expect(token.start).toBeGreaterThanOrEqual(at)
          expect(token.end).toBeGreaterThan(token.start)
          expect(token.end).toBeLessThanOrEqual(text.length)
          expect(valueOf(text, token)).toBeTypeOf("string")
          at = token.end
        }
      }
    ),
    { numRuns: 2000 }
  )
})
