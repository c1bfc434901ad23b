/**
 * Types by their OIDs: the built-in ones, and those that were learnt from a catalogue.
 */
import { builtins } from "./BuiltinTypes.ts"
import type { PgType } from "./PgType.ts"
import type { TypeCodec } from "./TypeCodec.ts"

/** A codec with the type that it is of. */
export interface OwnCodec {
  readonly codec: TypeCodec
  readonly type: PgType
}

export interface TypeLookup {
  readonly typeOf: (oid: number) => PgType | undefined
  /** The type itself, or what a domain stands for. */
  readonly baseOf: (oid: number) => PgType | undefined
  /** The program's own codec of a type, or of what a domain stands for. */
  readonly codecOf: (oid: number) => OwnCodec | undefined
}

/** `ownCodec` gives the program's own codec of a type. */
export const make = (
  learnt: ReadonlyMap<number, PgType>,
  ownCodec?: (type: PgType) => TypeCodec | undefined
): TypeLookup => {
  const typeOf = (oid: number): PgType | undefined => builtins.get(oid) ?? learnt.get(oid)
  const baseOf = (oid: number): PgType | undefined => {
    let type = typeOf(oid)
    while (type?.kind === "domain") type = typeOf(type.of)
    return type
  }
  return {
    typeOf,
    baseOf,
    codecOf: (oid) => {
      if (ownCodec === undefined) return undefined
      const type = baseOf(oid)
      const codec = type === undefined ? undefined : ownCodec(type)
      return type === undefined || codec === undefined ? undefined : { codec, type }
    }
  }
}

/** The built-in types, without a codec of the program's own. */
export const builtinLookup: TypeLookup = /* @__PURE__ */ make(/* @__PURE__ */ new Map())

/** Whether a codec of the program's own has a part in values of a type. */
export const hasCodec = (types: TypeLookup, oid: number): boolean => {
  const type = types.typeOf(oid)
  return (
    type !== undefined &&
    (types.codecOf(oid) !== undefined ||
      hasCodec(types, type.of) ||
      type.attributes.some((attribute) => hasCodec(types, attribute.oid)))
  )
}
