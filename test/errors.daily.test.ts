/**
 * What a person reads after each of the mistakes that everybody makes: the exact text. `console.log` prints the message
 * behind the error's name and nothing more.
 */
import { inspect } from "node:util"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { isSqlError } from "effect/sql/SqlError"
import { PG } from "effect-global-pool"
import { database, eventually } from "./support/database.ts"
import { teller } from "./support/telling.ts"

const shop = Effect.fnUntraced(function* () {
  const db = yield* database()
  const pg = yield* teller(db.settings)
  yield* pg.run(`create table users (
    id int primary key,
    email text not null constraint users_email_key unique,
    age int constraint adult check (age >= 18)
  )`)
  yield* pg.run(
    "create table orders (id int primary key, user_id int not null references users, amount numeric(5, 2))"
  )
  yield* pg.run("insert into users values (1, 'ann@example.org', 40), (2, 'bob@example.org', 50)")
  const pgdb = PG.make(db.settings)
  /** What a user does, and the error that comes of it, as it is printed. */
  const failing = (sql: string, params: ReadonlyArray<unknown> = []) =>
    Effect.map(PG.run(Effect.flip(pgdb.select(sql, params))), (error) => {
      if (!isSqlError(error)) throw error
      expect(inspect(error)).toBe(`SqlError: ${error.message}`)
      return error
    })
  return { failing, session: pg, db, pgdb }
})

it.effect("the error of a column that does not exist names the nearest one and points at the place", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    const error = yield* failing("select id, emial from users where age > $1", [30])
    expect(error.reason._tag).toBe("SqlSyntaxError")
    expect(error.message).toMatchInlineSnapshot(`
      "column "emial" does not exist (SQLSTATE 42703 undefined_column)
      Hint: Perhaps you meant to reference the column "users.email".
      Statement:
        select id, emial from users where age > $1
                   ^"
    `)
  })
)

it.effect("the error of a table that does not exist points at its name", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    expect((yield* failing("select * from uesrs")).message).toMatchInlineSnapshot(`
      "relation "uesrs" does not exist (SQLSTATE 42P01 undefined_table)
      Statement:
        select * from uesrs
                      ^"
    `)
  })
)

it.effect("the error of a function called with other types points at the call", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    expect((yield* failing("select upper(age) from users")).message).toMatchInlineSnapshot(`
      "function upper(integer) does not exist (SQLSTATE 42883 undefined_function)
      Hint: No function matches the given name and argument types. You might need to add explicit type casts.
      Statement:
        select upper(age) from users
               ^"
    `)
  })
)

it.effect("a type that the server only sends as text is read as text, and cannot stand in a record", () =>
  Effect.gen(function* () {
    const { failing, pgdb } = yield* shop()
    const rows = yield* PG.run(pgdb.select("select relacl from pg_class where relname = 'pg_class'"))
    expect(rows).toEqual([{ relacl: [expect.stringMatching(/=.*\//), expect.stringMatching(/=.*\//)] }])
    const error = yield* failing("select row(relacl) from pg_class where relname = 'pg_class'")
    expect(error.message).toMatchInlineSnapshot(`
      "no binary output function available for type aclitem (SQLSTATE 42883 undefined_function)
      Values of this type are only sent as text: select the column as column::text. Nothing of the statement took effect.
      Statement:
        select row(relacl) from pg_class where relname = 'pg_class'"
    `)
  })
)

it.effect("a syntax error in a long statement shows the statement around the place", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    const ids = Array.from({ length: 500 }, (_, index) => index).join(", ")
    const error = yield* failing(
      `select id, email from users where id in (${ids}) adn age > 3 and id not in (${ids})`
    )
    expect(error.message).toMatchInlineSnapshot(`
      "syntax error at or near "adn" (SQLSTATE 42601 syntax_error)
      Statement:
        …486, 487, 488, 489, 490, 491, 492, 493, 494, 495, 496, 497, 498, 499) adn age > 3 and id not in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,…
                                                                               ^"
    `)
  })
)

it.effect("the error of a parameter where no value can stand says what to write instead", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    expect((yield* failing("select id from $1", ["users"])).message).toMatchInlineSnapshot(`
      "syntax error at or near "$1" (SQLSTATE 42601 syntax_error)
      A parameter stands for a value: for a name write PG.id(name), for a list = any($1), for a value of a type $1::interval.
      Statement:
        select id from $1
                       ^"
    `)
  })
)

it.effect("a syntax error in a statement of many lines points into the right line", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    const error = yield* failing(`
      select u.email, sum(o.amount) as spent
      from users u
      join orders o on o.user_id = u.id
      where u.age > 18
        and o.amount >> 100 &
      group by u.email
      order by spent desc
    `)
    expect(error.message).toMatchInlineSnapshot(`
      "syntax error at or near "group" (SQLSTATE 42601 syntax_error)
      Statement:
        select u.email, sum(o.amount) as spent
        from users u
        join orders o on o.user_id = u.id
        where u.age > 18
          and o.amount >> 100 &
        group by u.email
        ^
        order by spent desc"
    `)
  })
)

