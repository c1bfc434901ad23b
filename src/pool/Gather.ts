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
  /** Where the name of its prepared statement is, if it is `Bind`, `Execute` and `Sync` alone. */
  readonly name: readonly [start: number, end: number] | undefined
}

const cyclesOf = (bytes: Uint8Array): ReadonlyArray<Cycle> => {
  const cycles: Array<Cycle> = []
  let start = 0
  let name: Cycle["name"]
  let messages = 0
  for (let at = 0; at < bytes.length; ) {
    const type = bytes[at]
    const end = Frames.endOf(bytes, at)
    messages++
    if (type === Frames.bind && messages === 1) {
      const from = bytes.indexOf(0, at + Frames.headerSize) + 1
      name = [from, bytes.indexOf(0, from)]
    } else if (type !== Frames.sync && !(type === Frames.execute && messages === 2)) name = undefined
    if (type === Frames.sync) {
      cycles.push({ start, end, name: messages === 3 ? name : undefined })
      start = end
      messages = 0
      name = undefined
    }
    at = end
  }
  return cycles
}

/** Whether both are the same prepared statement. */
const isLike = (bytes: Uint8Array, { name: a }: Cycle, { name: b }: Cycle): boolean => {
  if (a === undefined || b === undefined || a[1] - a[0] !== b[1] - b[0]) return false
  for (let at = a[0], other = b[0]; at < a[1]; at++, other++) if (bytes[at] !== bytes[other]) return false
  return true
}

const mayJoin = (bytes: Uint8Array, before: Cycle, cycle: Cycle, share: Share): boolean =>
  share === "alike"
    ? isLike(bytes, before, cycle)
    : share === "prepared" && before.name !== undefined && cycle.name !== undefined

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
