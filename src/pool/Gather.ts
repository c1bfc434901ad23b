/**
 * Lets statements that are sent in one write share a `Sync`.
 *
 * A server answers each `Sync` by writing to its socket, and outside a transaction by ending the one it made for the
 * statement, which takes it as long as a short statement does, and takes the reader of many small answers longer still. So
 * only the last of a run of prepared statements keeps its `Sync`. The driver reads what it would have read without:
 *
 * Outside a transaction a run is one statement of several callers, and one transaction for the server. Nothing of it is passed
 * on before the server has said that all of it is done. Where one fails, the server undoes them all, and the driver is told
 * of the others that their statement is not prepared any more: it then sends each by itself, as if nothing had been sent, and
 * prepares the statement anew. Hence one such run at a time: a second that failed would take the new one for the old.
 *
 * In a transaction a run is any statements of its only caller, and answers are passed on as they come. Where one fails, the
 * server passes over the others, which it would have refused: that is what the driver is told.
 *
 * See "Pipelining" and "Extended Query" in the PostgreSQL manual's chapter on the protocol.
 */
import * as Frames from "./Frames.ts"

/** The most statements under one `Sync`: outside a transaction the first waits for the last. */
const most = 64

/** Which statements of a write may share a `Sync`. */
export type Share = "none" | "alike" | "prepared"

/** A statement's messages in a write, up to and with its `Sync`. */
interface Cycle {
  readonly start: number
  readonly end: number
  /** Whether it is `Bind`, `Execute` and `Sync` alone: a statement that is prepared. */
  readonly isPrepared: boolean
}

const cyclesOf = (bytes: Uint8Array): ReadonlyArray<Cycle> => {
  const cycles: Array<Cycle> = []
  let start = 0
  let messages = 0
  let isPrepared = true
  for (let at = 0; at < bytes.length; ) {
    const type = bytes[at]
    messages++
    isPrepared &&= type === (messages === 1 ? Frames.bind : messages === 2 ? Frames.execute : Frames.sync)
    at = Frames.endOf(bytes, at)
    if (type === Frames.sync) {
      cycles.push({ start, end: at, isPrepared: isPrepared && messages === 3 })
      start = at
      messages = 0
      isPrepared = true
    }
  }
  return cycles
}

/** Where the name of its prepared statement is: behind that of the portal. */
const nameOf = (bytes: Uint8Array, { start }: Cycle): readonly [start: number, end: number] => {
  const from = bytes.indexOf(0, start + Frames.headerSize) + 1
  return [from, bytes.indexOf(0, from)]
}

/** Whether both are the same prepared statement. */
const isLike = (bytes: Uint8Array, before: Cycle, cycle: Cycle): boolean => {
  const a = nameOf(bytes, before)
  const b = nameOf(bytes, cycle)
  if (a[1] - a[0] !== b[1] - b[0]) return false
  for (let at = a[0], other = b[0]; at < a[1]; at++, other++) if (bytes[at] !== bytes[other]) return false
  return true
}

const mayJoin = (bytes: Uint8Array, before: Cycle, cycle: Cycle, share: Share): boolean =>
  before.isPrepared && cycle.isPrepared && (share === "prepared" || isLike(bytes, before, cycle))

export interface Gathered {
  readonly bytes: Uint8Array
  /** How many statements share each `Sync`, in turn. */
  readonly runs: ReadonlyArray<number>
}

/** Leaves out what `Sync`s can be left out of whole messages to the server. */
export const gather = (bytes: Uint8Array, share: Share): Gathered => {
  const cycles = cyclesOf(bytes)
  const isWhole = cycles[cycles.length - 1]?.end === bytes.length
  if (share === "none" || cycles.length < 2 || !isWhole) return { bytes, runs: cycles.map(() => 1) }
  const runs: Array<number> = []
  const pieces: Array<Uint8Array> = []
  let closed = false
  for (const [index, cycle] of cycles.entries()) {
    const before = cycles[index - 1]
    const last = runs.length - 1
    if (before !== undefined && !closed && runs[last]! < most && mayJoin(bytes, before, cycle, share)) {
      runs[last]!++
      pieces[index - 1] = bytes.subarray(before.start, before.end - Frames.headerSize)
    } else {
      closed = share === "alike" && last >= 0 && (closed || runs[last]! > 1)
      runs.push(1)
    }
    pieces.push(bytes.subarray(cycle.start, cycle.end))
  }
  return { bytes: runs.length === cycles.length ? bytes : Buffer.concat(pieces), runs }
}
