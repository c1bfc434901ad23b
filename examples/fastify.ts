/**
 * The same pool outside Effect: handles with promises on a runtime of `PG.layer`, which ends the pool with the server.
 *
 *     npx tsx examples/fastify.ts
 */
import { ManagedRuntime, Option } from "effect"
import { SqlError } from "effect/sql"
import { PG, PoolError } from "effect-global-pool"
import Fastify, { type FastifyReply } from "fastify"
import { openDatabase } from "./support/database.ts"

interface User {
  readonly id: number
  readonly email: string
}

const { pgdb, closeDatabase } = await openDatabase()
const users = pgdb.table<User>("users")
const runtime = ManagedRuntime.make(PG.layer)
const app = Fastify({ forceCloseConnections: "idle" })

await PG.promise(runtime)(users).execute`create table if not exists ${users} (
  id int primary key generated always as identity,
  email text not null unique
)`

/** The table for a request; when the client has gone, its statement is ended on the server. */
const forClient = (reply: FastifyReply) => {
  const gone = new AbortController()
  reply.raw.once("close", () => gone.abort())
  return PG.promise(runtime, { signal: gone.signal })(users)
}

app.get("/users", (_request, reply) => forClient(reply).find({}, { orderBy: { id: "asc" } }))

app.get<{ Params: { id: number } }>(
  "/users/:id",
  {
    schema: {
      params: { type: "object", properties: { id: { type: "integer", minimum: 1, maximum: 2_147_483_647 } } }
    }
  },
  async ({ params }, reply) => {
    const user = await forClient(reply).findOne({ id: params.id })
    return Option.getOrElse(user, () => reply.code(404).send({ error: "There is no such user." }))
  }
)

app.post<{ Body: { email: string } }>(
  "/users",
  {
    schema: {
      body: {
        type: "object",
        required: ["email"],
        properties: { email: { type: "string", pattern: "^[^@\\u0000]+@[^@\\u0000]+$", maxLength: 200 } }
      }
    }
  },
  async ({ body }, reply) => {
    try {
      return reply.code(201).send(await forClient(reply).insert({ email: body.email }))
    } catch (error) {
      if (SqlError.isSqlError(error) && error.reason._tag === "UniqueViolation") {
        return reply.code(409).send({ error: "This address is taken." })
      }
      throw error
    }
  }
)

let stopping = false

// A promise rejects with the error of the operation.
app.setErrorHandler((error, _request, reply) => {
  if (stopping) return reply.code(503).send({ error: "The server is being stopped." })
  if (error instanceof SqlError.SqlError || error instanceof PoolError) {
    console.error(error.message)
    const away = error.reason._tag === "ConnectionError" || error.reason._tag === "AcquireTimeout"
    return reply
      .code(away ? 503 : 500)
      .send({ error: away ? "The database cannot be reached." : "Something went wrong." })
  }
  return reply.send(error)
})

// A client that keeps its connection open would keep the server.
app.addHook("onSend", async (_request, reply) => {
  if (stopping) reply.header("connection", "close")
})

app.addHook("onClose", async () => {
  await runtime.dispose()
  await closeDatabase()
})

/** Answers what is under way; after a second, what still runs is cancelled. */
const stop = () => {
  stopping = true
  setTimeout(() => void runtime.dispose(), 1000).unref()
  void app.close()
}
process.once("SIGTERM", stop)
process.once("SIGINT", stop)

console.log(`Listening on ${await app.listen({ port: Number(process.env.PORT ?? 3000) })}`)