it.effect("the error of a statement that is not finished points behind its end", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    expect((yield* failing("select * from users where\n")).message).toMatchInlineSnapshot(`
      "syntax error at end of input (SQLSTATE 42601 syntax_error)
      Statement:
        select * from users where
                                 ^"
    `)
  })
)

it.effect("the caret stands in the right place below characters two columns wide, and below a tab", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    expect((yield* failing("select '日本語', '😀',\temial from users")).message).toMatchInlineSnapshot(`
      "column "emial" does not exist (SQLSTATE 42703 undefined_column)
      Hint: Perhaps you meant to reference the column "users.email".
      Statement:
        select '日本語', '😀',	emial from users
                              	^"
    `)
  })
)

it.effect("the error of a statement of trans says which of how many it was", () =>
  Effect.gen(function* () {
    const { pgdb } = yield* shop()
    const statements = ["select 1", ["update users set emial = $1", ["x"]], "select 2"] as const
    const error = yield* PG.run(Effect.flip(pgdb.trans(statements)))
    expect(error.message).toMatchInlineSnapshot(`
      "column "emial" of relation "users" does not exist (SQLSTATE 42703 undefined_column)
      Statement 2 of 3:
        update users set emial = $1
                         ^"
    `)
  })
)

it.effect("the error of a value that is there already names the constraint and hides the value", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    const error = yield* failing("insert into users values ($1, $2, $3)", [3, "ann@example.org", 33])
    expect(error.reason._tag).toBe("UniqueViolation")
    expect(error.reason).toHaveProperty("constraint", "users_email_key")
    expect(error.message).toMatchInlineSnapshot(`
      "duplicate key value violates unique constraint "users_email_key" (SQLSTATE 23505 unique_violation)
      Detail: Key (email)=(…) already exists.
      At: table public.users, constraint users_email_key
      Statement:
        insert into users values ($1, $2, $3)"
    `)
  })
)

it.effect("the error of a reference to a missing row names the constraint and hides the key", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    const error = yield* failing("insert into orders values ($1, $2, 10)", [1, 777])
    expect(error.reason._tag).toBe("ConstraintError")
    expect(error.message).toMatchInlineSnapshot(`
      "insert or update on table "orders" violates foreign key constraint "orders_user_id_fkey" (SQLSTATE 23503 foreign_key_violation)
      Detail: Key (user_id)=(…) is not present in table "users".
      At: table public.orders, constraint orders_user_id_fkey
      Statement:
        insert into orders values ($1, $2, 10)"
    `)
  })
)

it.effect("the error of deleting a row that another table needs names both tables", () =>
  Effect.gen(function* () {
    const { failing, session } = yield* shop()
    yield* session.run("insert into orders values (1, 2, 10)")
    expect((yield* failing("delete from users where id = $1", [2])).message).toMatchInlineSnapshot(`
      "update or delete on table "users" violates foreign key constraint "orders_user_id_fkey" on table "orders" (SQLSTATE 23503 foreign_key_violation)
      Detail: Key (id)=(…) is still referenced from table "orders".
      At: table public.orders, constraint orders_user_id_fkey
      Statement:
        delete from users where id = $1"
    `)
  })
)

it.effect("the error of a value that a check refuses names the check and hides the row", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    const error = yield* failing("update users set age = $1 where id = 1", [17])
    expect(error.reason._tag).toBe("ConstraintError")
    expect(error.message).toMatchInlineSnapshot(`
      "new row for relation "users" violates check constraint "adult" (SQLSTATE 23514 check_violation)
      Detail: Failing row contains (…).
      At: table public.users, constraint adult
      Statement:
        update users set age = $1 where id = 1"
    `)
  })
)

