/**
 * What a pool knows of types, and the readers of their values in either format (`BuiltinReaders.ts` has those of single types). One
 * for each pool.
 *
 * Built-in types are known from the start. Those of users and extensions are learnt from the catalogue when a result or a
 * parameter first has one, and forgotten when a statement may have changed them. Composite types are asked for with each
 * statement that returns one, since another program can rename an attribute and the wire has no names.
 *
 * A dozen types and arrays and composites of them are read in binary; all others as text, which is the string promised.
 */

import * as ArrayFormat from "./ArrayFormat.ts"
import {
  asText,
  builtinReaders,
  extensions,
  itself,
  jsonb,
  type TypeReader,
  type ValueOptions
} from "./BuiltinReaders.ts"
import { oids } from "./BuiltinTypes.ts"
import type { PgType, ReadBinary, ReadText } from "./PgType.ts"
import { UnreadableValue } from "./PgType.ts"
import * as RecordFields from "./RecordFields.ts"
import * as RecordFormat from "./RecordFormat.ts"
import { codecsOf, read as readOwn } from "./TypeCodec.ts"
import * as TypeLookup from "./TypeLookup.ts"

/** Readers of some types' binary format, `undefined` for all others. */
export type OwnReaders = (oid: number) => ReadBinary | undefined

export interface TypeMap extends TypeLookup.TypeLookup {
  /** Whether there are codecs of the program's own. */
  readonly hasCodecs: boolean
  /** Grows when a type is learnt or forgotten: a reader made before may be stale. */
  readonly version: () => number
  /**
   * The types among these, and inside of them, that are not known. For a stream, `record` is among them: anybody may have
   * made a type, and nothing can be asked while its rows are on the way.
   */
  readonly unknown: (oids: ReadonlyArray<number>, isStream?: boolean) => ReadonlyArray<number>
  /** Whether one of these types, or of those inside of them other than in ranges, is among `others`. */
  readonly contain: (oids: ReadonlyArray<number>, others: ReadonlySet<number>) => boolean
  /** The composite types among these, and inside of them; with a record those that records were seen to hold. */
  readonly composites: (oids: ReadonlyArray<number>) => ReadonlyArray<number>
  /** How often the catalogue's answers were taken. */
  readonly answers: () => number
  /** Whether a type was learnt from an answer that came after so many. */
  readonly isNewer: (oid: number, answers: number) => boolean
  readonly reader: (oid: number) => TypeReader
  /** How a value is read that comes in binary although text is the format to ask for. */
  readonly binaryReader: (oid: number) => ReadBinary
  /** The same types with other readers for some of them and arrays of these; one map for each such set of readers. */
  readonly withReaders: (own: OwnReaders) => TypeMap
  /** Takes what the catalogue says; `isAll` when it was asked for all types of users. */
  readonly learn: (types: ReadonlyArray<PgType>, isAll?: boolean) => void
  /** Forgets all types but the built-in ones. */
  readonly forget: () => void
}

/** A type that has a reader of its own is asked for in binary, unless it was another type a moment ago. */
const onlyBinary = (binary: ReadBinary): TypeReader => ({
  binary,
  text: () => {
    throw new UnreadableValue(
      "is of another type than when the statement was described. Run the statement again"
    )
  }
})

const lostTypes: ReadText = () => {
  throw new UnreadableValue(
    "is an anonymous record that came without the types of its fields. Run the statement again, or cast the record to a named composite type"
  )
}

