/**
 * The types that the server expects for a statement's parameters: the statement is prepared under a name of its own, its
 * types are read and it is dropped again, all in one round trip, and remembered by its text.
 *
 * The statement is prepared inside a transaction, so that a transaction pooler keeps it on one server connection, or, where
 * there is a transaction already, inside a savepoint, so that a failure does not spoil it.
 */
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { SqlError } from "effect/sql/SqlError"
import type { Query } from "./Catalogue.ts"
import * as Catalogue from "./Catalogue.ts"
import type { Session } from "./Session.ts"
import { knownType } from "./Session.ts"

/** Runs statements pipelined on one connection, unprepared, and gives what became of each. */
export type Batch = (
  statements: ReadonlyArray<readonly [text: string, params: ReadonlyArray<unknown>]>
) => Effect.Effect<ReadonlyArray<Exit.Exit<PgConnection.Result, SqlError>>, SqlError>

const maxRemembered = 1000
const maxRounds = 32

/** `PREPARE` takes these and nothing else; comments and parentheses may stand before them. */
const preparable =
  /^(?:\s|\(|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*(?:select|insert|update|delete|merge|values|with|table)\b/i

/** The server cannot tell a type, or takes the statement only with other types: that stays so until types change. */
const lasting = new Set(["42P18", "42P08", "42804", "42725", "42883"])

/** Cancelled by whoever ends the connection or the transaction: the statement is not to follow. */
const cancelledCode = "57014"

const codeOf = (exit: Exit.Exit<PgConnection.Result, SqlError> | undefined): string => {
  if (exit === undefined || Exit.isSuccess(exit)) return ""
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  const cause: unknown = error?.reason.cause
  const code: unknown = typeof cause === "object" && cause !== null ? Reflect.get(cause, "code") : undefined
  return typeof code === "string" ? code : ""
}

/** A type, or one inside it, about which too little is known to write a value of it. */
const unknownIn = (session: Session, oids: ReadonlyArray<number>): ReadonlySet<number> => {
  const unknown = new Set<number>()
  const seen = new Set<number>()
  const visit = (oid: number): void => {
    if (oid === 0 || seen.has(oid)) return
    seen.add(oid)
    const type = knownType(session, oid)
    if (type === undefined) {
      unknown.add(oid)
      return
    }
    visit(type.of)
    for (const attribute of type.attributes) visit(attribute.oid)
  }
  for (const oid of oids) visit(oid)
  return unknown
}

const know = Effect.fnUntraced(function* (session: Session, oids: ReadonlyArray<number>, query: Query) {
  let before = new Set<number>()
  for (let round = 0; round < maxRounds; round++) {
    const unknown = unknownIn(session, oids)
    if ([...unknown].every((oid) => before.has(oid))) return
    before = new Set([...before, ...unknown])
    yield* Catalogue.ask(session, query, [...unknown])
  }
})

const numbersOf = (value: unknown): ReadonlyArray<number> | undefined =>
  Array.isArray(value) ? value.filter((item): item is number => typeof item === "number") : undefined

const none: ReadonlyArray<unknown> = []

export const make = (session: Session) => {
  const remembered = new Map<string, ReadonlyArray<number> | undefined>()
  let count = 0

  const remember = (text: string, types: ReadonlyArray<number> | undefined): void => {
    if (remembered.size >= maxRemembered) {
      const oldest = remembered.keys().next()
      if (oldest.done !== true) remembered.delete(oldest.value)
    }
    remembered.set(text, types)
  }

  const ask = Effect.fnUntraced(function* (text: string, batch: Batch, inTransaction: boolean) {
    const name = `effect_global_pool_${++count}`
    const open = inTransaction ? `savepoint ${name}` : "begin"
    const close = inTransaction
      ? [`rollback to savepoint ${name}`, `release savepoint ${name}`]
      : ["rollback"]
    const statements = [
      open,
      `prepare ${name} as ${text}`,
      `select parameter_types::pg_catalog.oid[] as types from pg_catalog.pg_prepared_statements where name = '${name}'`,
      `deallocate ${name}`,
      ...close
    ]
    const exits = yield* batch(statements.map((statement) => [statement, none] as const))
    const [, prepared, told] = exits
    if (told !== undefined && Exit.isSuccess(told)) {
      const types = numbersOf(told.value.rows[0]?.types)
      if (types === undefined) return undefined
      const query: Query = (statement, params) =>
        Effect.flatMap(batch([[statement, params]]), ([exit]) => exit ?? Effect.interrupt)
      yield* know(session, types, query)
      remember(text, types)
      return types
    }
    const cancelled = exits.find((exit) => codeOf(exit) === cancelledCode)
    if (cancelled !== undefined && Exit.isFailure(cancelled)) return yield* Effect.failCause(cancelled.cause)
    if (lasting.has(codeOf(prepared))) remember(text, undefined)
    return undefined
  })

  return {
    know: (oids: ReadonlyArray<number>, query: Query) => know(session, oids, query),
    lacks: (oids: ReadonlyArray<number>) => unknownIn(session, oids).size > 0,
    forget: () => remembered.clear(),
    forgetText: (text: string): void => {
      remembered.delete(text)
    },
    parameterTypes: (
      text: string,
      _params: ReadonlyArray<unknown>,
      batch: Batch,
      inTransaction: boolean
    ): Effect.Effect<ReadonlyArray<number> | undefined, SqlError> => {
      const known = remembered.get(text)
      if (known !== undefined || remembered.has(text)) return Effect.succeed(known)
      return preparable.test(text) ? ask(text, batch, inTransaction) : Effect.succeed(undefined)
    }
  }
}