it.effect("the error of a missing value names its column", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    expect((yield* failing("insert into users values ($1, $2)", [3, null])).message).toMatchInlineSnapshot(`
      "null value in column "email" of relation "users" violates not-null constraint (SQLSTATE 23502 not_null_violation)
      Detail: Failing row contains (…).
      At: table public.users, column email
      Statement:
        insert into users values ($1, $2)"
    `)
  })
)

it.effect("the error of a parameter of the wrong type gives its number and hides its value", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    const error = yield* failing("select * from users where email <> $1 and id = $2", ["x", "forty-two"])
    expect(error.reason._tag).toBe("UnknownError")
    expect(error.message).toMatchInlineSnapshot(`
      "invalid input syntax for type integer: "…" (SQLSTATE 22P02 invalid_text_representation)
      In: parameter $2, a string
      Statement:
        select * from users where email <> $1 and id = $2"
    `)
  })
)

it.effect("the error of a literal of the wrong type points at it", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    expect((yield* failing("select * from users where id = 'forty-two'")).message).toMatchInlineSnapshot(`
      "invalid input syntax for type integer: "forty-two" (SQLSTATE 22P02 invalid_text_representation)
      Statement:
        select * from users where id = 'forty-two'
                                       ^"
    `)
  })
)

it.effect("the error of a number too large for its column says what fits", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    expect((yield* failing("insert into orders values (1, 1, $1)", [123456])).message).toMatchInlineSnapshot(`
      "numeric field overflow (SQLSTATE 22003 numeric_value_out_of_range)
      Detail: A field with precision 5, scale 2 must round to an absolute value less than 10^3.
      Statement:
        insert into orders values (1, 1, $1)"
    `)
  })
)

it.effect("the error of too few parameters counts them, and is not worth another try", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    const error = yield* failing("select * from users where id = $1 and age = $2", [1])
    expect(error.reason._tag).toBe("SqlSyntaxError")
    expect(error.isRetryable).toBe(false)
    expect(error.message).toMatchInlineSnapshot(`
      "bind message supplies 1 parameters, but the statement requires 2 (SQLSTATE 08P01 protocol_violation)
      Give as many parameters as the statement has placeholders: $1 is the first.
      Statement:
        select * from users where id = $1 and age = $2"
    `)
  })
)

it.effect("the error of a parameter of unknown type says how to give it one", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    expect((yield* failing("select $1 is null", [null])).message).toMatchInlineSnapshot(`
      "could not determine data type of parameter $1 (SQLSTATE 42P18 indeterminate_datatype)
      Say in the statement which type the parameter has, for instance $1::text.
      Statement:
        select $1 is null"
    `)
  })
)

it.effect("the error of a parameter that cannot be sent gives its number and hides its value", () =>
  Effect.gen(function* () {
    const { pgdb } = yield* shop()
    const error = yield* PG.run(Effect.flip(pgdb.select("select $1, $2", [1, () => "hunter2"])))
    expect(error.reason._tag).toBe("StatementRefused")
    expect(error.message).toMatchInlineSnapshot(
      `"Parameter $2 is a function, which Postgres has no value for. The statement was not sent."`
    )
  })
)

it.effect("the error of two statements in one text says how to send them", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    expect((yield* failing("select 1; drop table users")).message).toMatchInlineSnapshot(`
      "cannot insert multiple commands into a prepared statement (SQLSTATE 42601 syntax_error)
      Send them one by one, all or none of them with trans([...]), or as a file with script(text).
      Statement:
        select 1; drop table users"
    `)
  })
)

it.effect("the error of a division by zero shows the statement", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    expect((yield* failing("select id / $1::int from users", [0])).message).toMatchInlineSnapshot(`
      "division by zero (SQLSTATE 22012 division_by_zero)
      Statement:
        select id / $1::int from users"
    `)
  })
)

it.effect("the error of a failing function shows the place in the function and hides values", () =>
  Effect.gen(function* () {
    const { failing, session } = yield* shop()
    yield* session.run(`create function pay(user_id int, amount int) returns void language plpgsql as $$
      begin
        insert into orders values (1, user_id, amount);
        raise exception 'user % may not pay %', user_id, amount using hint = 'Ask an administrator.';
      end $$`)
    const raised = yield* failing("select pay($1, $2)", [1, 555])
    expect(raised.message).toMatchInlineSnapshot(`
      "user … may not pay … (SQLSTATE P0001 raise_exception)
      Hint: Ask an administrator.
      In: PL/pgSQL function pay(integer,integer) line 4 at RAISE
      Statement:
        select pay($1, $2)"
    `)
    const inner = yield* failing("select pay($1, $2)", [9999, 555])
    expect(inner.message).toMatchInlineSnapshot(`
      "insert or update on table "orders" violates foreign key constraint "orders_user_id_fkey" (SQLSTATE 23503 foreign_key_violation)
      Detail: Key (user_id)=(…) is not present in table "users".
      At: table public.orders, constraint orders_user_id_fkey
      In: SQL statement "insert into orders values (…, user_id, amount)"
          PL/pgSQL function pay(integer,integer) line 3 at SQL statement
      Statement:
        select pay($1, $2)"
    `)
  })
)