/** What is known between two changes of the catalogue. Readers made of it go on with it when it is forgotten. */
const makeKnowledge = (
  fixed: ReadonlyArray<readonly [oid: number, reader: TypeReader]>,
  ownCodec: ReturnType<typeof codecsOf>
) => {
  const learnt = new Map<number, PgType>()
  /** The number of the answer from which each type was learnt. */
  const learntFrom = new Map<number, number>()
  const { baseOf, codecOf, typeOf } = TypeLookup.make(learnt, ownCodec)
  let readers = new Map(fixed)
  /** Composite types that records were seen to hold. */
  const inRecords = new Set<number>()

  /** These types and those inside of them, once each; without `printed` not what ranges hold, which are strings. */
  const within = (
    oids: ReadonlyArray<number>,
    { printed = true } = {}
  ): ReadonlyMap<number, PgType | undefined> => {
    const found = new Map<number, PgType | undefined>()
    const add = (oid: number): void => {
      if (oid === 0 || found.has(oid)) return
      const type = typeOf(oid)
      found.set(oid, type)
      if (type === undefined || (!printed && (type.kind === "range" || type.kind === "multirange"))) return
      add(type.of)
      for (const attribute of type.attributes) add(attribute.oid)
    }
    oids.forEach(add)
    return found
  }

  /** A field of an anonymous record for a codec, printed as the server prints it. */
  const printedField = ({ codec, type }: TypeLookup.OwnCodec): ReadBinary => {
    const plain = RecordFields.printer(type.oid, typeOf)
    if (plain === undefined) return RecordFields.unprintable(type.name)
    return (bytes, offset, size, locale) => readOwn(codec, type, plain(bytes, offset, size, locale))
  }

  /** A field of an anonymous record, which comes in binary whatever its type. */
  const fieldReader = (oid: number): ReadBinary => {
    const own = codecOf(oid)
    if (own !== undefined) return printedField(own)
    const { binary, text } = reader(oid)
    if (binary !== undefined) return binary
    if (oid === oids.jsonb) return jsonb
    const type = typeOf(oid)
    if (type === undefined) {
      throw new UnreadableValue(
        "has a field of a type that was made a moment ago. Run the statement again",
        oid
      )
    }
    if (type.kind === "domain") return fieldReader(type.of)
    if (oid === oids.anyArray) return ArrayFormat.anyFromBinary(fieldReader)
    if (type.kind === "array") return ArrayFormat.fromBinary(fieldReader(type.of))
    if (type.kind === "composite") return RecordFormat.compositeFromBinary(type, fieldReader)
    const printed = text === itself ? RecordFields.printer(oid, typeOf) : undefined
    return printed ?? RecordFields.unprintable(type.name)
  }

  /** What records hold is not known before, so that a composite may be out of date when it is met for the first time. */
  const recordFieldReader = (oid: number): ReadBinary => {
    if (typeOf(oid)?.kind === "composite" && !inRecords.has(oid)) {
      inRecords.add(oid)
      throw new UnreadableValue(
        "is a record with a field of a composite type that was not met before. Run the statement again",
        oid
      )
    }
    return fieldReader(oid)
  }

  const build = (type: PgType): TypeReader => {
    const codec = ownCodec?.(type)
    if (codec !== undefined) return { binary: undefined, text: (text) => readOwn(codec, type, text) }
    switch (type.kind) {
      case "domain":
        return reader(type.of)
      case "array": {
        const element = reader(type.of)
        const delimiter = typeOf(type.of)?.delimiter ?? ","
        return {
          // The elements of `anyarray` may be of any type, and are strings.
          binary:
            element.binary === undefined || type.oid === oids.anyArray
              ? undefined
              : ArrayFormat.fromBinary(element.binary),
          text: ArrayFormat.fromText(element.text, delimiter)
        }
      }
      case "vector":
        return { binary: undefined, text: ArrayFormat.fromVectorText(reader(type.of).text) }
      case "composite": {
        const isBinary = type.attributes.every(({ oid }) => reader(oid).binary !== undefined)
        return {
          binary: isBinary ? RecordFormat.compositeFromBinary(type, fieldReader) : undefined,
          text: RecordFormat.compositeFromText(type, (oid) => reader(oid).text)
        }
      }
      case "record":
        return { binary: RecordFormat.recordFromBinary(recordFieldReader), text: lostTypes }
      case "base":
        return extensions[type.output] ?? asText
      default:
        return asText
    }
  }

  const reader = (oid: number): TypeReader => {
    const known = readers.get(oid)
    if (known !== undefined) return known
    const type = typeOf(oid)
    if (type === undefined) return asText
    const built = build(type)
    readers.set(oid, built)
    return built
  }

  return {
    codecOf,
    typeOf,
    baseOf,
    within,
    inRecords,
    learntFrom,
    reader,
    fieldReader,
    learn: (types: ReadonlyArray<PgType>, isAll: boolean, answer: number): void => {
      for (const type of types) {
        learnt.set(type.oid, type)
        learntFrom.set(type.oid, answer)
        if (isAll && type.kind === "composite") inRecords.add(type.oid)
      }
      readers = new Map(fixed)
    }
  }
}

export const make = (options: ValueOptions): TypeMap => {
  const ownCodec = codecsOf(options.codecs)
  const { codecOf } = TypeLookup.make(new Map(), ownCodec)
  const fixed = Array.from(builtinReaders(options)).filter(([oid]) => codecOf(oid) === undefined)
  let known = makeKnowledge(fixed, ownCodec)
  let answers = 0
  let version = 0
  const variants = new Map<OwnReaders, TypeMap>()

  const types: TypeMap = {
    codecOf: (oid) => known.codecOf(oid),
    hasCodecs: ownCodec !== undefined,
    version: () => version,
    typeOf: (oid) => known.typeOf(oid),
    baseOf: (oid) => known.baseOf(oid),
    unknown: (from, isStream = false) =>
      Array.from(known.within(from)).flatMap(([oid, type]) =>
        type === undefined || (isStream && type.kind === "record") ? oid : []
      ),
    contain: (from, others) =>
      Array.from(known.within(from, { printed: false }).keys()).some((oid) => others.has(oid)),
    composites: (from) =>
      Array.from(known.within(from).values()).flatMap((type) => {
        if (type?.kind === "record") return Array.from(known.inRecords)
        return type?.kind === "composite" ? type.oid : []
      }),
    answers: () => answers,
    isNewer: (oid, before) => (known.learntFrom.get(oid) ?? 0) > before,
    reader: (oid) => known.reader(oid),
    binaryReader: (oid) => known.fieldReader(oid),
    withReaders: (own) => {
      const made = variants.get(own)
      if (made !== undefined) return made
      const variant: TypeMap = {
        ...types,
        reader: (oid) => {
          const type = types.typeOf(oid)
          const element = type?.kind === "array" && oid !== oids.anyArray ? own(type.of) : undefined
          const read = element === undefined ? own(oid) : ArrayFormat.fromBinary(element)
          return read === undefined ? types.reader(oid) : onlyBinary(read)
        }
      }
      variants.set(own, variant)
      return variant
    },
    learn: (types, isAll = false) => {
      version++
      known.learn(types, isAll, ++answers)
    },
    forget: () => {
      version++
      known = makeKnowledge(fixed, ownCodec)
    }
  }
  return types
}

/** Types as they are without settings of the program's: what the package asks for itself is read by these. */
export const plain: TypeMap = /* @__PURE__ */ make({ int8: "number", timestamp: "date" })
