/**
 * What stands between the driver and its socket, against a server made of random answers: whatever shares a `Sync`, and
 * however the network cuts what comes back, the driver reads what it would have read without.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Answers from "../src/pool/Answers.ts"
import type { Share } from "../src/pool/Gather.ts"
import * as Wire from "../src/pool/Wire.ts"

const message = (letter: string, body: Uint8Array | string = ""): Buffer => {
  const bytes = Buffer.from(body)
  const frame = Buffer.alloc(5 + bytes.length)
  frame.write(letter, "latin1")
  frame.writeUInt32BE(4 + bytes.length, 1)
  bytes.copy(frame, 5)
  return frame
}

interface Statement {
  readonly name: string
  /** Sent with the messages that prepare it. */
  readonly parsed: boolean
  readonly rows: number
  readonly width: number
  readonly fails: boolean
}

const framesOf = ({ name, parsed }: Statement, id: number): Buffer =>
  Buffer.concat([
    ...(parsed ? [message("P", `${name}\0select\0\0\0`)] : []),
    message("B", `\0${name}\0${id}`),
    ...(parsed ? [message("D", "P\0")] : []),
    message("E", "\0\0\0\0\0"),
    message("S")
  ])

const ready = message("Z", "I")
const inTransaction = message("Z", "T")
/** What the server says to a statement in a transaction that failed, without its `ReadyForQuery`. */
const abortedAlone = Answers.aborted.subarray(0, -ready.length)
const failure = (id: number): Buffer => message("E", `SERROR\0VERROR\0C22012\0Mof ${id}\0\0`)

const answerOf = ({ fails, parsed, rows, width }: Statement, id: number): Buffer =>
  Buffer.concat([
    ...(parsed ? [message("1")] : []),
    ...(fails
      ? [failure(id)]
      : [
          message("2"),
          ...(parsed ? [message("T", Buffer.alloc(2))] : []),
          ...Array.from({ length: rows }, (_, row) => message("D", `${id}.${row}`.padEnd(width, "CZE"))),
          message("C", `SELECT ${rows}\0`)
        ])
  ])

/** The statements under each `Sync` of a write, by what was sent with `Bind`. */
const runsOf = (bytes: Uint8Array): ReadonlyArray<ReadonlyArray<number>> => {
  const runs: Array<Array<number>> = [[]]
  const all = Buffer.from(bytes)
  for (let at = 0; at < all.length; ) {
    const end = at + 1 + all.readUInt32BE(at + 1)
    const letter = String.fromCharCode(all[at]!)
    if (letter === "B")
      runs[runs.length - 1]!.push(Number(all.toString("latin1", at + 5, end).split("\0")[2]))
    if (letter === "S") runs.push([])
    at = end
  }
  assert.deepStrictEqual(runs.pop(), [])
  return runs
}

const statement: fc.Arbitrary<Statement> = fc.record({
  name: fc.constantFrom("s1", "s2", "s22"),
  parsed: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
  rows: fc.integer({ min: 0, max: 3 }),
  width: fc.integer({ min: 0, max: 40 }),
  fails: fc.integer({ min: 0, max: 30 }).map((n) => n === 0)
})

const write = fc.record({
  statements: fc.array(statement, { minLength: 1, maxLength: 80 }).chain((some) =>
    // Long stretches of the same statement, as callers send them.
    fc.constantFrom(
      some,
      some.map((one) => ({ ...one, name: "s1", parsed: false }))
    )
  ),
  share: fc.constantFrom<Share[]>("none", "alike", "alike")
})

const observer: Wire.Observer = {
  onKey: () => undefined,
  onTypes: () => undefined,
  onFarewell: () => undefined,
  onReady: () => undefined,
  isCancelling: () => false
}