it.effect("the error of a wrong statement inside a function shows that statement", () =>
  Effect.gen(function* () {
    const { failing, session } = yield* shop()
    yield* session.run(`create function rename(id int, to_name text) returns void language plpgsql as $$
      begin
        execute format('update users set nmae = %L where id = %s', to_name, id);
      end $$`)
    expect((yield* failing("select rename($1, $2)", [1, "carol"])).message).toMatchInlineSnapshot(`
      "column "nmae" of relation "users" does not exist (SQLSTATE 42703 undefined_column)
      In: PL/pgSQL function rename(integer,text) line 3 at EXECUTE
      Query in the function:
        update users set nmae = '…' where id = …
                         ^
      Statement:
        select rename($1, $2)"
    `)
  })
)

it.effect("the error of a denied permission says what to grant, and that of a policy that it is one", () =>
  Effect.gen(function* () {
    const {
      session: { failing, run },
      db
    } = yield* shop()
    const role = `guest_${db.settings.database}`
    yield* Effect.acquireRelease(run(`create role ${role}`), () => Effect.orDie(run(`drop role ${role}`)))
    yield* run(`set role ${role}`)
    const error = yield* failing("select * from users")
    yield* run("reset role")
    yield* run("alter table orders enable row level security")
    yield* run(`grant insert on orders to ${role}`)
    yield* run(`set role ${role}`)
    const misfit = yield* failing("insert into orders values (1, 1, 2)")
    yield* run("reset role")
    yield* run(`revoke all on orders from ${role}`)
    expect(misfit.message).toMatchInlineSnapshot(`
      "new row violates row-level security policy for table "orders" (SQLSTATE 42501 insufficient_privilege)
      A policy of the table decides which rows this role may store: give the row what it asks for, or change the policy.
      Statement:
        insert into orders values (1, 1, 2)"
    `)
    expect(error.reason._tag).toBe("AuthorizationError")
    expect(error.message).toMatchInlineSnapshot(`
      "permission denied for table users (SQLSTATE 42501 insufficient_privilege)
      Grant the right to the role that connects, or connect as a role that has it.
      Statement:
        select * from users"
    `)
  })
)

it.effect("a statement that took too long and one that was cancelled have errors of their own", () =>
  Effect.gen(function* () {
    const {
      session: { failing, run },
      db
    } = yield* shop()
    yield* run("set statement_timeout = 30")
    const late = yield* failing("select pg_sleep(60)")
    yield* run("set statement_timeout = 0")
    expect(late.reason._tag).toBe("StatementTimeoutError")
    expect(late.isRetryable).toBe(true)
    expect(late.message).toMatchInlineSnapshot(`
      "canceling statement due to statement timeout (SQLSTATE 57014 query_canceled)
      Raise statementTimeout, or give the statement less to do.
      Statement:
        select pg_sleep(60)"
    `)

    const fiber = yield* Effect.forkChild(failing("select pg_sleep(60)"))
    yield* eventually(
      "it is cancelled",
      db.witness.query(
        "select pg_cancel_backend(pid) as done from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'"
      ),
      (rows) => rows.length > 0
    )
    const cancelled = yield* Fiber.join(fiber)
    expect(cancelled.reason._tag).toBe("UnknownError")
    expect(cancelled.isRetryable).toBe(false)
    expect(cancelled.message).toMatchInlineSnapshot(`
      "canceling statement due to user request (SQLSTATE 57014 query_canceled)
      The statement was cancelled, by this program or by another connection. Nothing of it took effect.
      Statement:
        select pg_sleep(60)"
    `)
  })
)

