/**
 * A server that creates, reads, changes and deletes, over types that were written from its database:
 *
 *     npx effect-global-pool types --out examples/crud/db.ts
 *     npx tsx examples/crud.ts
 *     curl localhost:3000/authors --json '{"email":"ada@example.org","name":"Ada"}'
 */
import { readFile } from "node:fs/promises"
import { createServer } from "node:http"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config, Console, Data, Effect, Layer, Option, Schema } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { PG } from "effect-global-pool"
import type { Tables } from "./crud/db.ts"
import { settings } from "./support/database.ts"

/** What a client may send; the types of the tables check that it fits. */
const NewAuthor = Schema.Struct({ email: Schema.NonEmptyString, name: Schema.NonEmptyString })
const NewPost = Schema.Struct({
  author: Schema.Int,
  title: Schema.NonEmptyString,
  body: Schema.NonEmptyString,
  tags: Schema.optional(Schema.Array(Schema.String))
})
const PostChanges = Schema.Struct({
  title: Schema.optionalKey(Schema.NonEmptyString),
  body: Schema.optionalKey(Schema.NonEmptyString)
})
const PostPath = Schema.Struct({ id: Schema.String.check(Schema.isUUID()) })
const Search = Schema.Struct({
  tag: Schema.optionalKey(Schema.String),
  title: Schema.optionalKey(Schema.String)
})

/** A request that cannot be served, for a reason that its sender may know. */
class Refused extends Data.TaggedError("Refused")<{ readonly status: number; readonly message: string }> {}
const badRequest = ({ message }: { readonly message: string }) => new Refused({ status: 400, message })
const noSuchPost = new Refused({ status: 404, message: "There is no such post." })

const bodyOf = <A>(schema: Schema.Codec<A, unknown>) =>
  Effect.mapError(HttpServerRequest.schemaBodyJson(schema), badRequest)
const path = Effect.mapError(HttpRouter.schemaPathParams(PostPath), () => noSuchPost)
const search = Effect.mapError(HttpServerRequest.schemaSearchParams(Search), badRequest)

const answer = (status: number, body: unknown) => HttpServerResponse.jsonUnsafe(body, { status })

/** A handler's value as JSON; what the database refuses of a client's values is the client's mistake. */
const respond = <A, R>(handler: Effect.Effect<A, PG.OperationError | Refused, R>, status = 200) =>
  handler.pipe(
    Effect.map((body) => answer(status, body)),
    Effect.catch((error) => {
      if (error._tag === "Refused") return Effect.succeed(answer(error.status, { error: error.message }))
      switch (error.reason._tag) {
        case "UniqueViolation":
          return Effect.succeed(answer(409, { error: "There is one already." }))
        case "ConstraintError":
          return Effect.succeed(answer(422, { error: "This does not go with what is stored." }))
        default:
          return Effect.as(Effect.logError(error.message), answer(500, { error: "Something went wrong." }))
      }
    })
  )

const routes = (pgdb: PG.Database<Tables>) => {
  const authors = pgdb.table("authors")
  const posts = pgdb.table("posts")
  const published = pgdb.table("published_posts")

  const register = Effect.flatMap(bodyOf(NewAuthor), authors.insert)
  const write = Effect.flatMap(bodyOf(NewPost), posts.insert)

  const list = Effect.gen(function* () {
    const { tag, title } = yield* search
    const filter = {
      ...(tag === undefined ? {} : { tags: { $contains: [tag] } }),
      ...(title === undefined ? {} : { title: { $startsWith: title } })
    }
    const columns = ["id", "title", "tags", "words"] as const
    return yield* posts.find(filter, { columns, orderBy: { title: "asc" }, limit: 50 })
  })

  const read = Effect.gen(function* () {
    const [post] = yield* posts.update(yield* path, { views: { $inc: 1 } }, { returning: true })
    return post ?? (yield* noSuchPost)
  })

  const change = Effect.gen(function* () {
    const { id } = yield* path
    const changes = yield* bodyOf(PostChanges)
    const [post] = yield* posts.update({ id }, changes, { returning: ["id", "title", "words"] })
    return post ?? (yield* noSuchPost)
  })

  const publish = Effect.gen(function* () {
    const { id } = yield* path
    yield* posts.update({ id, published: null }, { published: PG.sql`now()` })
    const post = yield* published.findOne({ id })
    return yield* Option.match(post, { onNone: () => noSuchPost, onSome: Effect.succeed })
  })

  const remove = Effect.gen(function* () {
    const [gone] = yield* posts.delete(yield* path, { returning: ["id"] })
    return gone ?? (yield* noSuchPost)
  })

  return Layer.mergeAll(
    HttpRouter.add("POST", "/authors", respond(register, 201)),
    HttpRouter.add("GET", "/authors", respond(authors.find({}, { orderBy: { id: "asc" } }))),
    HttpRouter.add("POST", "/posts", respond(write, 201)),
    HttpRouter.add("GET", "/posts", respond(list)),
    HttpRouter.add("GET", "/posts/:id", respond(read)),
    HttpRouter.add("PATCH", "/posts/:id", respond(change)),
    HttpRouter.add("POST", "/posts/:id/published", respond(publish)),
    HttpRouter.add("DELETE", "/posts/:id", respond(remove))
  )
}

/** Makes the tables where there are none. */
const migrated = Effect.fnUntraced(function* (pgdb: PG.Database<Tables>) {
  const exists = yield* pgdb.selectValue`select to_regclass('posts') is not null`
  if (Option.contains(exists, true)) return
  const file = new URL("./crud/schema.sql", import.meta.url)
  const text = yield* Effect.promise(() => readFile(file, "utf8"))
  yield* pgdb.script(text, { name: "schema.sql" })
})

const listening = HttpServer.addressFormattedWith((address) => Console.log(`Listening on ${address}`))

const program = Effect.gen(function* () {
  const pgdb = PG.make<Tables>(yield* settings)
  const port = yield* Config.Int("PORT").pipe(Config.withDefault(3000))
  yield* HttpRouter.serve(routes(pgdb), { disableListenLog: true }).pipe(
    Layer.merge(Layer.effectDiscard(listening)),
    Layer.provide(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port })),
    Layer.provide(Layer.effectDiscard(migrated(pgdb))),
    Layer.provide(PG.layer),
    Layer.launch
  )
})

NodeRuntime.runMain(Effect.scoped(program))