describe("statements that share a Sync", () => {
  it("are read by the driver as if each had its own, or sent again where one of them fails", () => {
    let shared = 0
    let repeated = 0
    fc.assert(
      fc.property(
        fc.array(write, { minLength: 1, maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 }),
        (writes, cuts) => {
          let share: Share = "none"
          const wire = Wire.make(observer, () => share)
          const statements: Array<Statement> = []
          const fromServer: Array<Uint8Array> = []
          const expected: Array<Uint8Array> = []
          for (const one of writes) {
            const first = statements.length
            statements.push(...one.statements)
            share = one.share
            const sent = wire.outgoing(
              Buffer.concat(one.statements.map((each, index) => framesOf(each, first + index)))
            )
            const runs = runsOf(sent)
            assert.deepStrictEqual(
              runs.flat(),
              one.statements.map((_, index) => first + index)
            )
            for (const run of runs) {
              const members = run.map((id) => statements[id]!)
              const failing = members.findIndex(({ fails }) => fails)
              const answered = failing < 0 ? run.length : failing + 1
              fromServer.push(...run.slice(0, answered).map((id) => answerOf(statements[id]!, id)), ready)
              if (run.length === 1) expected.push(answerOf(members[0]!, run[0]!), ready)
              else {
                assert.strictEqual(one.share, "alike")
                assert.isAtMost(run.length, 64)
                assert.isTrue(members.every(({ name, parsed }) => !parsed && name === members[0]!.name))
                shared++
                if (failing >= 0) repeated++
                expected.push(
                  ...run.flatMap<Uint8Array>((id, index) =>
                    failing < 0
                      ? [answerOf(statements[id]!, id), ready]
                      : index === failing
                        ? [failure(id), ready]
                        : [Answers.unprepared]
                  )
                )
              }
            }
          }
          const bytes = Buffer.concat(fromServer)
          const read: Array<Uint8Array> = []
          for (let at = 0, turn = 0; at < bytes.length; turn++) {
            const end = Math.min(bytes.length, at + cuts[turn % cuts.length]!)
            read.push(...wire.incoming(bytes.subarray(at, end)))
            at = end
          }
          assert.strictEqual(
            Buffer.concat(read).toString("latin1"),
            Buffer.concat(expected).toString("latin1")
          )
        }
      ),
      { numRuns: 500 }
    )
    assert.isAbove(shared, 100)
    assert.isAbove(repeated, 10)
  })

  it("in a transaction are read as the server would have answered each", () => {
    let shared = 0
    fc.assert(
      fc.property(
        fc.array(statement, { minLength: 1, maxLength: 100 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 }),
        (statements, cuts) => {
          const wire = Wire.make(observer, () => "prepared")
          const begin: Statement = { name: "", parsed: true, rows: 0, width: 0, fails: false }
          const all = [begin, ...statements]
          const runs = runsOf(wire.outgoing(Buffer.concat(all.map(framesOf))))
          assert.deepStrictEqual(
            runs.flat(),
            all.map((_, index) => index)
          )
          shared += runs.filter(({ length }) => length > 1).length
          for (const run of runs) {
            assert.isAtMost(run.length, 64)
            assert.isTrue(run.length === 1 || run.every((id) => !all[id]!.parsed))
          }
          /** What a server answers to these, each with a `Sync` of its own or not. */
          const answers = (groups: ReadonlyArray<ReadonlyArray<number>>): Buffer => {
            let hasFailed = false
            const parts: Array<Uint8Array> = []
            for (const group of groups) {
              for (const id of group) {
                const one = all[id]!
                if (hasFailed) parts.push(abortedAlone)
                else parts.push(answerOf(one, id))
                if (hasFailed || one.fails) {
                  hasFailed = true
                  break
                }
              }
              parts.push(hasFailed ? message("Z", "E") : inTransaction)
            }
            return Buffer.concat(parts)
          }
          const bytes = answers(runs)
          const read: Array<Uint8Array> = []
          for (let at = 0, turn = 0; at < bytes.length; turn++) {
            const end = Math.min(bytes.length, at + cuts[turn % cuts.length]!)
            read.push(...wire.incoming(bytes.subarray(at, end)))
            at = end
          }
          assert.strictEqual(
            Buffer.concat(read).toString("latin1"),
            answers(all.map((_, index) => [index])).toString("latin1")
          )
        }
      ),
      { numRuns: 500 }
    )
    assert.isAbove(shared, 100)
  })

  const alike = (count: number, fails: number): ReadonlyArray<Statement> =>
    Array.from({ length: count }, (_, index) => ({
      name: "s1",
      parsed: false,
      rows: 1,
      width: 10,
      fails: index === fails
    }))
  const framesOfAll = (statements: ReadonlyArray<Statement>) =>
    Buffer.concat(statements.map((each, index) => framesOf(each, index)))

  it("are not read before the server has said that all of them are done", () => {
    const wire = Wire.make(observer, () => "alike")
    const statements = alike(5, -1)
    assert.lengthOf(runsOf(wire.outgoing(framesOfAll(statements))), 1)
    assert.isEmpty(wire.incoming(Buffer.concat(statements.map(answerOf))))
    assert.strictEqual(
      Buffer.concat(wire.incoming(ready)).toString("latin1"),
      Buffer.concat(statements.flatMap((each, index) => [answerOf(each, index), ready])).toString("latin1")
    )
  })

  it("have a Sync each for a while after one failed", () => {
    const wire = Wire.make(observer, () => "alike")
    const statements = alike(16, 7)
    const count = () => runsOf(wire.outgoing(framesOfAll(statements))).length
    assert.strictEqual(count(), 1)
    wire.incoming(Buffer.concat([failure(7), ready]))
    const after = Array.from({ length: 36 }, count)
    assert.deepStrictEqual(
      after.slice(0, 32),
      Array.from({ length: 32 }, () => 16)
    )
    assert.deepStrictEqual(after.slice(32), [1, 16, 16, 16])
  })

  const read = (pieces: ReadonlyArray<Uint8Array>) => Buffer.concat(pieces).toString("latin1")

  it("are each told of the cancel that hit one of them, since it was meant for all", () => {
    const wire = Wire.make({ ...observer, isCancelling: () => true }, () => "alike")
    const statements = alike(3, 1)
    wire.outgoing(framesOfAll(statements))
    assert.strictEqual(
      read(wire.incoming(Buffer.concat([...statements.slice(0, 2).map(answerOf), ready]))),
      read([failure(1), ready, failure(1), ready, failure(1), ready])
    )
  })

  it("are all sent again after a conflict, which one can bring on another", () => {
    const wire = Wire.make(observer, () => "alike")
    const statements = alike(3, 1)
    wire.outgoing(framesOfAll(statements))
    const conflict = message("E", "SERROR\0VERROR\0C40P01\0Mdeadlock detected\0\0")
    assert.strictEqual(
      read(wire.incoming(Buffer.concat([conflict, ready]))),
      read([Answers.unprepared, Answers.unprepared, Answers.unprepared])
    )
  })

  it("are one run at a time: a second that failed would undo what was prepared after the first", () => {
    const wire = Wire.make(observer, () => "alike")
    const statements = alike(80, -1)
    const lengths = () => runsOf(wire.outgoing(framesOfAll(statements))).map(({ length }) => length)
    const singles = (count: number) => Array.from({ length: count }, () => 1)
    assert.deepStrictEqual(lengths(), [64, ...singles(16)])
    assert.deepStrictEqual(lengths(), singles(80))
    const answers = statements.map(answerOf)
    wire.incoming(
      Buffer.concat([...answers.slice(0, 64), ready, ...answers.slice(64).flatMap((one) => [one, ready])])
    )
    assert.deepStrictEqual(lengths(), [64, ...singles(16)])
  })

  it("are not sent together for a while after their answers were more than a megabyte", () => {
    const wire = Wire.make(observer, () => "alike")
    const statements = alike(4, -1).map((each) => ({ ...each, width: 300_000 }))
    const count = () => runsOf(wire.outgoing(framesOfAll(statements))).length
    assert.strictEqual(count(), 1)
    wire.incoming(Buffer.concat([...statements.map(answerOf), ready]))
    assert.strictEqual(count(), 4)
  })

  it("a message that began before them is not lost with them", () => {
    const wire = Wire.make(observer, () => "alike")
    const notice = message("N", "SNOTICE\0C00000\0Mof before\0\0")
    const first = wire.incoming(notice.subarray(0, 9))
    wire.outgoing(framesOfAll(alike(3, 0)))
    const then = wire.incoming(Buffer.concat([notice.subarray(9), failure(0), ready]))
    assert.strictEqual(
      read([...first, ...then]),
      read([notice, failure(0), ready, Answers.unprepared, Answers.unprepared])
    )
  })

  it("a message with an impossible length is left to the driver to refuse", () => {
    const wire = Wire.make(observer, () => "none")
    const bytes = Buffer.from([0x4e, 0xff, 0xff, 0xff, 0xff, 1, 2, 3])
    assert.strictEqual(read(wire.incoming(bytes)), bytes.toString("latin1"))
  })

  it("the last word of a session that ends is passed on, and nothing of theirs", () => {
    const wire = Wire.make(observer, () => "alike")
    const statements = alike(3, -1)
    wire.outgoing(framesOfAll(statements))
    const last = message("E", "SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0")
    assert.isEmpty(wire.incoming(answerOf(statements[0]!, 0)))
    assert.strictEqual(Buffer.concat(wire.incoming(last)).toString("latin1"), last.toString("latin1"))
  })

  it("messages that follow without a Sync are left as they are", () => {
    const wire = Wire.make(observer, () => "alike")
    const frames = Buffer.concat([framesOfAll(alike(3, -1)), message("E", "\0\0\0\0\0"), message("H")])
    assert.strictEqual(wire.outgoing(frames), frames)
  })

  it("what no Sync was left out of is passed on in the pieces that came, wherever a message is cut", () => {
    const wire = Wire.make(observer, () => "none")
    const statement: Statement = { name: "s1", parsed: false, rows: 40, width: 50, fails: false }
    wire.outgoing(framesOf(statement, 1))
    const answer = Buffer.concat([answerOf(statement, 1), ready])
    const rowSize = message("D", "".padEnd(50)).length
    const [from, to] = [message("2").length + 10 * rowSize + 20, message("2").length + 30 * rowSize + 40]
    const pieces = [answer.subarray(0, from), answer.subarray(from, to), answer.subarray(to)]
    for (const piece of pieces) {
      const [passed, ...more] = wire.incoming(piece)
      assert.strictEqual(passed, piece)
      assert.isEmpty(more)
    }
  })
})
