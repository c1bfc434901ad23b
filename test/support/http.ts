/**
 * Requests to a server under test, and what it answered.
 */
import * as Effect from "effect/Effect"

export interface Answer {
  readonly status: number
  readonly type: string | null
  readonly text: string
}

export interface Request {
  readonly method?: string
  /** Sent as it is; anything but a text as JSON. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** One request; a server that cut the connection gives a status of 0. Interruption hangs up. */
export const ask = (url: string, { body, headers = {}, method }: Request = {}): Effect.Effect<Answer> =>
  Effect.promise(async (signal) => {
    try {
      const response = await fetch(url, {
        method: method ?? (body === undefined ? "GET" : "POST"),
        headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
        signal,
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) })
      })
      return {
        status: response.status,
        type: response.headers.get("content-type"),
        text: await response.text()
      }
    } catch {
      return { status: 0, type: null, text: "" }
    }
  })

/** What the answer's JSON says, of the type that the test expects. */
export const json = <A = unknown>(answer: Answer): A => {
  const value: A = JSON.parse(answer.text)
  return value
}
