/** A stream as an async iterable, for promises and Kysely. */
import * as Stream from "effect/Stream"
import { abortedOf, onAbort } from "./AbortSignals.ts"

const ignore = () => undefined

/**
 * `next` waits for the one before it, as in an async generator: two at once would begin the stream twice. When one of the signals
 * aborts the stream is ended, also between two calls of `next`; the next of them fails with the signal's reason, once.
 */
export const toAsyncIterable = <A, E>(
  stream: Stream.Stream<A, E>,
  signals: ReadonlyArray<AbortSignal> = []
): AsyncIterable<A> => ({
  [Symbol.asyncIterator]: () => {
    const iterator = Stream.toAsyncIterable(stream)[Symbol.asyncIterator]()
    let last: Promise<unknown> = Promise.resolve()
    let isOver = false
    let unwatch: ReadonlyArray<() => void> | undefined
    const end = async (): Promise<IteratorResult<A>> => {
      await iterator.return?.()
      return { done: true, value: undefined }
    }
    const watch = () => {
      unwatch ??= signals.map((signal) => onAbort(signal, () => void end().catch(ignore)))
    }
    const over = () => {
      isOver = true
      for (const stop of unwatch ?? []) stop()
    }
    const next = async (): Promise<IteratorResult<A>> => {
      watch()
      try {
        const result = abortedOf(signals) === undefined ? await iterator.next() : await end()
        const aborted = isOver ? undefined : abortedOf(signals)
        if (aborted !== undefined) throw aborted.reason
        if (result.done === true) over()
        return result
      } catch (error) {
        over()
        throw error
      }
    }
    return {
      next: () => {
        const result = last.then(next)
        last = result.catch(ignore)
        return result
      },
      return: () => {
        over()
        return end()
      },
      throw: async (error) => {
        over()
        await end()
        throw error
      }
    }
  }
})
