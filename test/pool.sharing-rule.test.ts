/**
 * The rule for sharing a connection, as a table of cases: each constant of it decides one of them, so that a changed one fails
 * here.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Sharing from "../src/pool/Sharing.ts"

interface Connection extends Sharing.Shareable {
  readonly name: string
}

const now = 1_000

const connection = (name: string, changes: Partial<Sharing.Shareable> = {}): Connection => ({
  name,
  users: 1,
  load: 0.5,
  isExclusive: false,
  isDraining: false,
  isAbandoned: false,
  isClosing: false,
  busySince: now,
  ...changes
})

interface Case {
  readonly says: string
  /** The average of the caller's statement; `undefined` for one that does not share. */
  readonly expects?: number | undefined
  readonly busy?: ReadonlyArray<Connection>
  readonly idle?: boolean
  readonly isLoopHalfBusy?: boolean
  readonly gets: string | undefined
}

const three = (changes: Partial<Sharing.Shareable> = {}) => [connection("busy", { users: 3, ...changes })]

const cases: ReadonlyArray<Case> = [
  { says: "a caller that does not share gets the idle connection", idle: true, gets: "idle" },
  { says: "and waits when there is none", busy: three(), gets: undefined },
  {
    says: "a short read gets the idle connection too",
    expects: 0.5,
    busy: three(),
    idle: true,
    gets: "idle"
  },
  {
    says: "and travels behind others when there is none",
    expects: 9.9,
    busy: three(),
    gets: "busy"
  },
  {
    says: "behind the fewest",
    expects: 0.5,
    busy: [
      connection("three", { users: 3 }),
      connection("two", { users: 2 }),
      connection("four", { users: 4 })
    ],
    gets: "two"
  },
  { says: "63 others are not too many", expects: 0.5, busy: three({ users: 63 }), gets: "busy" },
  { says: "64 are", expects: 0.5, busy: three({ users: 64 }), gets: undefined },
  {
    says: "not on a connection that a caller has whole",
    expects: 0.5,
    busy: three({ isExclusive: true }),
    gets: undefined
  },
  {
    says: "not on one that takes no more users",
    expects: 0.5,
    busy: three({ isDraining: true }),
    gets: undefined
  },
  {
    says: "not on one whose caller was interrupted",
    expects: 0.5,
    busy: three({ isAbandoned: true }),
    gets: undefined
  },
  {
    says: "not on one that is being closed",
    expects: 0.5,
    busy: three({ isClosing: true }),
    gets: undefined
  },
  {
    says: "behind a statement that has run for 4 ms",
    expects: 0.5,
    busy: three({ busySince: now - 4 }),
    gets: "busy"
  },
  {
    says: "not behind one that has run for 5 ms",
    expects: 0.5,
    busy: three({ busySince: now - 5 }),
    gets: undefined
  },
  {
    says: "on a half-busy loop a quick read joins three others although a connection is idle",
    expects: 0.9,
    busy: three(),
    idle: true,
    isLoopHalfBusy: true,
    gets: "busy"
  },
  {
    says: "not two others",
    expects: 0.9,
    busy: three({ users: 2 }),
    idle: true,
    isLoopHalfBusy: true,
    gets: "idle"
  },
  {
    says: "three others on several connections count together",
    expects: 0.9,
    busy: [connection("one", { users: 1 }), connection("two", { users: 2 })],
    idle: true,
    isLoopHalfBusy: true,
    gets: "one"
  },
  {
    says: "a read of a millisecond is not quick",
    expects: 1,
    busy: three(),
    idle: true,
    isLoopHalfBusy: true,
    gets: "idle"
  },
  {
    says: "7 others leave room for one",
    expects: 0.1,
    busy: three({ users: 7 }),
    idle: true,
    isLoopHalfBusy: true,
    gets: "busy"
  },
  {
    says: "8 do not",
    expects: 0.1,
    busy: three({ users: 8 }),
    idle: true,
    isLoopHalfBusy: true,
    gets: "idle"
  },
  {
    says: "a connection takes seven tenths of a hundred callers",
    expects: 0.01,
    busy: [connection("many", { users: 69 }), connection("few", { users: 31 })],
    idle: true,
    isLoopHalfBusy: true,
    gets: "many"
  },
  {
    says: "and the next one those that are more",
    expects: 0.01,
    busy: [connection("many", { users: 70 }), connection("few", { users: 30 })],
    idle: true,
    isLoopHalfBusy: true,
    gets: "few"
  },
  {
    says: "others that take 9.5 ms together leave room for half a millisecond",
    expects: 0.5,
    busy: three({ load: 9.5 }),
    idle: true,
    isLoopHalfBusy: true,
    gets: "busy"
  },
  {
    says: "not for more",
    expects: 0.6,
    busy: three({ load: 9.5 }),
    idle: true,
    isLoopHalfBusy: true,
    gets: "idle"
  },
  {
    says: "callers that have connections whole are no company",
    expects: 0.5,
    busy: three({ users: 1, isExclusive: true }),
    idle: true,
    isLoopHalfBusy: true,
    gets: "idle"
  }
]

describe("who gets which connection", () => {
  for (const { busy = [], expects, gets, idle = false, isLoopHalfBusy = false, says } of cases) {
    it(says, () => {
      const free = idle ? connection("idle", { users: 0, load: 0 }) : undefined
      const chosen = Sharing.choose(
        { expectedMillis: expects },
        { connections: free === undefined ? busy : [free, ...busy], idle: free, isLoopHalfBusy, now }
      )
      assert.strictEqual(chosen?.name, gets)
    })
  }
})

/** The latency of a text after runs that took so long. */
const latencyAfter = (millis: ReadonlyArray<number>, isBusy = false) => {
  const latency = Sharing.makeLatency()
  for (const one of millis) Sharing.record(latency, one, isBusy)
  return latency
}

const runs: ReadonlyArray<readonly [says: string, latency: Sharing.Latency, isShort: boolean]> = [
  ["one run tells nothing", latencyAfter([0.1]), false],
  ["two short ones do", latencyAfter([0.1, 0.1]), true],
  ["9.9 ms are short", latencyAfter([9.9, 9.9]), true],
  ["10 ms are not", latencyAfter([10, 10]), false],
  ["a long run among short ones is forgiven", latencyAfter([1, 1, 1, 60_000, 1]), true],
  [
    "one run in six that is long is not",
    latencyAfter(Array.from({ length: 300 }, (_, n) => (n % 6 === 0 ? 20 : 0.1))),
    false
  ],
  ["one in eight is", latencyAfter(Array.from({ length: 300 }, (_, n) => (n % 8 === 1 ? 20 : 0.1))), true],
  [
    "while the process is busy, a run of 29 ms is not long",
    latencyAfter(
      Array.from({ length: 60 }, () => 29),
      true
    ),
    true
  ],
  [
    "one of 30 ms is",
    latencyAfter(
      Array.from({ length: 60 }, () => 30),
      true
    ),
    false
  ]
]

describe("whether a text has shown itself short", () => {
  for (const [says, latency, isShort] of runs) {
    it(says, () => assert.strictEqual(Sharing.isShort(latency), isShort))
  }

  it("a run adds 20 ms to the average at the most, and 2 ms while the process is busy", () => {
    assert.strictEqual(latencyAfter([60_000]).average, 20)
    assert.strictEqual(latencyAfter([60_000], true).average, 2)
  })

  it("the newest run counts for a thirty-second", () => {
    const latency = latencyAfter(Array.from({ length: 100 }, () => 1))
    Sharing.record(latency, 2, false)
    assert.closeTo(latency.average, 1 + 1 / 32, 1e-9)
  })
})
