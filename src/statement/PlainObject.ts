/** Questions about an object that never throw, although a proxy may throw at each of them. */

/** What a question gives, or what stands for it where the object throws. */
export const attempt = <A, B>(ask: () => A, otherwise: B): A | B => {
  try {
    return ask()
  } catch {
    return otherwise
  }
}

/** Whether a value is an object that has this symbol. */
export const hasSymbol = (value: unknown, key: symbol): boolean =>
  typeof value === "object" && value !== null && attempt(() => key in value, false)

/** `Array.isArray`, which throws for a proxy that was revoked. */
export const isArray = (value: unknown): value is ReadonlyArray<unknown> =>
  attempt(() => Array.isArray(value), false)

const isObjectPrototype = (value: object): boolean =>
  value === Object.prototype ||
  (Object.getPrototypeOf(value) === null && Object.hasOwn(value, "isPrototypeOf"))

/** Whether a value is an object literal (of any realm) or one without a prototype: those are read as data. */
export const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> => {
  if (typeof value !== "object" || value === null) return false
  // No function, which would be made for each value.
  try {
    if (Array.isArray(value)) return false
    const prototype: object | null = Object.getPrototypeOf(value)
    return prototype === null || isObjectPrototype(prototype)
  } catch {
    return false
  }
}
