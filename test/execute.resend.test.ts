/** The rule of repeating, as a table of cases: what becomes of a statement that did not come to its end. */
import { assert, describe, it } from "@effect/vitest"
import { maxAttempts, type Situation, verdictOf } from "../src/execute/Resend.ts"

type Answer = Parameters<typeof verdictOf>[0]

interface Case {
  readonly says: string
  readonly answer: Answer
  readonly isSessionEnded?: boolean
  readonly isPlainRead?: boolean
  readonly situation?: Partial<Situation>
  readonly verdict: ReturnType<typeof verdictOf>
}

const unsent: Answer = { state: "unsent", isBound: false, error: undefined }
const lost: Answer = { state: "lost", isBound: false, error: undefined }
const failed = (code: string, isBound: boolean): Answer => ({ state: "failed", isBound, error: { code } })
const remembered = { usedMemory: true }

const cases: ReadonlyArray<Case> = [
  { says: "what was never written is sent on another connection", answer: unsent, verdict: "elsewhere" },
  { says: "a write whose connection was lost fails", answer: lost, verdict: "fail" },
  {
    says: "a plain read whose connection was lost is sent on another",
    answer: lost,
    isPlainRead: true,
    verdict: "elsewhere"
  },
  {
    says: "but not inside a transaction",
    answer: lost,
    isPlainRead: true,
    situation: { inTransaction: true },
    verdict: "fail"
  },
  {
    says: "and not for ever",
    answer: lost,
    isPlainRead: true,
    situation: { attempts: maxAttempts },
    verdict: "fail"
  },
  {
    says: "what was refused for something remembered is sent anew",
    answer: failed("42703", false),
    situation: remembered,
    verdict: "anew"
  },
  {
    says: "but not when nothing was remembered",
    answer: failed("42703", false),
    verdict: "fail"
  },
  {
    says: "and not when it was bound and may have run",
    answer: failed("42703", true),
    situation: remembered,
    verdict: "fail"
  },
  {
    says: "and not inside a transaction",
    answer: failed("42703", false),
    situation: { ...remembered, inTransaction: true },
    verdict: "fail"
  },
  {
    says: "a cancelled statement fails, whatever was remembered",
    answer: failed("57014", false),
    situation: remembered,
    verdict: "fail"
  },
  {
    says: "a deadlock fails, whatever was remembered",
    answer: failed("40P01", false),
    situation: remembered,
    verdict: "fail"
  },
  {
    says: "what an ended session had not bound had not begun",
    answer: failed("57P01", false),
    isSessionEnded: true,
    verdict: "elsewhere"
  },
  {
    says: "a write that an ended session had bound fails",
    answer: failed("57P01", true),
    isSessionEnded: true,
    verdict: "fail"
  },
  {
    says: "a plain read that an ended session had bound is sent on another",
    answer: failed("57P01", true),
    isSessionEnded: true,
    isPlainRead: true,
    verdict: "elsewhere"
  }
]

describe("what is sent again", () => {
  for (const { answer, isPlainRead = false, isSessionEnded = false, says, situation, verdict } of cases) {
    it(says, () => {
      const given = { analysis: { isPlainRead }, usedMemory: false, inTransaction: false, attempts: 0 }
      assert.strictEqual(verdictOf(answer, isSessionEnded, { ...given, ...situation }), verdict)
    })
  }
})
