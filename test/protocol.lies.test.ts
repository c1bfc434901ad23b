/** A server that lies: whatever it says, the caller has a typed error in time, and nothing else happens. */
import { createHash, createHmac, pbkdf2Sync } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { isSqlError } from "effect/sql/SqlError"
import { PG, PoolRegistry } from "effect-global-pool"
import { eventually } from "./support/database.ts"
import { error, liar, lying, message, ready, type Script, welcome } from "./support/liar.ts"

const secret = "hunter2-is-no-good"
const connectTimeout = 400

const handle = (address: { readonly host: string; readonly port: number }) =>
  PG.make({ ...address, username: "u", database: "d", password: secret, connectTimeout, maxConnections: 1 })

/** What a select comes to against such a server, and how long it took. */
const outcome = Effect.fnUntraced(function* (script: Script) {
  const server = yield* liar(script)
  const [time, failure] = yield* Effect.timed(
    Effect.flip(handle(server.address).select("select 1 as one")).pipe(
      Effect.timeout("5 seconds"),
      Effect.provide(PoolRegistry.layer())
    )
  )
  return { failure, millis: Duration.toMillis(time), server }
})

const none = Buffer.alloc(0)

/** An opening that fails; `told` is part of its error. */
const openings: ReadonlyArray<readonly [name: string, script: Script, told: RegExp]> = [
  ["garbage", () => Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"), /protocol/],
  ["zeros", () => Buffer.alloc(64), /protocol/],
  ["a length of 0x7fffffff", () => lying("R", 0x7fffffff), /protocol/],
  ["a negative length", () => lying("R", -1), /protocol/],
  ["a length of 3", () => lying("R", 3), /protocol/],
  ["a length of 0", () => lying("S", 0), /protocol/],
  [
    "a message of 70 kB before it has accepted the client",
    () => message("R", 3, Buffer.alloc(70_000)),
    /protocol/
  ],
  ["an error", () => error("FATAL", "53300", "sorry, too many clients already"), /sorry, too many clients/],
  ["an error without a field", () => message("E", ""), /The server/],
  ["nothing, and silence", () => none, /connectTimeout/],
  ["a welcome without an end", () => welcome.subarray(0, welcome.length - 6), /connectTimeout/],
  ["the end of the connection", () => undefined, /closed/],
  ["ReadyForQuery before it has accepted the client", () => ready, /does not have|protocol/],
  [
    "rows before it has accepted the client",
    () => message("D", Buffer.from([0, 0])),
    /does not have|protocol/
  ],
  ["an authentication of another time", () => message("R", 7), /does not have/],
  [
    "the password in the clear, in the middle of SCRAM",
    (turn) => (turn === 0 ? message("R", 10, "SCRAM-SHA-256", "") : message("R", 3)),
    /in the middle of SCRAM/
  ],
  [
    "Ok in the middle of SCRAM",
    (turn) => (turn === 0 ? message("R", 10, "SCRAM-SHA-256", "") : welcome),
    /in the middle of SCRAM/
  ],
  ["a mechanism that nobody has", () => message("R", 10, "SCRAM-MD4", ""), /SCRAM-MD4/],
  [
    "a nonce that is not the client's",
    (turn) =>
      turn === 0
        ? message("R", 10, "SCRAM-SHA-256", "")
        : message("R", 11, Buffer.from("r=abc,s=c2FsdA==,i=4096")),
    /nonce/
  ],
  [
    "a number of iterations without end",
    (turn, heard) =>
      turn === 0
        ? message("R", 10, "SCRAM-SHA-256", "")
        : message("R", 11, Buffer.from(`r=${nonceOf(heard)}x,s=c2FsdA==,i=2147483647`)),
    /iterations/
  ],
  ...[
    (nonce: string) => `m=ext,r=${nonce}x,s=c2FsdA==,i=1`,
    (nonce: string) => `r=${nonce}x,s=!!!!,i=1`,
    (nonce: string) => `i=1,s=c2FsdA==,r=${nonce}x`,
    (nonce: string) => `r=${nonce}x,s=c2FsdA==,i=1,x=y`
  ].map((challenge) => {
    const script: Script = (turn, heard) =>
      turn === 0
        ? message("R", 10, "SCRAM-SHA-256", "")
        : message("R", 11, Buffer.from(challenge(nonceOf(heard))))
    return [`a challenge of SCRAM like ${challenge("nonce")}`, script, /malformed/] as const
  }),
  [
    "SCRAM that is bound to TLS, over a link without TLS",
    () => message("R", 10, "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", ""),
    /takes TLS off/
  ]
]

const nonceOf = (heard: Buffer): string =>
  /r=([^,]*)$/.exec(heard.toString("latin1").replace(/\0+$/, ""))?.[1] ?? ""

describe("an opening fails in time, with an error that says why, when the server sends", () => {
  for (const [name, script, told] of openings) {
    it.live(name, () =>
      Effect.gen(function* () {
        const { failure, millis, server } = yield* outcome(script)
        assert.isTrue(isSqlError(failure), String(failure))
        assert.match(failure.message, told)
        assert.notInclude(failure.message, secret)
        assert.isBelow(millis, connectTimeout + 600)
        assert.notInclude(server.heard(), secret)
        assert.notInclude(server.heard(), ",p=", "a proof of the password")
      })
    )
  }

  it.live("floods of notices and settings that never end, without growing", () =>
    Effect.gen(function* () {
      for (const one of [
        message("N", "SNOTICE", "C00000", `M${"x".repeat(500)}`, ""),
        message("S", "name", "x".repeat(500))
      ]) {
        const flood = Buffer.concat(Array.from({ length: 4_000 }, () => one))
        const before = process.memoryUsage().rss
        const { failure, millis } = yield* outcome((_turn, _heard, socket) => {
          const more = () => {
            while (!socket.destroyed && socket.write(flood));
          }
          socket.on("drain", more)
          more()
          return message("R", 0)
        })
        assert.isTrue(isSqlError(failure), String(failure))
        assert.isBelow(millis, connectTimeout + 600)
        assert.isBelow(process.memoryUsage().rss - before, 150_000_000)
      }
    })
  )

  it.live("a signature of SCRAM that proves nothing, although the client's proof is right", () =>
    Effect.gen(function* () {
      for (const proves of [false, true]) {
        let challenge = ""
        let first = ""
        const server = yield* liar((turn, heard) => {
          const said = heard.toString("latin1")
          if (turn === 0) return message("R", 10, "SCRAM-SHA-256", "")
          if (turn === 1) {
            first = /n=,r=.*/.exec(said)?.[0] ?? ""
            challenge = `r=${nonceOf(heard)}server,s=${Buffer.from("salt").toString("base64")},i=4096`
            return message("R", 11, Buffer.from(challenge))
          }
          if (turn > 2) return none
          const final = /c=.*,p=(.*)/s.exec(said)
          const withoutProof = final?.[0].replace(/,p=.*/s, "") ?? ""
          const salted = pbkdf2Sync(secret, "salt", 4096, 32, "sha256")
          const mac = (key: Buffer, text: string) => createHmac("sha256", key).update(text).digest()
          const signed = `${first},${challenge},${withoutProof}`
          const clientKey = mac(salted, "Client Key")
          const signature = mac(createHash("sha256").update(clientKey).digest(), signed)
          const proof = Buffer.from(final?.[1] ?? "", "base64")
          assert.deepStrictEqual(Buffer.from(proof.map((byte, index) => byte ^ signature[index]!)), clientKey)
          const own = proves ? mac(mac(salted, "Server Key"), signed) : Buffer.alloc(32, 7)
          return Buffer.concat([message("R", 12, Buffer.from(`v=${own.toString("base64")}`)), welcome])
        })
        const told = yield* Effect.flip(
          Effect.timeout(handle(server.address).select("select 1"), "600 millis")
        ).pipe(Effect.provide(PoolRegistry.layer()))
        assert.strictEqual(told._tag, proves ? "TimeoutError" : "SqlError")
        if (!proves) assert.match(told.message, /did not prove/)
      }
    })
  )
})

const described = Buffer.concat([
  message("1"),
  message("t", Buffer.from([0, 0])),
  message(
    "T",
    Buffer.from([0, 1]),
    "one",
    0,
    Buffer.from([0, 0]),
    23,
    Buffer.from([0, 4]),
    -1,
    Buffer.from([0, 0])
  ),
  message("2")
])
const row = message("D", Buffer.from([0, 1]), 1, Buffer.from("1"))
const done = Buffer.concat([message("C", "SELECT 1"), ready])

/** An answer to the first statement. */
const answers: ReadonlyArray<readonly [name: string, answer: Buffer | undefined]> = [
  ["garbage", Buffer.from("what?")],
  ["a length of 0x7fffffff", lying("D", 0x7fffffff)],
  ["a length of 3", lying("D", 3)],
  ["rows without a description", Buffer.concat([message("1"), message("2"), row, done])],
  [
    "rows of another number of columns",
    Buffer.concat([described, message("D", Buffer.from([0, 2]), 1, Buffer.from("1"), -1), done])
  ],
  [
    "a value longer than its row",
    Buffer.concat([described, message("D", Buffer.from([0, 1]), 1_000, Buffer.from("1")), done])
  ],
  [
    "a row longer than its values",
    Buffer.concat([described, message("D", Buffer.from([0, 1]), 1, Buffer.from("1xxxx")), done])
  ],
  ["a number that is none", Buffer.concat([described, message("D", Buffer.from([0, 1]), -7), done])],
  [
    "a description of columns that ends too early",
    Buffer.concat([message("1"), message("T", Buffer.from([0, 9])), done])
  ],
  ["ReadyForQuery without an answer", ready],
  [
    "ReadyForQuery of a state that there is not",
    Buffer.concat([described, row, message("C", "SELECT 1"), message("Z", Buffer.from("Q"))])
  ],
  ["rows after ReadyForQuery", Buffer.concat([described, row, done, row])],
  ["two answers", Buffer.concat([described, row, done, described, row, done])],
  ["COPY data without a COPY", Buffer.concat([described, message("H", Buffer.from([0, 0, 0])), done])],
  ["a request for COPY data", Buffer.concat([described, message("G", Buffer.from([0, 0, 0])), done])],
  ["an authentication", message("R", 3)],
  ["a command's end without a zero", Buffer.concat([described, lying("C", 8, "SELE"), ready])],
  ["the end in the middle of a row", Buffer.concat([described, row.subarray(0, 7)])],
  ["the end", undefined],
  ["a FATAL error, and silence", error("FATAL", "57P01", "terminating connection")],
  [
    "a FATAL error without the field that poolers leave out",
    message("E", "SFATAL", "C57P01", "Mserver closed", "")
  ]
]

describe("a statement has a typed error or its rows, and the session is given up, when the server answers", () => {
  for (const [name, answer] of answers) {
    it.live(name, () =>
      Effect.gen(function* () {
        let statements = 0
        const server = yield* liar((turn, _heard, socket) => {
          if (turn === 0) return welcome
          if (turn > 1 || statements++ > 3) return undefined
          if (answer !== undefined && !name.startsWith("a FATAL")) {
            socket.write(answer)
            return undefined
          }
          return answer
        })
        const exit = yield* handle(server.address)
          .select("select now() as one")
          .pipe(Effect.result, Effect.timeout("5 seconds"), Effect.provide(PoolRegistry.layer()))
        if (exit._tag === "Failure") {
          assert.isTrue(isSqlError(exit.failure), String(exit.failure))
          assert.notInclude(exit.failure.message, secret)
        } else assert.deepStrictEqual(exit.success, [{ one: 1 }])
        yield* eventually("no connection is left", Effect.sync(server.open), (open) => open === 0)
      })
    )
  }
})

it.live("a write is not sent again when a pooler says that its server's connection broke", () =>
  Effect.gen(function* () {
    let statements = 0
    const server = yield* liar((turn) => {
      if (turn === 0) return welcome
      statements++
      // What the server did before is not known to the pooler, which names no routine of Postgres.
      return message("E", "SFATAL", "C08P01", "Mserver conn crashed?", "")
    })
    const error = yield* handle(server.address)
      .execute("insert into t values (1)")
      .pipe(Effect.flip, Effect.timeout("5 seconds"), Effect.provide(PoolRegistry.layer()))
    assert.strictEqual(statements, 1)
    assert.isTrue(isSqlError(error) && !error.isRetryable, String(error))
    assert.include(String(error), "Whether the statement took effect is not known")
  })
)
