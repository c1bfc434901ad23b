/**
 * A connection that reads and writes through the codec and nothing else of the package.
 */
import type { Socket } from "node:net"
import * as Net from "node:net"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { SqlError } from "effect/sql/SqlError"
import type { Batch, Codec, CodecOptions } from "../../src/codec/Codec.ts"
import { make } from "../../src/codec/Codec.ts"
import type { PoolError } from "../../src/PoolError.ts"
import * as Wire from "../../src/pool/Wire.ts"
import type { TestServer } from "./server.ts"

export type Row = PgConnection.Row

export interface Typed {
  readonly codec: Codec
  readonly connection: PgConnection.PgConnection
  /** A statement as the package runs it: parameters bound, rows settled. */
  readonly run: (
    text: string,
    params?: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<Row>, SqlError | PoolError>
  /** The types that the server expects for a statement's parameters. */
  readonly expected: (text: string) => Effect.Effect<ReadonlyArray<number> | undefined, SqlError>
  readonly batch: Batch
  /** How many statements went to the server. */
  readonly sent: () => number
  /** Forgets the driver's counters. */
  readonly inTransaction: () => boolean
}

export const defaults: CodecOptions = { int8: "number", timestamp: "date" }

/** A session with the codec, as learnt when a pool opens. */
export const typed: (
  settings: TestServer,
  options?: Partial<CodecOptions>,
  config?: Partial<PgConnection.Config>
) => Effect.Effect<Typed, SqlError, Scope.Scope> = Effect.fnUntraced(function* (
  settings: TestServer,
  options: Partial<CodecOptions> = {},
  config: Partial<PgConnection.Config> = {}
) {
  const codec = make({ ...defaults, ...options })
  let status = 0x49
  let sent = 0
  const wire = Wire.make(
    {
      onKey: () => undefined,
      onTypes: codec.meet,
      onFarewell: () => undefined,
      isCancelling: () => false,
      onReady: (next) => {
        status = next
      }
    },
    () => "none"
  )
  const stream = (): Socket => {
    const socket = Net.connect({ host: settings.host, port: settings.port, noDelay: true })
    Wire.attach(socket, wire)
    return socket
  }
  const connection = yield* PgConnection.make({
    ...settings,
    password: Redacted.make(settings.password),
    stream,
    types: codec.registry,
    multiplex: true,
    applicationName: "typed",
    ...config
  })
  const query: PgConnection.PgConnection["query"] = (text, params, prepare) => {
    sent++
    return connection.query(text, params, prepare)
  }
  const batch: Batch = (statements) =>
    Effect.all(
      statements.map(([text, params]) => Effect.exit(query(text, params, false))),
      { concurrency: "unbounded" }
    )
  yield* codec.learn(query)
  const inTransaction = () => status !== 0x49
  return {
    codec,
    connection,
    batch,
    inTransaction,
    sent: () => sent,
    expected: (text) => codec.parameterTypes(text, [], batch, inTransaction()),
    run: Effect.fnUntraced(function* (text: string, params: ReadonlyArray<unknown> = []) {
      let bound = codec.bind(params)
      if (bound === undefined) {
        const types = yield* codec.parameterTypes(text, params, batch, inTransaction())
        bound = yield* Effect.fromResult(codec.bindTyped(params, types))
      }
      const flagged = codec.flagged()
      const result = yield* query(text, bound)
      return codec.flagged() === flagged ? result.rows : yield* codec.settle(result.rows, query)
    })
  }
})
