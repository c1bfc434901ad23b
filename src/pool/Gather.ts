/**
 * Lets statements that are sent in one write share a `Sync`.
 *
 * A server answers each `Sync` by ending a transaction and writing to its socket, which takes it as long as a short
 * statement does, and takes the reader of many small answers longer still. So where a write holds runs of one prepared
 * statement, only the last of a run keeps its `Sync`.
 *
 * A run is one transaction for the server, and the callers must not see that. Nothing of it is passed on before the server
 * has said that all of it is done. Where one statement of it fails, the server undoes them all, and the driver is told of
 * each that its statement is not prepared any more: it then sends each one by itself, as if nothing had been sent.
 *
 * See "Pipelining" and "Extended Query" in the PostgreSQL manual's chapter on the protocol.
 */
import * as Frames from "./Frames.ts"

/** The most statements under one `Sync`: the first waits for the last. */
const most = 32
/** What ends the answer to each statement of a run, for the driver. */
export const readyIdle = Uint8Array.of(Frames.ready, 0, 0, 0, 5, 0x49)

/** The answer to each statement of a run that failed. The driver takes its code, "invalid SQL statement name", for "prepare it again". */
export const unprepared = (() => {
  const fields = new TextEncoder().encode(
    "SERROR\0VERROR\0C26000\0Mthe statement is sent again, by itself, since one beside it failed\0\0"
  )
  const frame = new Uint8Array(Frames.headerSize + fields.length + readyIdle.length)
  frame[0] = Frames.error
  new DataView(frame.buffer).setUint32(1, 4 + fields.length)
  frame.set(fields, Frames.headerSize)
  frame.set(readyIdle, Frames.headerSize + fields.length)
  return frame
})()

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

/** Whether both are of the same prepared statement. */
const isLike = (bytes: Uint8Array, { name: a }: Cycle, { name: b }: Cycle): boolean => {
  if (a === undefined || b === undefined || a[1] - a[0] !== b[1] - b[0]) return false
  for (let at = a[0], other = b[0]; at < a[1]; at++, other++) if (bytes[at] !== bytes[other]) return false
  return true
}

export interface Gathered {
  readonly bytes: Uint8Array
  /** How many statements share each `Sync`, in turn. */
  readonly runs: ReadonlyArray<number>
}

/** Leaves out what `Sync`s can be left out of whole messages to the server. */
export const gather = (bytes: Uint8Array, share: boolean): Gathered => {
  const cycles = cyclesOf(bytes)
  const runs: Array<number> = []
  const pieces: Array<Uint8Array> = []
  const isWhole = cycles[cycles.length - 1]?.end === bytes.length
  for (const [index, cycle] of cycles.entries()) {
    const before = cycles[index - 1]
    const last = runs.length - 1
    if (share && isWhole && before !== undefined && runs[last]! < most && isLike(bytes, before, cycle)) {
      runs[last]!++
      pieces[index - 1] = bytes.subarray(before.start, before.end - Frames.headerSize)
    } else runs.push(1)
    pieces.push(bytes.subarray(cycle.start, cycle.end))
  }
  return { bytes: runs.length === cycles.length ? bytes : Buffer.concat(pieces), runs }
}
