/**
 * The server's answers as the driver reads them, where statements share a `Sync`: each ends with a `ReadyForQuery` of its
 * own, and none shows that another one failed. `Gather.ts` says by which rules.
 */
import * as Frames from "./Frames.ts"

/** How many statements outside a transaction keep their own `Sync` after a run failed: others may fail for the same reason. */
const wary = 512
/** How many answered runs are remembered before they are forgotten together. */
const mostAnswered = 256

const readyWith = (status: number): Uint8Array => Uint8Array.of(Frames.ready, 0, 0, 0, 5, status)
const readyIdle = readyWith(Frames.idle)
const readyInTransaction = readyWith(Frames.inTransaction)

const refusal = (code: string, message: string, status: number): Uint8Array => {
  const fields = Buffer.from(`SERROR\0VERROR\0C${code}\0M${message}\0\0`)
  const header = Buffer.alloc(Frames.headerSize)
  header[0] = Frames.error
  header.writeUInt32BE(4 + fields.length, 1)
  return Buffer.concat([header, fields, readyWith(status)])
}

/** For each statement of a run that failed outside a transaction. The driver takes the code for "prepare it again". */
export const unprepared = refusal("26000", "the prepared statement is sent anew, by itself", Frames.idle)

/** For each statement behind one that failed in a transaction, in the server's words. */
export const aborted = refusal(
  "25P02",
  "current transaction is aborted, commands ignored until end of transaction block",
  Frames.inFailed
)

export interface Answers {
  /** Statements were sent: how many share each `Sync`. */
  readonly sent: (runs: ReadonlyArray<number>) => void
  /** Whether a run failed not long ago. */
  readonly isWary: () => boolean
  /** Whether what comes now answers a run, and whether what comes after it does. */
  readonly isRun: () => boolean
  readonly isBeforeRun: () => boolean
  /** Bytes that are passed on as they are. */
  readonly part: (bytes: Uint8Array) => void
  /** A statement of a run is done; its last bytes were a part. */
  readonly complete: () => void
  /** A statement of a run failed; `isLast`: the session ends with it. */
  readonly failed: (message: Uint8Array, isLast: boolean) => void
  /** The server answered the `Sync`, and said which status it is in. In a run this message is not passed on. */
  readonly ready: (status: number) => void
  /** What the driver is to read now. */
  readonly take: () => ReadonlyArray<Uint8Array>
}

const times = <A>(count: number, value: A): ReadonlyArray<A> => Array.from({ length: count }, () => value)

export const make = (): Answers => {
  /** How many statements share each `Sync`; those before `current` are answered. */
  let runs: Array<number> = []
  let current = 0
  /** How many statements of the current run are done, and whether the rest of its answer is dropped. */
  let done = 0
  let dropping = false
  /** What a run outside a transaction waits with for its end. */
  let held: Array<Uint8Array> = []
  let out: Array<Uint8Array> = []
  let status = Frames.idle
  let caution = 0

  const size = (at: number): number => runs[at] ?? 1
  const isRun = (): boolean => size(current) > 1
  const isHeld = (): boolean => status === Frames.idle && isRun()

  return {
    sent: (more) => {
      caution = Math.max(0, caution - more.length)
      for (const run of more) runs.push(run)
    },
    isWary: () => caution > 0,
    isRun,
    isBeforeRun: () => size(current + 1) > 1,
    part: (bytes) => {
      if (!dropping) (isHeld() ? held : out).push(bytes)
    },
    complete: () => {
      done++
      if (isHeld()) held.push(readyIdle)
      else out.push(readyInTransaction)
    },
    failed: (message, isLast) => {
      if (isLast) out.push(message)
      else if (status !== Frames.idle) {
        out.push(message, readyWith(Frames.inFailed), ...times(size(current) - done - 1, aborted))
      }
      dropping = true
    },
    ready: (next) => {
      if (isHeld()) {
        if (dropping) caution = wary
        out.push(...(dropping ? times(size(current), unprepared) : held))
        held = []
      }
      status = next
      done = 0
      dropping = false
      current++
      if (current < runs.length && current < mostAnswered) return
      runs = runs.slice(current)
      current = 0
    },
    take: () => {
      const taken = out
      if (taken.length > 0) out = []
      return taken
    }
  }
}
