/**
 * The server's answers as the driver reads them, where statements share a `Sync`: each ends with a `ReadyForQuery` of its
 * own, and none shows that another one failed. `Gather.ts` says by which rules.
 */
import * as Frames from "./Frames.ts"

/** How many statements outside a transaction keep their own `Sync` after a run failed: others may fail for the same reason. */
const wary = 512
/** A run outside a transaction whose answers are more bytes than this is the last one for as long. */
const mostHeld = 1024 * 1024
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

/** For each other statement of a run that failed outside a transaction. The driver takes the code for "prepare it again". */
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
  /** Whether a run failed, or was too long to be held, not long ago. */
  readonly isWary: () => boolean
  /** Whether the answer to a run is still to come. */
  readonly hasRun: () => boolean
  /** Whether what comes now answers a run, and whether what comes after it does. */
  readonly isRun: () => boolean
  readonly isBeforeRun: () => boolean
  /** Bytes that are passed on as they are. */
  readonly part: (bytes: Uint8Array) => void
  /** A statement of a run is done; its last bytes were a part. */
  readonly complete: () => void
  /** Bytes of a message whose begin was passed on. */
  readonly rest: (bytes: Uint8Array) => void
  /** A statement of a run failed. */
  readonly failed: (message: Uint8Array, how: Failure) => void
  /** The server answered the `Sync`, and said which status it is in. In a run this message is not passed on. */
  readonly ready: (status: number) => void
  /** Whether what comes now is passed on at once. */
  readonly isPassed: () => boolean
  /** What the driver is to read now. */
  readonly take: () => ReadonlyArray<Uint8Array>
}

/** `last`: the session ends with it. `cancelled`: so it was asked for, whoever it hit. */
export type Failure = "own" | "last" | "cancelled"

/** Conflicts of transactions, which statements that share one can bring on each other. */
const conflict = Buffer.from("\0C40")

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
  let heldSize = 0
  /** The error of the one that failed in it, or of all. */
  let fault: { readonly message: Uint8Array; readonly of: number | undefined } | undefined
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
    hasRun: () => runs.some((run, at) => at >= current && run > 1),
    isRun,
    isBeforeRun: () => size(current + 1) > 1,
    isPassed: () => !dropping && !isHeld(),
    part: (bytes) => {
      if (dropping) return
      if (isHeld()) {
        held.push(bytes)
        heldSize += bytes.length
      } else out.push(bytes)
    },
    rest: (bytes) => {
      out.push(bytes)
    },
    complete: () => {
      done++
      if (isHeld()) held.push(readyIdle)
      else out.push(readyInTransaction)
    },
    failed: (message, how) => {
      if (how === "last") out.push(message)
      else if (status !== Frames.idle) {
        out.push(message, readyWith(Frames.inFailed), ...times(size(current) - done - 1, aborted))
      } else if (how === "cancelled") fault = { message, of: undefined }
      else if (Buffer.from(message).indexOf(conflict) < 0) fault = { message, of: done }
      dropping = true
    },
    ready: (next) => {
      if (isHeld()) {
        if (dropping || heldSize > mostHeld) caution = wary
        if (dropping) {
          for (let at = 0; at < size(current); at++) {
            if (fault !== undefined && (fault.of ?? at) === at) out.push(fault.message, readyIdle)
            else out.push(unprepared)
          }
        } else out.push(...held)
        held = []
        heldSize = 0
        fault = undefined
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
