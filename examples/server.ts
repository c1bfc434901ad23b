/**
 * A server of orders. The first request opens the pool; SIGTERM answers what is under way, then ends it.
 *
 *     npm run server
 *     curl localhost:3000/orders --json '{"item":"tea","quantity":2}'
 */
import { createServer } from "node:http"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { ByteSize, Config, Console, Data, Effect, Exit, Layer, Option, Schema } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { PG, PoolRegistry } from "effect-global-pool"
import { database } from "./support/database.ts"

const between = (minimum: number, maximum: number) => Schema.isBetween({ minimum, maximum })
const WholeFromString = Schema.NumberFromString.check(Schema.isInt())

const NewOrder = Schema.Struct({
  // Postgres stores no NUL character in a text.
  item: Schema.NonEmptyString.check(Schema.isMaxLength(200), Schema.isPattern(/^[^\0]*$/)),
  quantity: Schema.Int.check(between(1, 1_000))
})
const Order = Schema.Struct({ id: Schema.Int, ...NewOrder.fields, placed_at: Schema.Date })
const OrderPath = Schema.Struct({ id: WholeFromString.check(between(1, 2_147_483_647)) })
const Page = Schema.Struct({ limit: Schema.optionalKey(WholeFromString.check(between(1, 100))) })

/** A request that cannot be served, for a reason that its sender may know. */
class Refused extends Data.TaggedError("Refused")<{ readonly status: number; readonly message: string }> {}

const badRequest = (error: { readonly message: string }) =>
  new Refused({ status: 400, message: error.message })
const noSuchOrder = new Refused({ status: 404, message: "There is no such order." })

const problem = (status: number, error: string) => HttpServerResponse.jsonUnsafe({ error }, { status })
const away = problem(503, "The database cannot be reached. Try again in a moment.")
const failed = problem(500, "Something went wrong.")

/** A handler's value as JSON, and its errors as a client may see them; the log has the rest. */
const respond = <A, E extends PG.OperationError | Schema.SchemaError | Refused, R>(
  handler: Effect.Effect<A, E, R>,
  status = 200
) =>
  handler.pipe(
    Effect.map((body) => HttpServerResponse.jsonUnsafe(body, { status })),
    Effect.catch((error) => {
      if (error._tag === "Refused") return Effect.succeed(problem(error.status, error.message))
      const reason = error._tag === "SchemaError" ? error._tag : error.reason._tag
      const response = reason === "ConnectionError" || reason === "AcquireTimeout" ? away : failed
      return Effect.as(Effect.logError(error.message), response)
    })
  )

const body = HttpServerRequest.schemaBodyJson(NewOrder).pipe(
  Effect.provideService(HttpServerRequest.MaxBodySize, ByteSize.kibibytes(16)),
  Effect.catchTags({
    SchemaError: (error) => badRequest(error),
    HttpServerError: ({ reason }) =>
      reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"
        ? new Refused({ status: 413, message: "An order has at most 16 KiB." })
        : new Refused({ status: 400, message: "The body is not JSON." })
  })
)
const page = Effect.mapError(HttpServerRequest.schemaSearchParams(Page), badRequest)
const path = Effect.mapError(HttpRouter.schemaPathParams(OrderPath), () => noSuchOrder)

const routes = Effect.fnUntraced(function* (pgdb: PG.Database) {
  const orders = pgdb.table("orders", Order)

  // Done once, by the first request that comes here, and again only if it failed.
  const ready = yield* Effect.cachedWithTTL(
    orders.execute`create table if not exists ${orders} (
      id int primary key generated always as identity,
      item text not null,
      quantity int not null,
      placed_at timestamptz not null default now()
    )`,
    (exit) => (Exit.isSuccess(exit) ? "Infinity" : 0)
  )

  const list = Effect.gen(function* () {
    const { limit = 20 } = yield* page
    yield* ready
    return yield* orders.find({}, { orderBy: { id: "desc" }, limit })
  })

  const create = Effect.gen(function* () {
    const order = yield* body
    yield* ready
    return yield* orders.insert(order)
  })

  const read = Effect.gen(function* () {
    const { id } = yield* path
    yield* ready
    const order = yield* orders.findOne({ id })
    return yield* Option.match(order, { onNone: () => noSuchOrder, onSome: Effect.succeed })
  })

  return Layer.mergeAll(
    HttpRouter.add("GET", "/orders", respond(list)),
    HttpRouter.add("POST", "/orders", respond(create, 201)),
    HttpRouter.add("GET", "/orders/:id", respond(read)),
    HttpRouter.add("GET", "/health", respond(Effect.as(pgdb.select`select 1`, { status: "ok" }))),
    HttpRouter.add("GET", "/pools", respond(PoolRegistry.stats)),
    HttpRouter.add("*", "*", problem(404, "There is no such page."))
  )
})

const listening = HttpServer.addressFormattedWith((address) => Console.log(`Listening on ${address}`))

const program = Effect.gen(function* () {
  const pgdb = yield* database
  const host = yield* Config.String("HOST").pipe(Config.withDefault("127.0.0.1"))
  const port = yield* Config.Int("PORT").pipe(Config.withDefault(3000))
  const server = NodeHttpServer.layer(createServer, { host, port, gracefulShutdownTimeout: "1 second" })

  yield* HttpRouter.serve(Layer.unwrap(routes(pgdb)), { disableListenLog: true }).pipe(
    Layer.merge(Layer.effectDiscard(listening)),
    Layer.provide(server),
    Layer.provide(PG.layer),
    Layer.launch
  )
})

NodeRuntime.runMain(Effect.scoped(program))
