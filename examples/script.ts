/**
 * A script: three statements in a transaction, one insert, one select, and what a mistake looks like.
 *
 *     npm run demo
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { database } from "./support/database.ts"

const program = Effect.gen(function* () {
  const pgdb = yield* database
  const table = pgdb.table("effect_global_pool_demo")

  // All or none, in one round trip. Each `run` opens a pool and closes every connection when it returns.
  const outcomes = yield* table.run((self) =>
    self.trans([
      "drop table if exists effect_global_pool_demo",
      "create table effect_global_pool_demo (id int primary key, name text not null)",
      ["insert into effect_global_pool_demo values ($1, $2), ($3, $4)", [1, "Ada", 2, "Grace"]]
    ])
  )
  yield* Console.log("transaction:", outcomes.map(({ command }) => command).join(", "))

  const inserted = yield* table.run(
    (self) => self.execute`insert into ${self} (id, name) values (${3}, ${"Robert'); drop table students"})`
  )
  yield* Console.log("insert:", inserted.rowCount, "row")

  const rows = yield* table.run((self) => self.select`select id, name from ${self} order by id`)
  yield* Console.log("select:", rows)

  // A mistake is a typed error, and its message is the whole story.
  yield* table
    .run((self) => self.select`select id, nmae from ${self} where id > ${1}`)
    .pipe(Effect.catchTag("SqlError", (error) => Console.log(`a mistake: ${error.message}`)))
})

NodeRuntime.runMain(Effect.scoped(program))
