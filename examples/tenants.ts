/**
 * A server with a database for each tenant, all of them under one limit of 20 connections.
 *
 *     npx tsx examples/tenants.ts
 *     curl localhost:3000/t/acme -X PUT
 *     curl localhost:3000/t/acme/orders --json '{"item":"tea","quantity":2}'
 */
import { createServer } from "node:http"
import { NodeHttpServer, NodeRuntime, NodeServices } from "@effect/platform-node"
import { PgMigrator } from "@effect/sql-pg"
import { Config, Console, Data, Effect, Layer, Schema } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { SqlClient } from "effect/sql"
import { PG, PoolRegistry } from "effect-global-pool"
import { settings } from "./support/database.ts"

const Order = Schema.Struct({ id: Schema.Int, item: Schema.NonEmptyString, quantity: Schema.Int })
const NewOrder = Schema.Struct({ item: Schema.NonEmptyString, quantity: Schema.Int })
const TenantPath = Schema.Struct({
  tenant: Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9_]{0,39}$/))
})

/** A request that cannot be served, for a reason that its sender may know. */
class Refused extends Data.TaggedError("Refused")<{ readonly status: number; readonly message: string }> {}
const noSuchTenant = new Refused({ status: 404, message: "There is no such tenant." })

/** Each migration runs once in each tenant's database; a new one goes to the end. */
const migrations = PgMigrator.fromRecord({
  "0001_orders": Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql`create table orders (
      id int primary key generated always as identity,
      item text not null,
      quantity int not null check (quantity > 0)
    )`
  )
})

const routes = (where: PG.Settings) => {
  const home = PG.make(where)

  // Handles cost nothing: one for each request will do.
  const tenantOf = (name: string) => PG.make({ ...where, database: `tenant_${name}`, maxConnections: 5 })

  const tenant = Effect.mapBoth(HttpRouter.schemaPathParams(TenantPath), {
    onFailure: () => noSuchTenant,
    onSuccess: (path) => path.tenant
  })

  const provision = Effect.gen(function* () {
    const name = yield* tenant
    const found = yield* home.selectOne`select 1 from pg_database where datname = ${`tenant_${name}`}`
    if (found._tag === "None") yield* home.execute`create database ${PG.id(`tenant_${name}`)}`
    const done = yield* PgMigrator.run({ loader: migrations }).pipe(
      Effect.provide([tenantOf(name).layer, NodeServices.layer])
    )
    return { tenant: name, migrations: done.map(([id]) => id) }
  })

  const list = Effect.flatMap(tenant, (name) =>
    tenantOf(name)
      .table("orders", Order)
      .find({}, { orderBy: { id: "desc" }, limit: 20 })
  )

  const create = Effect.gen(function* () {
    const name = yield* tenant
    const order = yield* Effect.mapError(
      HttpServerRequest.schemaBodyJson(NewOrder),
      (error) => new Refused({ status: 400, message: error.message })
    )
    return yield* tenantOf(name).table("orders", Order).insert(order)
  })

  return Layer.mergeAll(
    HttpRouter.add("PUT", "/t/:tenant", respond(provision, 201)),
    HttpRouter.add("GET", "/t/:tenant/orders", respond(list)),
    HttpRouter.add("POST", "/t/:tenant/orders", respond(create, 201)),
    HttpRouter.add("GET", "/pools", respond(PoolRegistry.stats))
  )
}

const problem = (status: number, error: string) => HttpServerResponse.jsonUnsafe({ error }, { status })

/** A handler's value as JSON, and its errors as a client may see them; the log has the rest. */
const respond = <A, E extends { readonly _tag: string; readonly message: string }, R>(
  handler: Effect.Effect<A, E | Refused, R>,
  status = 200
) =>
  handler.pipe(
    Effect.map((body) => HttpServerResponse.jsonUnsafe(body, { status })),
    Effect.catch((error) => {
      if (error instanceof Refused) return Effect.succeed(problem(error.status, error.message))
      // Postgres' word for a database that does not exist.
      if (error.message.includes("SQLSTATE 3D000")) return Effect.succeed(problem(404, noSuchTenant.message))
      return Effect.as(Effect.logError(error.message), problem(503, "Try again in a moment."))
    })
  )

const listening = HttpServer.addressFormattedWith((address) => Console.log(`Listening on ${address}`))

const program = Effect.gen(function* () {
  const where = yield* settings
  const host = yield* Config.String("HOST").pipe(Config.withDefault("127.0.0.1"))
  const port = yield* Config.Int("PORT").pipe(Config.withDefault(3000))
  const server = NodeHttpServer.layer(createServer, { host, port, gracefulShutdownTimeout: "1 second" })

  yield* HttpRouter.serve(routes(where), { disableListenLog: true }).pipe(
    Layer.merge(Layer.effectDiscard(listening)),
    Layer.provide(server),
    Layer.provide(PoolRegistry.layer({ maxConnections: 20, poolIdleTimeout: "1 minute" })),
    Layer.launch
  )
})

NodeRuntime.runMain(Effect.scoped(program))
