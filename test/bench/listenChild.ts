/**
 * The process of the listen suite: 20 writers notify 30 channels, 50 streams on one pool listen to two each, and the backend
 * that listens is killed every second. Needs `--expose-gc`. Takes a target, the number of notifications and the seconds that
 * they take, prints one JSON line.
 */
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import pg from "pg"
import { PG } from "../../src/index.ts"
import type { Target } from "./data.ts"

const target: Target = JSON.parse(process.argv[2] ?? "")
const notifications = Number(process.argv[3])
const seconds = Number(process.argv[4])
const writers = 20
const channels = 30
const listeners = 50
const application = "listen bench"

export interface ListenFound {
  readonly sent: number
  readonly heard: number
  readonly losses: number
  /** Notifications that a listener missed although it was subscribed, and that came in a wrong order. */
  readonly missed: number
  readonly disordered: number
  /** Notifications that were there before `onListen` had run. */
  readonly early: number
  readonly connections: number
  readonly heapBefore: number
  readonly heapAfter: number
}

const connect = async (): Promise<pg.Client> => {
  const client = new pg.Client({ ...target, user: target.username })
  await client.connect()
  return client
}

/** The last number that a writer has begun to send to a channel, by both. */
const begun = Array.from({ length: writers }, () => new Array<number>(channels).fill(0))
const counts = { sent: 0, heard: 0, losses: 0, missed: 0, disordered: 0, early: 0, connections: 0 }
const channelOf = (number: number) => `channel ${number}`
const heap = () => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed / 2 ** 20
}
const pause = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

/** What one listener has heard since it last began to listen. */
const makeEar = () => {
  let atListen: ReadonlyArray<ReadonlyArray<number>> | undefined
  const last = new Map<string, number>()
  return {
    last,
    onListen: () => {
      if (atListen !== undefined) counts.losses++
      atListen = begun.map((one) => one.slice())
      last.clear()
    },
    hear: (payload: string) => {
      counts.heard++
      if (atListen === undefined) counts.early++
      const [writer = 0, channel = 0, number = 0] = payload.split(" ").map(Number)
      const key = `${writer} ${channel}`
      const before = last.get(key)
      const first = (atListen?.[writer]?.[channel] ?? 0) + 1
      // What was sent behind the beginning has to come; what was on its way then may.
      if (before === undefined ? number > first : number > before + 1) counts.missed++
      if (before !== undefined && number <= before) counts.disordered++
      last.set(key, number)
    }
  }
}

const ears = Array.from({ length: listeners }, makeEar)
const channelsOf = (listener: number) => [listener % channels, (listener + 7) % channels]

const write = async (writer: number): Promise<void> => {
  const client = await connect()
  const each = notifications / writers
  const start = performance.now()
  for (let index = 0; index < each; index++) {
    const due = start + (index * seconds * 1_000) / each
    if (due > performance.now()) await pause(due - performance.now())
    const channel = (writer + index) % channels
    const number = ++begun[writer]![channel]!
    await client.query("select pg_notify($1, $2)", [channelOf(channel), `${writer} ${channel} ${number}`])
    counts.sent++
  }
  await client.end()
}

const admin = await connect()
let isWriting = true

/** Kills the backend that listens every second; looks how many there are. */
const kill = async (): Promise<void> => {
  while (isWriting) {
    await pause(1_000)
    const { rows } = await admin.query("select pid from pg_stat_activity where application_name = $1", [
      application
    ])
    counts.connections = Math.max(counts.connections, rows.length)
    for (const { pid } of rows) await admin.query("select pg_terminate_backend($1)", [pid])
  }
}

const listening = (listener: number) => {
  const { hear, onListen } = ears[listener]!
  return pgdb
    .listen(channelsOf(listener).map(channelOf), { onListen: Effect.sync(onListen) })
    .pipe(Stream.runForEach(({ payload }) => Effect.sync(() => hear(payload))))
}

const pgdb = PG.make({ ...target, applicationName: application })

const program = Effect.gen(function* () {
  for (let listener = 0; listener < listeners; listener++) yield* Effect.forkScoped(listening(listener))
  yield* Effect.promise(() => pause(500))
  const heapBefore = heap()
  const killing = kill()
  yield* Effect.promise(() => Promise.all(Array.from({ length: writers }, (_, writer) => write(writer))))
  isWriting = false
  yield* Effect.promise(() => killing)
  // Behind the last kill all listen again; a last one from each writer comes to everybody.
  yield* Effect.promise(() => pause(2_000))
  for (let writer = 0; writer < writers; writer++) {
    for (let channel = 0; channel < channels; channel++) {
      const number = ++begun[writer]![channel]!
      yield* Effect.promise(() =>
        admin.query("select pg_notify($1, $2)", [channelOf(channel), `${writer} ${channel} ${number}`])
      )
    }
  }
  yield* Effect.promise(() => pause(1_000))
  for (const [listener, { last }] of ears.entries()) {
    for (const channel of channelsOf(listener)) {
      for (let writer = 0; writer < writers; writer++) {
        if (last.get(`${writer} ${channel}`) !== begun[writer]![channel]) counts.missed++
      }
    }
  }
  return { ...counts, heapBefore, heapAfter: heap() }
})

const found = await Effect.runPromise(
  Effect.scoped(Effect.provide(program, PG.layer)).pipe(
    Effect.provideService(References.MinimumLogLevel, "Error")
  )
)
await admin.end()
process.stdout.write(`${JSON.stringify(found satisfies ListenFound)}\n`)
