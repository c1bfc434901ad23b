/**
 * Workers on a queue of jobs in a table. Several of these programs share the work; each also adds some jobs of its own. None
 * is lost and none is done twice, whatever becomes of connections, of the server or of a worker. Ctrl-C lets the jobs under
 * way finish.
 *
 *     npx tsx examples/worker.ts 100
 */
import { randomUUID } from "node:crypto"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Data, Effect, Queue, Schedule, Stream } from "effect"
import { PG } from "effect-global-pool"
import { settings } from "./support/database.ts"

interface Job {
  readonly id: string
  readonly item: string
}

const workers = 4
const toAdd = Number(process.argv[2] ?? 10)

/** A job cannot be done, today or ever: it is not tried again. */
class JobFailed extends Data.TaggedError("JobFailed")<{ readonly message: string }> {}

/** Again while the server is away, after pauses that grow to a second. */
const untilItIsBack = {
  while: ({ reason }: PG.OperationError) =>
    reason._tag === "ConnectionError" || reason._tag === "AcquireTimeout",
  schedule: Schedule.min([Schedule.exponential("20 millis"), Schedule.spaced("1 second")])
}

const queueOf = (pgdb: PG.Database) => {
  const jobs = pgdb.table<Job>("jobs")
  const receipts = pgdb.table("receipts")

  const setUp = pgdb.withLock(
    "set up jobs",
    pgdb.trans([
      PG.sql`create table if not exists ${jobs} (id uuid primary key, item text not null,
        added_at timestamptz not null default now(), done_at timestamptz, error text)`,
      PG.sql`create index if not exists jobs_open on ${jobs} (added_at) where done_at is null`,
      PG.sql`create table if not exists ${receipts} (job uuid not null, item text not null)`
    ])
  )

  /**
   * Adds a job. Listeners hear of it at the commit, when it can be seen. The id is made here: when nobody can say whether a
   * lost commit took effect, adding the job once more does no harm.
   */
  const add = (job: Job) =>
    pgdb
      .transaction(
        Effect.gen(function* () {
          yield* jobs.execute`insert into ${jobs} (id, item) values (${job.id}, ${job.item}) on conflict do nothing`
          yield* pgdb.notify("jobs")
        })
      )
      .pipe(Effect.retry(untilItIsBack))

  /** What a job is about. It fails for some, and what it did is undone then. */
  const perform = Effect.fn("perform")(function* ({ id, item }: Job) {
    yield* receipts.insert({ job: id, item })
    if (item === "coffee") return yield* new JobFailed({ message: "There is no coffee." })
  })

  /**
   * Takes the oldest job that nobody works on, does it, and notes that it is done: all or nothing. A worker that dies leaves
   * the job to the others. Gives whether there was one.
   */
  const workOnce = pgdb.transaction(
    Effect.gen(function* () {
      const [job] = yield* jobs.select`select id, item from ${jobs} where done_at is null
        order by added_at limit 1 for update skip locked`
      if (job === undefined) return false
      const error = yield* pgdb.transaction(perform(job)).pipe(
        Effect.as(null),
        Effect.catchTag("JobFailed", ({ message }) => Effect.succeed(message))
      )
      yield* jobs.execute`update ${jobs} set done_at = now(), error = ${error} where id = ${job.id}`
      return true
    })
  )

  return { add, setUp, workOnce }
}

const program = Effect.gen(function* () {
  const pgdb = PG.make({ ...(yield* settings), acquireTimeout: "5 seconds" })
  const { add, setUp, workOnce } = queueOf(pgdb)
  yield* Effect.retry(setUp, untilItIsBack)

  // A sign that there may be work. More of them than workers say nothing new.
  const signs = yield* Queue.dropping<"jobs">(workers)
  const wakeAll = Queue.offerAll(
    signs,
    Array.from({ length: workers }, () => "jobs" as const)
  )
  // Nobody tells what was added while nobody listened, so all look after each loss, and at the start.
  const listening = pgdb
    .listen("jobs", { onListen: wakeAll })
    .pipe(Stream.runForEach(() => Queue.offer(signs, "jobs")))

  // Nor does anybody tell of a job that a worker left when it died, so all look from time to time.
  const looking = Effect.repeat(wakeAll, Schedule.spaced("2 seconds"))

  // A job that has begun is finished before an interruption ends its worker. What failed is tried again: the table knows
  // whether it was done.
  const drain = Effect.repeat(Effect.uninterruptible(workOnce), { while: (worked) => worked })
  const worker = Effect.andThen(
    Queue.take(signs),
    drain.pipe(
      Effect.tapError((error) => Effect.logWarning(error.message.split("\n", 1)[0])),
      Effect.retry(untilItIsBack)
    )
  )

  const adding = Effect.forEach(
    Array.from({ length: toAdd }, (_, index) => index),
    (index) => Effect.delay(add({ id: randomUUID(), item: index % 10 === 9 ? "coffee" : "tea" }), "20 millis")
  )

  yield* Effect.all(
    [
      listening,
      looking,
      Effect.andThen(adding, Console.log("added", toAdd, "jobs")),
      ...Array.from({ length: workers }, () => Effect.forever(worker))
    ],
    { concurrency: "unbounded" }
  )
}).pipe(Effect.onInterrupt(() => Console.log("stopped, with no job half done")))

NodeRuntime.runMain(Effect.scoped(Effect.provide(program, PG.layer)))
