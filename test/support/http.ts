/**
 * Requests to a server under test, and what it answered.
 */
import * as Net from "node:net"
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

/** Whether a server takes connections there: no request, which could itself hold up a server that ends. */
export const listens = (url: string): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const { hostname, port } = new URL(url)
    const socket = Net.connect({ host: hostname, port: Number(port) })
    socket.once("connect", () => resume(Effect.succeed(true)))
    socket.once("error", () => resume(Effect.succeed(false)))
    socket.once("connect", () => socket.destroy())
    return Effect.sync(() => socket.destroy())
  })

/** What the answer's JSON says, of the type that the test expects. */
export const json = <A = unknown>(answer: Answer): A => {
  const value: A = JSON.parse(answer.text)
  return value
}