it.effect("the error of a lock that does not come free says what to do", () =>
  Effect.gen(function* () {
    const {
      session: { failing, run },
      db
    } = yield* shop()
    yield* run("set lock_timeout = 30")
    yield* db.witness.query("begin")
    yield* db.witness.query("lock table users")
    const error = yield* failing("select * from users")
    yield* db.witness.query("rollback")
    expect(error.reason._tag).toBe("LockTimeoutError")
    expect(error.message).toMatchInlineSnapshot(`
      "canceling statement due to lock timeout (SQLSTATE 55P03 lock_not_available)
      Another transaction holds the lock. Run the statement again, or raise lock_timeout.
      Statement:
        select * from users
                      ^"
    `)
  })
)

it.effect("the error of a deadlock shows who waited for what, and is worth another try", () =>
  Effect.gen(function* () {
    const {
      session: { failing, run },
      db
    } = yield* shop()
    const other = yield* teller(db.settings)
    const lock = "update users set age = age + 1 where id = $1"
    yield* run("set deadlock_timeout = '100ms'")
    yield* other.run("set deadlock_timeout = '1h'")
    yield* run("begin")
    yield* other.run("begin")
    yield* run(lock, [1])
    yield* other.run(lock, [2])
    const waiting = yield* Effect.forkChild(other.run(lock, [1]))
    yield* db.until("the other waits", (sessions) =>
      sessions.some(({ waitEvent }) => waitEvent === "transactionid")
    )
    const error = yield* failing(lock, [2], { number: 2, of: 2 })
    yield* run("rollback")
    yield* Fiber.join(waiting)
    expect(error.reason._tag).toBe("DeadlockError")
    expect(error.isRetryable).toBe(true)
    expect(error.message.replace(/(Process|transaction|process) \d+/g, "$1 N")).toMatchInlineSnapshot(`
      "deadlock detected (SQLSTATE 40P01 deadlock_detected)
      Detail: Process N waits for ShareLock on transaction N; blocked by process N.
      Process N waits for ShareLock on transaction N; blocked by process N.
      Hint: See server log for query details.
      The other transaction went on. Run the whole transaction again; transaction(effect, { retry }) does it.
      In: while updating tuple (0,2) in relation …
      Statement 2 of 2:
        update users set age = age + 1 where id = $1"
    `)
  })
)

it.effect(
  "a failed transaction refuses the next statement, and a read-only one a write: each error says why",
  () =>
    Effect.gen(function* () {
      const {
        session: { failing, run }
      } = yield* shop()
      yield* run("begin read only")
      expect((yield* failing("delete from orders")).message).toMatchInlineSnapshot(`
      "cannot execute DELETE in a read-only transaction (SQLSTATE 25006 read_only_sql_transaction)
      Writing needs a transaction that is not read-only, on a server that is no standby.
      Statement:
        delete from orders"
    `)
      expect((yield* failing("select 1")).message).toMatchInlineSnapshot(`
        "current transaction is aborted, commands ignored until end of transaction block (SQLSTATE 25P02 in_failed_sql_transaction)
        An earlier statement of this transaction failed, and its error is the one to look at. All of the transaction is undone. Put what may fail into a transaction of its own inside, transaction(effect): that is a savepoint, and is undone alone.
        Statement:
          select 1"
      `)
      yield* run("rollback")
    })
)

it.effect(
  "a table that changed under a prepared statement fails a transaction with an error worth another try",
  () =>
    Effect.gen(function* () {
      const { db } = yield* shop()
      const pgdb = PG.make({ ...db.settings, maxConnections: 1 })
      const error = yield* PG.run(
        Effect.gen(function* () {
          yield* pgdb.select("select * from users")
          yield* db.witness.query("alter table users add name text")
          return yield* Effect.flip(pgdb.transaction(pgdb.select("select * from users")))
        })
      )
      expect(error.reason._tag).toBe("SerializationError")
      expect(isSqlError(error) && error.isRetryable).toBe(true)
      expect(error.message).toMatchInlineSnapshot(`
      "cached plan must not change result type (SQLSTATE 0A000 feature_not_supported)
      A table changed after the statement was prepared. Run it again, in a transaction all of it.
      Statement:
        select * from users"
    `)
    })
)

it.effect("the error of a statement that sets a password does not show it", () =>
  Effect.gen(function* () {
    const { failing } = yield* shop()
    const error = yield* failing("alter role nobody_here password 'hunter2' frobnicate")
    expect(error.message).toMatchInlineSnapshot(`
      "unrecognized role option "frobnicate" (SQLSTATE 42601 syntax_error)
      Statement:
        alter role nobody_here password '…' frobnicate
                                            ^"
    `)
  })
)
