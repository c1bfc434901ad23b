/**
 * The same pool outside Effect: a runtime made from `PG.layer` runs the programs, and ends the pool with the server.
 *
 *     npx tsx examples/fastify.ts
 */
import { Effect, ManagedRuntime, Option } from "effect"
import { SqlError } from "effect/sql"
import { PG, PoolError } from "effect-global-pool"
import Fastify from "fastify"
import { openDatabase } from "./support/database.ts"

interface User {
  readonly id: number
  readonly email: string
}

const { pgdb, closeDatabase } = await openDatabase()
const users = pgdb.table<User>("users")
const runtime = ManagedRuntime.make(PG.layer)
const app = Fastify({ forceCloseConnections: "idle" })

await runtime.runPromise(
  users.execute`create table if not exists ${users} (
    id int primary key generated always as identity,
    email text not null unique
  )`
)

// The signal ends the statement on the server when the client has gone.
app.get("/users", ({ signal }) => runtime.runPromise(users.find({}, { orderBy: { id: "asc" } }), { signal }))

app.get<{ Params: { id: number } }>(
  "/users/:id",
  {
    schema: {
      params: { type: "object", properties: { id: { type: "integer", minimum: 1, maximum: 2_147_483_647 } } }
    }
  },
  async ({ params, signal }, reply) => {
    const user = await runtime.runPromise(users.findOne({ id: params.id }), { signal })
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
  async ({ body, signal }, reply) => {
    const stored = users.insert({ email: body.email }).pipe(
      Effect.map((user) => ({ status: 201, body: user })),
      Effect.catchReason("SqlError", "UniqueViolation", () =>
        Effect.succeed({ status: 409, body: { error: "This address is taken." } })
      )
    )
    const { status, body: answer } = await runtime.runPromise(stored, { signal })
    return reply.code(status).send(answer)
  }
)

// A failed program is a rejected promise, with the error that it failed with.
app.setErrorHandler((error, _request, reply) => {
  if (error instanceof SqlError.SqlError || error instanceof PoolError) {
    console.error(error.message)
    const away = error.reason._tag === "ConnectionError" || error.reason._tag === "AcquireTimeout"
    return reply
      .code(away ? 503 : 500)
      .send({ error: away ? "The database cannot be reached." : "Something went wrong." })
  }
  return reply.send(error)
})

app.addHook("onClose", async () => {
  await runtime.dispose()
  await closeDatabase()
})

const stop = () => {
  // What is still running after a second is cancelled.
  setTimeout(() => void runtime.dispose(), 1000).unref()
  void app.close()
}
process.once("SIGTERM", stop)
process.once("SIGINT", stop)

console.log(`Listening on ${await app.listen({ port: Number(process.env.PORT ?? 3000) })}`)
