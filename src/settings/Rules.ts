/**
 * Kinds of values that settings take, each a schema from what a user writes to what the package uses. `Settings.ts`
 * declares every setting by one of them.
 *
 * A rule is worded by the schema's `message`, which continues "The setting x …" and never holds the value, save a number.
 */
import type { ConnectionOptions } from "node:tls"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

/** A text that may be secret, as a user writes it. */
export type SecretText = string | Redacted.Redacted

/** The text itself. */
export const plain = (given: SecretText): string =>
  Redacted.isRedacted(given) ? Redacted.value(given) : given

/** A password: a text, in a function so that nothing prints it, or an effect that is asked for each connection. */
export type Password =
  | { readonly _tag: "Text"; readonly read: () => string }
  | { readonly _tag: "Asked"; readonly ask: Effect.Effect<string>; readonly given: unknown }

/** A text that is not empty. */
export const text = Schema.String.annotate({ message: "must be a string" }).check(
  Schema.makeFilter((value: string) => {
    if (value === "") return "is empty: give it a value, or leave it out for its default"
    return value.includes("\0") ? "holds a NUL character, which Postgres cannot take" : undefined
  })
)

/** A text that is not empty, of so many characters at the most. */
export const shortText = (most: number) =>
  text.check(
    Schema.makeFilter((value: string) =>
      value.length > most ? `has ${value.length} characters; the most is ${most}` : undefined
    )
  )

export const whole = (least: number, most: number) => {
  const rule = `must be a whole number from ${least} to ${most}`
  return Schema.Number.annotate({ message: rule }).check(
    Schema.makeFilter((value: number) =>
      Number.isInteger(value) && value >= least && value <= most ? undefined : `${rule}, and is ${value}`
    )
  )
}

export const several = <S extends Schema.Codec<unknown, unknown>>(one: S, message: string) =>
  Schema.Union([one, Schema.Array(one)]).annotate({ message })

/** A part of one that is not the whole. */
export const share = Schema.Number.annotate({ message: "must be a number from 0 up to but not 1" }).check(
  Schema.makeFilter((value: number) => value >= 0 && value < 1, {
    message: "must be a number from 0 up to but not 1"
  })
)

export const flag = Schema.Boolean.annotate({ message: "must be true or false" })

export const oneOf = <const Words extends ReadonlyArray<string>>(words: Words) =>
  Schema.Literals(words).annotate({
    message: `must be one of ${words.map((word) => `"${word}"`).join(", ")}`
  })

const isDuration = (value: unknown): value is Duration.Input =>
  !Number.isNaN(value) && Option.isSome(Duration.fromInput(value as Duration.Input))

/** A duration, in milliseconds. */
const duration = (what: string, isAllowed: (millis: number) => boolean) => {
  const message = `must be a ${what} such as "5 seconds" or a number of milliseconds`
  return Schema.declare(isDuration)
    .annotate({ message })
    .pipe(
      Schema.decodeTo(
        Schema.Number,
        SchemaTransformation.transform<number, Duration.Input>({
          decode: (given) => Duration.toMillis(Duration.fromInputUnsafe(given)),
          encode: (millis) => millis
        })
      )
    )
    .check(Schema.makeFilter(isAllowed, { message }))
}

export const positive = duration("positive duration", (millis) => millis > 0)

export const orZero = duration("duration", (millis) => millis >= 0)

/** Postgres keeps milliseconds in 31 bits, and infinity is no limit. */
export const serverTimeout = duration(
  "positive duration of 24 days at the most, or Infinity,",
  (millis) => millis > 0 && (millis <= 0x7fff_ffff || millis === Number.POSITIVE_INFINITY)
)

/** A text that may be secret. */
export const secret = Schema.declare(
  (value: unknown): value is SecretText => typeof value === "string" || Redacted.isRedacted(value)
).annotate({ message: "must be a string, or a Redacted of one" })

type GivenPassword = SecretText | Effect.Effect<SecretText>

const passwordOf = (given: GivenPassword): Password => {
  if (Effect.isEffect(given)) return { _tag: "Asked", ask: Effect.map(given, plain), given }
  const value = plain(given)
  return { _tag: "Text", read: () => value }
}

const isPassword = (value: unknown): value is GivenPassword =>
  Effect.isEffect(value) ||
  typeof value === "string" ||
  (Redacted.isRedacted(value) && typeof Redacted.value(value) === "string")

export const password = Schema.declare(isPassword)
  .annotate({ message: "must be a string, a Redacted, or an Effect of one of them" })
  .pipe(
    Schema.decodeTo(
      Schema.declare((value: unknown): value is Password => Predicate.isObject(value)),
      SchemaTransformation.transform<Password, GivenPassword>({
        decode: passwordOf,
        encode: (password) => (password._tag === "Text" ? password.read() : password.ask)
      })
    )
  )

export const ssl = Schema.declare(
  (value: unknown): value is boolean | ConnectionOptions =>
    typeof value === "boolean" || Predicate.isObject(value)
).annotate({ message: "must be true, false, or an object of Node's tls.ConnectionOptions" })

/** What the connection itself says to the server. */
const reserved = new Set(["user", "database", "replication", "options", "client_encoding"])

/** Settings of a session by name. */
export const parameters = Schema.declare((value: unknown): value is Readonly<Record<string, string>> =>
  Predicate.isObject(value)
)
  .annotate({ message: "must be an object of texts by name" })
  .check(
    Schema.makeFilter((given) => {
      for (const [name, value] of Object.entries(given)) {
        if (reserved.has(name.toLowerCase()) || name === "" || name.includes("\0")) {
          return `is wrong: "${name}" cannot be set: ${[...reserved].join(", ")} are the connection's own`
        }
        if (typeof value !== "string" || value.includes("\0")) {
          return `is wrong: "${name}" must be a string without NUL characters`
        }
      }
      return undefined
    })
  )

/** A function, or whatever else the guard lets through. */
export const declared = <A>(is: (value: unknown) => value is A, message: string) =>
  Schema.declare(is).annotate({ message })
