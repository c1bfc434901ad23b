/**
 * `pgdb.script`: the statements of an SQL file, in one transaction unless the file has its own.
 */
import * as Effect from "effect/Effect"
import { type OperationError, type PoolError, refused } from "../errors/PoolError.ts"
import { behindCommitted } from "../errors/ServerErrors.ts"
import * as Execute from "../execute/Execute.ts"
import * as Jobs from "../execute/Job.ts"
import type { AnyFiber, Pool } from "../pool/Pool.ts"
import { isInTransaction } from "../pool/PooledConnection.ts"
import type { Exchange } from "../protocol/Exchange.ts"
import type { Naming } from "../statement/CamelCase.ts"
import { psql } from "../statement/Reject.ts"
import { type Part, split } from "../statement/Split.ts"
import * as Operation from "../telemetry/Operation.ts"
import * as Shown from "../telemetry/Shown.ts"
import { batch, rowsOf } from "../transaction/Batch.ts"
import { currentOf } from "../transaction/TransactionState.ts"

/** Options of `script`. */
export interface ScriptOptions {
  /** The file, for the errors: `"schema.sql"`. */
  readonly name?: string | undefined
}

interface Script {
  readonly parts: ReadonlyArray<Part>
  /** It begins and ends transactions itself. */
  readonly hasOwn: boolean
}

const beginning = new Set(["BEGIN", "START"])
const ending = new Set(["COMMIT", "END", "ABORT"])
const inside = new Set(["SAVEPOINT", "RELEASE"])
const backTo = /^rollback\s+(?:work\s+|transaction\s+)?to\b/i
/** Command tags of what may be repeated. */
const harmless = new Set(["ROLLBACK", "SET"])
const chained = /\band\s+chain\s*$/i

const nested =
  "The script begins and ends transactions itself, and this is inside one. Run it outside, or take BEGIN and COMMIT out of it. Nothing was sent."

/** Looks at the statements: why none of them is sent, or how they run. */
const read = (pool: Pool, text: string, name: string | undefined): Script | PoolError => {
  const parts: Array<Part> = []
  let hasOwn = false
  let openSince: number | undefined
  const refusal = (line: number, why: string): PoolError =>
    refused(
      `${name === undefined ? "The script" : name}, line ${line}: ${why} Nothing of the script was sent.`
    )
  for (const part of split(text)) {
    const { command, rejection } = pool.statements.get(part.text).analysis
    const goesBack = command === "ROLLBACK" && backTo.test(part.text)
    const isControl =
      beginning.has(command) || ending.has(command) || inside.has(command) || command === "ROLLBACK"
    if (part.hasBackslash) return refusal(part.line, psql)
    const isTwoPhase = /^\S+\s+prepared\b/i.test(part.text)
    if (rejection !== undefined && (!isControl || isTwoPhase)) return refusal(part.line, rejection)
    parts.push(part)
    hasOwn ||= isControl
    if (beginning.has(command)) openSince = part.line
    else if (isControl && !inside.has(command) && !goesBack && !chained.test(part.text)) openSince = undefined
  }
  if (openSince !== undefined) {
    return refusal(openSince, "The transaction that begins here is never ended: COMMIT is missing.")
  }
  return { parts, hasOwn }
}

/** Each by itself, on one connection, which the pool takes back as it lent it. */
const inTurn = (
  pool: Pool,
  fiber: AnyFiber,
  parts: ReadonlyArray<Part>,
  positions: ReadonlyArray<Jobs.Position>,
  naming: Naming
): Effect.Effect<ReadonlyArray<Exchange>, OperationError> => {
  const timing = Operation.timingOf(pool)
  const known = parts.map(({ text }) => pool.statements.get(text))
  const running = pool.use((connection) => {
    let mayHaveCommitted = false
    return Effect.forEach(parts, ({ text }, index) => {
      const options: Jobs.JobOptions = {
        controls: true,
        prepare: false,
        shape: naming === "camel" ? "camel" : "object",
        position: positions[index] ?? { number: index + 1, of: parts.length }
      }
      const job = Jobs.prepare(pool, { text, params: [] }, options, timing)
      if (!Jobs.isJob(job)) return Effect.fail(job)
      return Effect.mapBoth(Execute.runHere(pool, connection, job, pool.cutOff), {
        onFailure: (error) =>
          mayHaveCommitted && error._tag === "SqlError" ? behindCommitted(error) : error,
        onSuccess: (exchange) => {
          // With `and chain` the next transaction is open already.
          const hasEnded = exchange.tag === "COMMIT" || !isInTransaction(connection)
          mayHaveCommitted ||= hasEnded && !harmless.has(exchange.tag)
          return exchange
        }
      })
    })
  })
  return Operation.around(
    pool,
    fiber,
    { shown: Shown.ofBatch(pool, known, undefined), timing },
    running,
    rowsOf
  )
}

export const script = (
  pool: Pool,
  fiber: AnyFiber,
  text: string,
  naming: Naming,
  { name }: ScriptOptions = {}
): Effect.Effect<ReadonlyArray<Exchange>, OperationError> => {
  if (typeof text !== "string") return Effect.fail(refused("A script is a text. Nothing was sent."))
  const found = read(pool, text, name)
  if (!("parts" in found)) return Effect.fail(found)
  const { hasOwn, parts } = found
  const positions = parts.map(
    ({ line }, index): Jobs.Position => ({ number: index + 1, of: parts.length, line, file: name })
  )
  const texts = parts.map((part) => part.text)
  if (hasOwn && currentOf(pool, fiber.context) !== undefined) return Effect.fail(refused(nested))
  return hasOwn
    ? inTurn(pool, fiber, parts, positions, naming)
    : batch(pool, fiber, texts, { naming, positions, keeps: false })
}
