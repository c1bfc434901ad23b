/**
 * `effect-global-pool types`: writes what a program may know of its database, keeps it up while migrating, or checks in CI that it is.
 */
import * as Console from "effect/Console"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import type { Database } from "../api/Database.ts"
import { type OperationError, refused } from "../errors/PoolError.ts"
import * as PG from "../PG.ts"
import type { PoolRegistry } from "../registry/PoolRegistry.ts"
import { clash, oneWay, unused } from "./CheckOptions.ts"
import { printSchemas } from "./PrintSchemas.ts"
import { printTypes } from "./PrintTypes.ts"
import * as Catalogue from "./ReadCatalogue.ts"
import { type ShapeOptions, shapesOf } from "./Shape.ts"

export interface WriteOptions extends Catalogue.Asked, ShapeOptions {
  readonly effectSchema: boolean
}

/** The text of the file for a database, and what there is to say about the options. */
export const fileOf = Effect.fnUntraced(function* (
  pgdb: Database,
  options: WriteOptions
): Effect.fn.Return<
  { readonly text: string; readonly warnings: ReadonlyArray<string> },
  OperationError,
  PoolRegistry
> {
  const catalogue = yield* Catalogue.read(pgdb, options)
  const problem = clash(catalogue, options)
  if (problem !== undefined) return yield* refused(problem)
  const shapes = shapesOf(catalogue, options)
  const text = options.effectSchema ? printSchemas(shapes) : printTypes(shapes)
  return { text, warnings: [...oneWay(catalogue, options), ...unused(catalogue, options)] }
})

/** What ends the command with exit code 1: its message is all that is printed. */
class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {
  override readonly [CliError.userMessage] = this.message
  override readonly [Runtime.errorReported] = false
}

/** What is not so unless the flag is given. */
const mark = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false))

/** A setting of handles, whose default is the first of its values. */
const setting = <const Values extends readonly [string, ...Array<string>]>(name: string, values: Values) =>
  Flag.Literals(name, values).pipe(
    Flag.withDescription(`as the handle's setting ${name}`),
    Flag.withDefault<Values[number]>(values[0])
  )

const flags = {
  url: Flag.Redacted("url").pipe(
    Flag.withDescription("the database; else DATABASE_URL, or PGHOST and the other variables of libpq"),
    Flag.optional
  ),
  schema: Flag.String("schema").pipe(
    Flag.withDescription(
      "a schema whose tables are written, or several: --schema public --schema audit (public)"
    ),
    Flag.atLeast(0)
  ),
  out: Flag.String("out").pipe(
    Flag.withDescription("the file to write; - prints it"),
    Flag.withDefault("src/db.ts")
  ),
  effectSchema: mark("effect-schema", "write Effect schemas, a Model.Class for each table"),
  int8: setting("int8", ["number", "bigint", "string"]),
  timestamp: setting("timestamp", ["date", "string"]),
  names: setting("names", ["as-is", "camel"]),
  map: Flag.KeyValuePair("map").pipe(
    Flag.withDescription(
      "what a type or a column is in TypeScript: --map 'users.data=import(\"./model.ts\").Profile'; with --effect-schema a schema"
    ),
    Flag.withDefault({})
  ),
  partitions: mark("partitions", "write the partitions of tables too"),
  check: mark("check", "write nothing, and exit with 1 when the file is not what would be written"),
  watch: mark("watch", "go on, and write the file whenever the database has changed")
}

const counted = (text: string): string => {
  const count = text.match(/^ {2}readonly .*readonly row: /gm)?.length ?? 0
  return count === 1 ? "1 table or view" : `${count} tables or views`
}

const told = (error: { readonly message: string }) => new Refused({ message: error.message })

export const types = Command.make(
  "types",
  flags,
  ({ check, effectSchema, out, schema, url, watch, ...rest }) =>
    Effect.gen(function* () {
      if (check && (watch || out === "-")) {
        return yield* new Refused({
          message: "--check compares a file once: leave out --watch, and name a file."
        })
      }
      const { int8, map, names, partitions, timestamp } = rest
      const schemas = schema.length === 0 ? ["public"] : schema
      const options = { schemas, partitions, effectSchema, int8, names, timestamp, replaced: map }
      const pgdb = Option.isSome(url)
        ? PG.make({ url: Redacted.value(url.value), key: "effect-global-pool types" })
        : yield* PG.fromEnv
      const said = new Set<string>()
      const written = Effect.gen(function* () {
        const { text: now, warnings } = yield* fileOf(pgdb, options)
        for (const warning of warnings.filter((warning) => !said.has(warning))) {
          said.add(warning)
          yield* Console.error(warning)
        }
        if (out === "-") return yield* Console.log(now.trimEnd())
        const files = yield* FileSystem.FileSystem
        const known = yield* Effect.orElseSucceed(files.readFileString(out), () => undefined)
        // Git on Windows checks files out with line ends of its own.
        if (known?.replaceAll("\r\n", "\n") === now)
          return watch ? undefined : yield* Console.log(`${out} is up to date.`)
        if (check) {
          const why =
            known === undefined ? "is not there, or cannot be read" : "is not what the database says"
          return yield* new Refused({
            message: `${out} ${why}: run effect-global-pool types without --check.`
          })
        }
        const path = yield* Path.Path
        yield* files.makeDirectory(path.dirname(out), { recursive: true })
        yield* files.writeFileString(out, now)
        yield* Console.log(`${out}: ${counted(now)}.`)
      })
      if (!watch) return yield* written
      let trouble = ""
      const patient = Effect.matchEffect(written, {
        onFailure: ({ message }) => {
          const isKnown = message === trouble
          trouble = message
          return isKnown ? Effect.void : Console.error(message)
        },
        onSuccess: () =>
          Effect.sync(() => {
            trouble = ""
          })
      })
      yield* Effect.repeat(patient, Schedule.spaced(Duration.seconds(1)))
    }).pipe(PG.run, Effect.mapError(told))
).pipe(
  Command.withDescription(
    "Write types of the tables of a database, for PG.make<Tables>(…). See docs/types-from-the-database.md."
  )
)
