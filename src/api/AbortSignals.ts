/** Abort signals of programs outside Effect. */

const watched = /* @__PURE__ */ new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Calls a function when a signal aborts; gives what ends that. A signal has one listener of this package's, however many calls
 * it is for: Node warns of more than ten, and keeps what `AbortSignal.any` makes of one that lives long.
 */
export const onAbort = (signal: AbortSignal, f: () => void): (() => void) => {
  let all = watched.get(signal)
  if (all === undefined) {
    const own = new Set<() => void>()
    all = own
    watched.set(signal, own)
    signal.addEventListener("abort", () => {
      for (const one of own) one()
    })
  }
  const own = all
  own.add(f)
  return () => void own.delete(f)
}

/** The first of these that has aborted. */
export const abortedOf = (signals: ReadonlyArray<AbortSignal>): AbortSignal | undefined =>
  signals.find(({ aborted }) => aborted)
