/** `TestDatabase.sandbox`: the code in it cannot tell, and nothing of what it does stays. */
import { assert, describe, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { isSqlError } from "effect/sql/SqlError"
import * as TestClock from "effect/testing/TestClock"
import { PG, PoolRegistry } from "effect-global-pool"
import { TestDatabase } from "effect-global-pool/testing"
import { Client, type Connection } from "pg"
import { server } from "./support/database.ts"
import { interruptAt } from "./support/interruptAt.ts"
import { urlOf } from "./support/url.ts"

const setup = [
  "create table users (id int primary key generated always as identity, name text not null unique); insert into users (name) values ('Root')",
  "create table notes (id int primary key, author int references users deferrable initially deferred)"
]

/** What the driver has for `COPY`, which its types do not say. */
interface SimpleCopy {
  readonly query: (text: string) => void
  readonly once: (event: "copyInResponse", f: () => void) => void
  readonly sendCopyFromChunk: (chunk: Buffer) => void
  readonly endCopyFrom: () => void
}

/** What another program does that connects to the sandbox. */
const byClient = <A>(f: (client: Client) => Promise<A>) =>
  Effect.flatMap(TestDatabase.url, (url) =>
    Effect.promise(async () => {
      const client = new Client({ connectionString: Redacted.value(url) })
      client.on("error", () => undefined)
      await client.connect()
      const result = await f(client)
      await client.end()
      return result
    })
  )

/** What a client sends by the extended protocol, and the first column of the rows that come. */
const exchanged = (client: Client, send: (connection: Connection) => void) =>
  new Promise<ReadonlyArray<string>>((resolve, reject) => {
    const values: Array<string> = []
    const nothing = () => undefined
    const submittable = {
      submit: send,
      handleRowDescription: nothing,
      handleDataRow: ({ fields }: { readonly fields: ReadonlyArray<string> }) =>
        void values.push(String(fields[0])),
      handleCommandComplete: nothing,
      handlePortalSuspended: nothing,
      handleReadyForQuery: () => resolve(values),
      handleError: reject
    }
    client.query(submittable)
  })

/** As a program has it in one of its modules. */
const pgdb = PG.make("postgres://app@db.example/app")
const users = pgdb.table("users")
const names = Effect.map(users.find({}, { orderBy: { id: "asc" } }), (all) => all.map(({ name }) => name))

/** The SQLSTATE of a failure of the server. */
const stateOf = (error: unknown): string | undefined =>
  /SQLSTATE (\w{5})/.exec(isSqlError(error) ? error.message : "")?.[1]

/** The message of a failure of the server, with its hint. */
const refusalOf = (effect: Effect.Effect<unknown, unknown, PoolRegistry>) =>
  Effect.map(Effect.flip(effect), (error) => (isSqlError(error) ? error.message : String(error)))

layer(TestDatabase.layer({ url: urlOf(server()), setup }))("in a sandbox", (it) => {
  for (const time of ["first", "second"]) {
    it.effect(`nothing is left of the ${time} test`, () =>
      TestDatabase.sandbox(
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* names, ["Root"])
          yield* users.insert({ name: "Ada" })
          yield* users.insertMany([{ name: "Grace" }, { name: "Alan" }])
          yield* pgdb.execute("create table made_in_a_test ()")
          assert.deepStrictEqual(yield* names, ["Root", "Ada", "Grace", "Alan"])
        })
      )
    )
  }

  it.effect("a failing statement that is caught does no harm to the next", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        yield* users.insert({ name: "Ada" })
        const error = yield* Effect.flip(users.insert({ name: "Ada" }))
        assert.strictEqual(stateOf(error), "23505")
        yield* users.insert({ name: "Grace" })
        assert.deepStrictEqual(yield* names, ["Root", "Ada", "Grace"])
      })
    )
  )

  it.effect("transactions commit, roll back, nest and tell after the commit", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        const told: Array<string> = []
        const tell = (text: string) => pgdb.afterCommit(Effect.sync(() => void told.push(text)))
        yield* pgdb.transaction(
          Effect.gen(function* () {
            yield* users.insert({ name: "Ada" })
            yield* Effect.flip(
              pgdb.transaction(Effect.andThen(users.insert({ name: "Eve" }), Effect.fail("no" as const)))
            )
            yield* pgdb.transaction(users.insert({ name: "Grace" }))
            yield* tell("committed")
          })
        )
        yield* Effect.flip(
          pgdb.transaction(
            Effect.andThen(users.insert({ name: "Eve" }), Effect.andThen(tell("never"), Effect.fail("no")))
          )
        )
        yield* Effect.flip(users.trans(["insert into users (name) values ('Eve')", "select 1 / 0"]))
        yield* users.trans([
          "insert into users (name) values ('Alan')",
          "update users set name = name || '!'"
        ])
        assert.deepStrictEqual(yield* names, ["Root!", "Ada!", "Grace!", "Alan!"])
        assert.deepStrictEqual(told, ["committed"])
      })
    )
  )

  it.effect("a transaction has its options, and retries", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        const readOnly = pgdb.transaction(users.insert({ name: "Ada" }), { readOnly: true })
        assert.strictEqual(stateOf(yield* Effect.flip(readOnly)), "25006")
        let runs = 0
        const conflict = pgdb.execute("do $$ begin raise 'a conflict' using errcode = '40001'; end $$")
        const attempt = Effect.suspend(() => (runs++ === 0 ? conflict : Effect.void))
        yield* TestClock.withLive(
          pgdb.transaction(Effect.andThen(users.insert({ name: "Ada" }), attempt), {
            isolation: "serializable",
            retry: { times: 2 }
          })
        )
        assert.strictEqual(runs, 2)
        assert.deepStrictEqual(yield* names, ["Root", "Ada"])
      })
    )
  )

  it.effect("a deferred constraint is checked at the commit of the transaction inside", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        const note = (author: number) => pgdb.execute`insert into notes values (${author}, ${author})`
        assert.strictEqual(stateOf(yield* Effect.flip(note(7))), "23503")
        yield* pgdb.transaction(
          Effect.andThen(note(7), pgdb.execute("insert into users overriding system value values (7, 'Ada')"))
        )
        const late = pgdb.transaction(Effect.andThen(note(8), Effect.succeed("not yet")))
        assert.strictEqual(stateOf(yield* Effect.flip(late)), "23503")
        assert.deepStrictEqual(yield* pgdb.select("select id from notes"), [{ id: 7 }])
      })
    )
  )

  it.effect("what a transaction sets for itself ends with it", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        const zone = Effect.map(pgdb.selectOne("show timezone"), (row) => JSON.stringify(row))
        const before = yield* zone
        yield* pgdb.transaction(
          Effect.gen(function* () {
            yield* pgdb.execute("set local timezone = 'Asia/Tokyo'")
            assert.include(yield* zone, "Asia/Tokyo")
          })
        )
        assert.strictEqual(yield* zone, before)
      })
    )
  )

  for (const [text, params] of [
    [`set local "TimeZone" = 'Asia/Tokyo'`],
    ["set local /* here */ time zone 'Asia/Tokyo'"],
    [`set local app."tenant" = '7'`],
    ["set local app . tenant = '7'"],
    ["set local schema 'pg_catalog'"],
    ["set local names 'UTF8'"],
    ["set local xml option document"],
    ["set local seed to 0.5"],
    ["select set_config($1, $2, true)", ["app.tenant", "7"]],
    ["select set_config('app.other', '1', true), set_config($1::text, '7', true)", ["app.tenant"]]
  ] as const) {
    it.effect(`what a transaction sets by ${text} ends with it`, () =>
      TestDatabase.sandbox(
        Effect.gen(function* () {
          const settings = pgdb.selectOne(
            `select current_setting('timezone') as zone, current_schemas(false)::text as schemas, current_setting('xmloption') as xml,
              coalesce(current_setting('app.tenant', true), '') as tenant, coalesce(current_setting('app.other', true), '') as other`
          )
          const before = yield* settings
          yield* pgdb.transaction(pgdb.execute(text, params))
          assert.deepStrictEqual(yield* settings, before)
        })
      )
    )
  }

  it.effect(
    "what a nested transaction that is rolled back has set for itself keeps no commit from working",
    () =>
      TestDatabase.sandbox(
        Effect.gen(function* () {
          const zone = pgdb.selectValue("show timezone")
          const set = (to: string) => pgdb.execute(`set local timezone = '${to}'`)
          const undone = (to: string) =>
            Effect.ignore(pgdb.transaction(Effect.andThen(set(to), Effect.fail("no"))))
          const before = yield* zone
          for (const inside of [
            [undone("Asia/Tokyo"), Effect.void],
            [undone("Asia/Tokyo"), set("Europe/Berlin")],
            [set("Europe/Berlin"), undone("Asia/Tokyo")],
            [pgdb.transaction(set("Europe/Berlin")), undone("Asia/Tokyo")]
          ]) {
            yield* pgdb.transaction(Effect.all(inside))
            assert.deepStrictEqual(yield* zone, before)
          }
        })
      )
  )

  it.effect("a statement for the transaction alone that is wrong has its own error", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        const wrong = pgdb.transaction(pgdb.execute("set local app.user = 'Ada'"))
        assert.strictEqual(stateOf(yield* Effect.flip(wrong)), "42601")
        assert.deepStrictEqual(yield* names, ["Root"])
      })
    )
  )

  it.effect("rows stream, also ended early and beside other statements", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        const rows = pgdb.stream("select n from generate_series(1, 10000) n")
        assert.strictEqual(yield* Stream.runCount(rows), 10_000)
        const some = yield* rows.pipe(
          Stream.mapEffect(({ n }) => Effect.as(users.count(), n)),
          Stream.take(3),
          Stream.runCollect
        )
        assert.deepStrictEqual(some, [1, 2, 3])
      })
    )
  )

  it.effect("the standard client, PG.run and the pools' statistics are those of the sandbox", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        const sql = yield* pgdb.client
        yield* sql.withTransaction(sql`insert into users (name) values ('Ada')`)
        yield* Effect.flip(sql.withTransaction(Effect.andThen(sql`delete from users`, Effect.fail("no"))))
        assert.deepStrictEqual(yield* PG.run(names), ["Root", "Ada"])
        const [pool] = yield* PoolRegistry.stats
        assert.strictEqual(pool?.key, "app")
        yield* pgdb.terminate
        assert.deepStrictEqual(yield* names, ["Root", "Ada"])
      })
    )
  )

  it.effect("a pool that the program has of its own, outside of the test's fiber, leads there too", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        yield* users.insert({ name: "Ada" })
        const runtime = ManagedRuntime.make(PG.layer)
        yield* Effect.addFinalizer(() => Effect.promise(() => runtime.dispose()))
        assert.deepStrictEqual(yield* Effect.promise(() => runtime.runPromise(names)), ["Root", "Ada"])
      })
    )
  )

  it.effect("another program that connects to the sandbox's URL is in it", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        yield* users.insert({ name: "Ada" })
        const connectionString = Redacted.value(yield* TestDatabase.url)
        const rows = yield* Effect.promise(async () => {
          const client = new Client({ connectionString })
          await client.connect()
          const wrong = await client
            .query("begin isolation level nonsense")
            .catch((error: Error) => error.message)
          assert.include(wrong, "syntax error")
          await client.query("start transaction isolation level repeatable read, read write")
          await client.query("insert into users (name) values ($1)", ["Eve"])
          await client.query("rollback")
          await client.query("insert into users (name) values ($1)", ["Grace"])
          const { rows } = await client.query("select name from users order by id")
          await client.end()
          return rows
        })
        assert.deepStrictEqual(rows, [{ name: "Root" }, { name: "Ada" }, { name: "Grace" }])
        const stranger = new Client({ connectionString: connectionString.replace(/:[^:@]+@/, ":guess@") })
        const refused = yield* Effect.promise(() => stranger.connect().catch((error: Error) => error.message))
        assert.include(String(refused), "password authentication failed")
        const elsewhere = new Client({
          connectionString: connectionString.replace(/effect_test_\w+/, "other")
        })
        const missing = yield* Effect.promise(() =>
          elsewhere.connect().catch((error: Error) => error.message)
        )
        assert.include(String(missing), 'database "other" does not exist')
      })
    )
  )

  it.effect("two fibers' transactions run one behind another", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        yield* pgdb.execute("create table tally (n int)")
        yield* pgdb.execute("insert into tally values (0)")
        const add = pgdb.transaction(
          Effect.gen(function* () {
            const row = yield* pgdb.selectOne<{ readonly n: number }>("select n from tally")
            if (row._tag === "Some") yield* pgdb.execute`update tally set n = ${row.value.n + 1}`
          })
        )
        yield* Effect.all(
          Array.from({ length: 8 }, () => add),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(yield* pgdb.select("select n from tally"), [{ n: 8 }])
      })
    )
  )

  it.effect("time stands still until the test moves it", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        const done = yield* Deferred.make<void>()
        const nightly = Effect.andThen(Effect.sleep("1 day"), users.insert({ name: "Ada" }))
        const job = yield* Effect.forkChild(Effect.ensuring(nightly, Deferred.succeed(done, undefined)))
        assert.deepStrictEqual(yield* names, ["Root"])
        yield* TestClock.adjust("1 day")
        yield* Deferred.await(done)
        yield* Fiber.join(job)
        assert.deepStrictEqual(yield* names, ["Root", "Ada"])
      })
    )
  )

  it.effect("a statement that is interrupted is cancelled, and the next one runs", () =>
    TestDatabase.sandbox(
      TestClock.withLive(
        Effect.gen(function* () {
          const start = Date.now()
          yield* Effect.timeoutOption(pgdb.select("select pg_sleep(20)"), "200 millis")
          assert.deepStrictEqual(yield* names, ["Root"])
          assert.isBelow(Date.now() - start, 10_000)
        })
      )
    )
  )

  for (const [what, statement, syncs] of [
    ["that runs is waited for as long as it takes", "select pg_sleep(4)", true],
    ["that has ended is stuck when no Sync follows", "select 1", false]
  ] as const) {
    it.effect(`a statement by Flush ${what}`, () =>
      TestDatabase.sandbox(
        Effect.gen(function* () {
          const hasBegun = yield* Deferred.make<void>()
          const hasCounted = yield* Deferred.make<void>()
          const ask = byClient((client) =>
            exchanged(client, (connection) => {
              connection.once("bindComplete", () => {
                connection.execute({}, true)
                connection.flush()
                Deferred.doneUnsafe(hasBegun, Effect.void)
              })
              connection.once("commandComplete", () => {
                if (syncs) return connection.sync()
                const sync = Effect.sync(() => connection.sync())
                Effect.runFork(Effect.andThen(Deferred.await(hasCounted), sync))
              })
              connection.parse({ name: "", text: statement, types: [] }, true)
              connection.bind({}, true)
              connection.flush()
            })
          )
          const count = Deferred.await(hasBegun).pipe(
            Effect.andThen(byClient((client) => client.query("select from users").catch(String))),
            Effect.ensuring(Deferred.succeed(hasCounted, undefined))
          )
          const [asked, counted] = yield* Effect.all([ask, count], { concurrency: "unbounded" })
          assert.lengthOf(asked, 1)
          if (typeof counted !== "string") assert.deepStrictEqual([syncs, counted.rowCount], [true, 1])
          else assert.include(counted, syncs ? "1 row" : "another connection of this sandbox kept it")
        })
      )
    )
  }

  describe("what one transaction cannot be is refused, with what to do:", () => {
    for (const [what, statement] of [
      ["LISTEN", "listen news"],
      ["VACUUM", "vacuum users"],
      ["CREATE DATABASE", "create database other"],
      ["CREATE INDEX CONCURRENTLY", "create index concurrently on users (name)"],
      ["PREPARE TRANSACTION", "prepare transaction 'one'"],
      ["COMMIT AND CHAIN", "commit and chain"]
    ] as const) {
      it.effect(what, () =>
        TestDatabase.sandbox(
          Effect.gen(function* () {
            const connectionString = Redacted.value(yield* TestDatabase.url)
            const message = yield* Effect.promise(async () => {
              const client = new Client({ connectionString })
              await client.connect()
              const error = await client.query(statement).then(
                () => "",
                ({ message, hint }) => `${message} ${hint}`
              )
              await client.end()
              return error
            })
            assert.include(message, "Run the test on a database of its own")
            assert.deepStrictEqual(yield* names, ["Root"])
          })
        )
      )
    }

    it.effect("pgdb.listen", () =>
      TestDatabase.sandbox(
        Effect.gen(function* () {
          const message = yield* refusalOf(Stream.runDrain(pgdb.listen("news")))
          assert.include(message, "LISTEN does nothing in a sandbox")
          assert.include(message, "Run the test on a database of its own")
        })
      )
    )

    it.effect("a transaction that waits for another one's end", () =>
      TestDatabase.sandbox(
        Effect.gen(function* () {
          const outside = users.insert({ name: "Grace" }).pipe(Effect.provide(PoolRegistry.layer()))
          const message = yield* refusalOf(
            pgdb
              .transaction(
                Effect.andThen(
                  users.insert({ name: "Ada" }),
                  Effect.promise(() => Effect.runPromise(PG.run(outside)))
                )
              )
              .pipe(Effect.catchDefect(Effect.fail))
          )
          assert.include(message, "another connection of this sandbox kept it")
          assert.deepStrictEqual(yield* names, ["Root"])
        })
      )
    )

    it.effect("a sandbox in a sandbox", () =>
      TestDatabase.sandbox(
        Effect.gen(function* () {
          const error = yield* Effect.flip(TestDatabase.sandbox(users.count()))
          assert.include(error.message, "A sandbox cannot be opened in another one")
        })
      )
    )

    it.effect("a handle to a second database", () =>
      TestDatabase.sandbox(
        Effect.gen(function* () {
          yield* users.count()
          const message = yield* refusalOf(PG.make("postgres://app@db.example/billing").select("select 1"))
          assert.include(message, "stands for")
        })
      )
    )
  })

  it.effect(
    "fibers with a sandbox each at one time do not see each other, and others have to say which",
    () =>
      Effect.gen(function* () {
        const people = ["Ada", "Grace", "Alan"]
        const meeting = Effect.map(Latch.make(), (latch) => {
          let there = 0
          const arrive = Effect.suspend(() => (++there === people.length ? latch.open : Effect.void))
          return Effect.andThen(arrive, latch.await)
        })
        const [allOpen, allAsked] = yield* Effect.all([meeting, meeting])
        const seen = yield* Effect.forEach(
          people,
          (name) =>
            TestDatabase.sandbox(
              Effect.gen(function* () {
                yield* users.insert({ name })
                yield* allOpen
                const runtime = ManagedRuntime.make(PG.layer)
                yield* Effect.addFinalizer(() => Effect.promise(() => runtime.dispose()))
                const outside = Effect.promise(() => runtime.runPromise(Effect.flip(users.count())))
                assert.include((yield* outside).message, "Several sandboxes are open at one time")
                yield* allAsked
                return yield* names
              })
            ),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(
          seen,
          people.map((name) => ["Root", name])
        )
      })
  )

  it.effect("COPY by the simple protocol takes the client's data, and its errors are the server's", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        const copied = yield* byClient(async (client) => {
          const connection: SimpleCopy = Reflect.get(Object(client), "connection")
          const copy = (data: string) =>
            new Promise<string>((resolve) => {
              connection.once("copyInResponse", () => {
                connection.sendCopyFromChunk(Buffer.from(data))
                connection.endCopyFrom()
              })
              const submittable = {
                submit: (to: SimpleCopy) => to.query("copy users (id, name) from stdin"),
                handleCommandComplete: () => undefined,
                handleCopyInResponse: () => undefined,
                handleReadyForQuery: () => resolve("done"),
                handleError: (error: Error) => resolve(error.message)
              }
              Reflect.apply(client.query, client, [submittable])
            })
          const outcomes = [await copy("100\tAda\n101\tGrace\n"), await copy("none\tAlan\n")]
          const { rows } = await client.query("select name from users where id >= 100 order by id")
          return { outcomes, rows }
        })
        assert.deepStrictEqual(copied.rows, [{ name: "Ada" }, { name: "Grace" }])
        assert.strictEqual(copied.outcomes[0], "done")
        assert.include(copied.outcomes[1] ?? "", "invalid input syntax")
      })
    )
  )

  it.effect("what a client sends behind a COPY that is over keeps no other one waiting", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        const rows = yield* byClient(async (client) => {
          const connection: { readonly sendCopyFail: (why: string) => void } = Reflect.get(
            Object(client),
            "connection"
          )
          await client.query("select 1")
          connection.sendCopyFail("too late")
          return Effect.runPromise(PG.run(names))
        })
        assert.deepStrictEqual(rows, ["Root"])
      })
    )
  )

  it.effect("a client that leaves at the end of the sandbox hears of no error", () =>
    Effect.gen(function* () {
      const errors: Array<Error> = []
      const gone = yield* TestDatabase.sandbox(
        Effect.flatMap(TestDatabase.url, (url) =>
          Effect.promise(async () => {
            const client = new Client({ connectionString: Redacted.value(url) })
            client.on("error", (error) => errors.push(error))
            await client.connect()
            const ended = new Promise((resolve) => client.once("end", resolve))
            void client.end()
            return { ended }
          })
        )
      )
      yield* Effect.promise(() => gone.ended)
      assert.deepStrictEqual(errors, [])
    })
  )

  it.effect("a deferrable constraint that is made by the simple protocol is checked at the commit", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        const message = yield* byClient(async (client) => {
          await client.query("create table child (u int references users deferrable initially deferred)")
          const error = await client.query("insert into child values (-1)").catch((error: Error) => error)
          return String(error)
        })
        assert.include(message, "violates foreign key constraint")
      })
    )
  )

  it.effect("names of statements and portals that differ in their last letter alone are two names", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        const long = (kind: string, last: string) => kind.repeat(62) + last
        const seen = yield* byClient(async (client) => {
          const statement = (last: string) => ({ name: long("s", last), text: `select '${last}' as last` })
          const lasts: Array<string> = []
          for (const last of ["1", "2", "1"])
            lasts.push((await client.query<{ last: string }>(statement(last))).rows[0]?.last ?? "")
          const portals = await exchanged(client, (connection) => {
            for (const last of ["1", "2"])
              connection.bind({ portal: long("p", last), statement: long("s", last) }, true)
            for (const last of ["2", "1"]) connection.execute({ portal: long("p", last) }, true)
            connection.sync()
          })
          return { lasts, portals }
        })
        assert.deepStrictEqual(seen, { lasts: ["1", "2", "1"], portals: ["2", "1"] })
      })
    )
  )

  it.effect("SQL's own statements are found by the protocol too, others are missing by name", () =>
    TestDatabase.sandbox(
      Effect.gen(function* () {
        const seen = yield* byClient(async (client) => {
          await client.query("prepare answer as select 42")
          const prepared = await exchanged(client, (connection) => {
            connection.bind({ statement: "answer" }, true)
            connection.execute({}, true)
            connection.sync()
          })
          const missing = await exchanged(client, (connection) => {
            connection.bind({ statement: "question" }, true)
            connection.sync()
          }).catch((error: Error) => error.message)
          const gone: Array<unknown> = []
          for (const [name, text] of [
            ["wrong", "select nothing"],
            ["closed, 'é'", "select 1"]
          ] as const) {
            await exchanged(client, (connection) => {
              connection.parse({ name, text, types: [] }, true)
              connection.close({ type: "S", name }, true)
              connection.sync()
            }).catch(() => undefined)
            gone.push(
              await exchanged(client, (connection) => {
                connection.bind({ statement: name }, true)
                connection.sync()
              }).catch((error: Error) => error.message)
            )
          }
          return { prepared, missing, gone }
        })
        assert.deepStrictEqual(seen, {
          prepared: ["42"],
          missing: 'prepared statement "question" does not exist',
          gone: [
            'prepared statement "wrong" does not exist',
            `prepared statement "closed, 'é'" does not exist`
          ]
        })
      })
    )
  )

  for (const become of ["set role", "set session authorization"]) {
    it.effect(`what is deferred is checked, and deferred again, behind ${become}`, () =>
      TestDatabase.sandbox(
        Effect.gen(function* () {
          const seen = yield* byClient(async (client) => {
            await client.query(`create role plain_${process.pid}; create schema hidden; create table heard (who text);
              create table hidden.child (author int references users deferrable initially deferred);
              create function hear() returns trigger language plpgsql as
                $$ begin insert into heard values (current_user); return null; end $$;
              create table told (n int); create constraint trigger told after insert on told
                deferrable initially deferred for each row execute function hear();
              grant insert on heard, told to plain_${process.pid}`)
            await client.query(`${become} plain_${process.pid}`)
            await client.query("begin")
            await client.query("insert into told values (1)")
            await client.query("commit")
            const who = await client.query(
              "select current_user, session_user, current_setting('role') as role"
            )
            await client.query("reset session authorization")
            await client.query("reset role")
            const late = await client.query("insert into hidden.child values (-1)").catch(String)
            await client.query("begin")
            await client.query("insert into hidden.child values (-1)")
            await client.query("delete from hidden.child")
            await client.query("commit")
            const { rows } = await client.query("select who from heard")
            return { ...who.rows[0], heard: rows, late }
          })
          const plain = `plain_${process.pid}`
          const isRole = become === "set role"
          assert.strictEqual(seen.current_user, plain)
          assert.strictEqual(seen.session_user === plain, !isRole)
          assert.strictEqual(seen.role, isRole ? plain : "none")
          assert.deepStrictEqual(seen.heard, [{ who: plain }])
          assert.include(seen.late, "violates foreign key constraint")
        })
      )
    )
  }

  it.effect(
    "sandboxes hand their sessions on, also those that were open at one time or are interrupted",
    () =>
      Effect.gen(function* () {
        const own = yield* TestDatabase.pgdb
        const sessions = own.select(
          `select pid from pg_stat_activity
         where datname = current_database() and application_name = 'effect-global-pool/testing' order by pid`
        )
        const together = Effect.gen(function* () {
          const allOpen = yield* Latch.make()
          let open = 0
          const arrive = Effect.suspend(() => (++open === 3 ? allOpen.open : Effect.void))
          yield* Effect.forEach(
            ["Ada", "Grace", "Alan"],
            (name) =>
              TestDatabase.sandbox(
                users.insert({ name }).pipe(Effect.andThen(arrive), Effect.andThen(allOpen.await))
              ),
            { concurrency: "unbounded", discard: true }
          )
        })
        yield* together
        const after = yield* sessions
        assert.isAtLeast(after.length, 3)
        yield* together
        assert.deepStrictEqual(yield* sessions, after)
        for (let step = 1, isHit = true; isHit; step += 2) {
          const result = yield* interruptAt(step, TestDatabase.sandbox(users.insert({ name: "Ada" })))
          isHit = result.isHit
          assert.isAtMost((yield* sessions).length, after.length, `interrupted at step ${step}`)
        }
        yield* together
      })
  )

  it.effect("outside of a sandbox what is done stays, and the handle is the database's", () =>
    Effect.gen(function* () {
      const own = yield* TestDatabase.pgdb
      yield* own.table("users").insert({ name: "Stays" })
      assert.deepStrictEqual(yield* names, ["Root", "Stays"])
    })
  )
})
