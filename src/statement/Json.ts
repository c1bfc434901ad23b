/**
 * `PG.json`: a value that is json whatever its JavaScript type.
 *
 * Recognised by a registered symbol, as pieces of SQL are: data from outside can carry any string key but no symbol.
 */
import { hasSymbol } from "./PlainObject.ts"

/** The key of `PG.json`. */
export const JsonId: unique symbol = Symbol.for("effect-global-pool/Json")

/** A value that is bound as json whatever its JavaScript type: made by `PG.json`. */
export interface Json {
  readonly [JsonId]: true
  readonly value: unknown
}

/**
 * Forces json for an array, string, number, boolean or `null`; plain objects are json without it. What it has made stays the same.
 */
export const json = (value: unknown): Json => (isJson(value) ? value : { [JsonId]: true, value })

export const isJson = (value: unknown): value is Json => hasSymbol(value, JsonId)
