/** Which objects are read as data: those that a literal makes. */

const isObjectPrototype = (value: object): boolean =>
  value === Object.prototype ||
  (Object.getPrototypeOf(value) === null && Object.hasOwn(value, "isPrototypeOf"))

/** Whether a value is an object literal (of any realm) or one without a prototype. */
export const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false
  const prototype: object | null = Object.getPrototypeOf(value)
  return prototype === null || isObjectPrototype(prototype)
}
