/** Abort signals of programs outside Effect. */

interface Watch {
  readonly calls: Set<() => void>
  readonly listener: () => void
}

const watched = /* @__PURE__ */ new WeakMap<AbortSignal, Watch>()

const watch = (signal: AbortSignal): Watch => {
  const calls = new Set<() => void>()
  const listener = () => {
    for (const call of calls) call()
  }
  signal.addEventListener("abort", listener)
  const made = { calls, listener }
  watched.set(signal, made)
  return made
}

/**
 * Calls a function when a signal aborts; gives what ends that. While there are such calls a signal has one listener, however
 * many they are: Node warns of more than ten. Without them it has none: what `AbortSignal.any` makes lives as long as it has.
 */
export const onAbort = (signal: AbortSignal, call: () => void): (() => void) => {
  const { calls, listener } = watched.get(signal) ?? watch(signal)
  calls.add(call)
  return () => {
    if (!calls.delete(call) || calls.size > 0) return
    signal.removeEventListener("abort", listener)
    watched.delete(signal)
  }
}

/** The first of these that has aborted. */
export const abortedOf = (signals: ReadonlyArray<AbortSignal>): AbortSignal | undefined =>
  signals.find(({ aborted }) => aborted)
