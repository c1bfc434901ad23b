/** A stream as an async iterable, for promises and Kysely. */
import * as Stream from "effect/Stream"

const ignore = () => undefined

/** `next` waits for the one before it, as in an async generator: two at once would begin the stream twice. */
export const toAsyncIterable = <A, E>(stream: Stream.Stream<A, E>): AsyncIterable<A> => ({
  [Symbol.asyncIterator]: () => {
    const iterator = Stream.toAsyncIterable(stream)[Symbol.asyncIterator]()
    let last: Promise<unknown> = Promise.resolve()
    return {
      ...iterator,
      next: () => {
        const result = last.then(() => iterator.next())
        last = result.catch(ignore)
        return result
      }
    }
  }
})
