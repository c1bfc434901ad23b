/**
 * Values in filters and changes, encoded by the table's schema on their way in. Patterns, `$isNull` and the numbers and digits of
 * `$inc` speak of the database's side and stay as they are, and so does what `$contains` has where it is a part of what the schema
 * takes.
 */
import * as Effect from "effect/Effect"
import { isSql } from "../statement/Sql.ts"
import type { Change } from "./Change.ts"
import { type Condition, compare, hasOneOf, patterns } from "./Filter.ts"
import type { At } from "./SchemaMismatch.ts"
import type { Translation } from "./Schemas.ts"

/** A filter's conditions with their values encoded. */
export const condition = <Row, E>(
  translation: Translation<Row, E>,
  at: At,
  given: Condition
): Effect.Effect<Condition, E> => {
  switch (given._tag) {
    case "Every":
    case "Some":
      return Effect.map(
        Effect.forEach(given.of, (inner) => condition(translation, at, inner)),
        (of) => ({ ...given, of })
      )
    case "Not":
      return Effect.map(condition(translation, at, given.of), (of) => ({ ...given, of }))
    case "Compare":
      if (patterns.has(given.operator) || given.value === null || isSql(given.value))
        return Effect.succeed(given)
      return Effect.map(
        given.operator === "$contains"
          ? translation.part(given.column, given.value)
          : translation.value(at, given.column, given.value),
        (value) => compare(given.column, given.operator, value)
      )
    case "OneOf":
      return Effect.map(
        Effect.forEach(given.values, (value) =>
          isSql(value) ? Effect.succeed(value) : translation.value(at, given.column, value)
        ),
        (values) => hasOneOf(given.column, values)
      )
    default:
      return Effect.succeed(given)
  }
}

/** Changes with their values encoded, and those that the schema fills in. */
export const changes = <Row, E>(
  translation: Translation<Row, E>,
  at: At,
  given: ReadonlyArray<Change>
): Effect.Effect<ReadonlyArray<Change>, E> =>
  Effect.zipWith(
    Effect.forEach(given, (change) =>
      (change._tag === "Add" && typeof change.value !== "object") || isSql(change.value)
        ? Effect.succeed(change)
        : Effect.map(translation.value(at, change.column, change.value), (value) =>
            // Nothing is added: what was given is refused as it is.
            change._tag === "Add" && value === null ? change : { ...change, value }
          )
    ),
    translation.filled,
    (encoded, filled): ReadonlyArray<Change> => {
      const named = new Set(encoded.map(({ column }) => column))
      const others = filled.filter(([column]) => !named.has(column))
      return [...encoded, ...others.map(([column, value]): Change => ({ _tag: "Set", column, value }))]
    }
  )
