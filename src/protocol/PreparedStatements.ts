/**
 * The statements that a session has prepared on the server, and what it writes to run one.
 *
 * **Details**
 *
 * A statement is prepared under a name at its first run and bound by that name from then on. Its first run asks for text in
 * all columns, since their types are not known before; later runs ask for the formats that its own description allows,
 * which holds because the server refuses to bind a prepared statement whose result has changed. A statement that is not to
 * be kept is parsed as the unnamed one each time and always asks for text.
 *
 * At most `maxPrepared` are kept; one that was not used lately is closed for the next.
 */
import { floatTypes } from "../types/BuiltinTypes.ts"
import type { ReadRow, RowShape } from "../types/RowReader.ts"
import * as RowReader from "../types/RowReader.ts"
import type { TypeMap } from "../types/TypeMap.ts"
import type { Description, Statement } from "./KnownStatement.ts"
import { describeAs, descriptionOf, generationOf } from "./KnownStatement.ts"
import type { MessageWriter } from "./MessageWriter.ts"
import * as Writer from "./MessageWriter.ts"

const maxPrepared = 256

/**
 * The formats that one `Bind` asked for. What reads the rows takes these and not the present knowledge of the types, which
 * may have grown since.
 */
export interface Formats {
  /** As `Bind` takes them. */
  readonly codes: Uint8Array
  /** Which columns come in binary format; all others come as text. */
  readonly binary: ReadonlyArray<boolean>
  /** What reads the columns. */
  readonly types: TypeMap
  /** The knowledge of types by which they were chosen. */
  readonly version: number
}

const allText = (types: TypeMap): Formats => ({ codes: Writer.allText, binary: [], types, version: -1 })

/** A statement that one session has prepared, or is about to. */
export interface Prepared {
  readonly statement: Statement
  /** The server's name of it, `""` for the unnamed statement. */
  readonly name: string
  readonly generation: number
  description: Description | undefined
  formats: Formats | undefined
  /** Used since the last search for one to close. */
  isUsed: boolean
  /** Types of its columns that the catalogue has to be asked for, by the knowledge of types of this version. */
  openTypes:
    | {
        readonly version: number
        readonly unknown: ReadonlyArray<number>
        readonly composites: ReadonlyArray<number>
      }
    | undefined
  /** The reader that served last. */
  reader:
    | {
        readonly formats: Formats
        readonly shape: RowShape
        readonly version: number
        readonly read: ReadRow
      }
    | undefined
}

export interface PreparedStatements {
  readonly byStatement: Map<Statement, Prepared>
  /** Names that the server is to forget, with the next statement that is written. */
  obsolete: Array<string>
  /** Portals that it is to close then. */
  portals: Array<string>
  /** How many were named so far: no name is used twice. */
  named: number
  /** None is from before this generation of the pool's memory. */
  generation: number
}

export const make = (): PreparedStatements => ({
  byStatement: new Map(),
  obsolete: [],
  portals: [],
  named: 0,
  generation: 0
})

/** The statement as this session has it prepared and described, if what it knows still counts. */
export const find = ({ byStatement }: PreparedStatements, statement: Statement): Prepared | undefined => {
  const known = byStatement.get(statement)
  return known !== undefined && known.generation === generationOf(statement) ? known : undefined
}

/** Forgets a statement, and has the server do so when the next one is written. */
export const forget = ({ byStatement, obsolete }: PreparedStatements, statement: Statement): void => {
  const known = byStatement.get(statement)
  if (known === undefined) return
  byStatement.delete(statement)
  obsolete.push(known.name)
}

/** Forgets all, and has the server do so: it may have them, or not any more. */
export const forgetAll = (statements: PreparedStatements): void => {
  for (const statement of statements.byStatement.keys()) forget(statements, statement)
}

/** Forgets all: the server does not have them any more. */
export const clear = ({ byStatement }: PreparedStatements): void => byStatement.clear()

/** Closes the portals that nobody reads any more. */
export const writePortalCloses = (statements: PreparedStatements, writer: MessageWriter): void => {
  const { portals } = statements
  if (portals.length === 0) return
  statements.portals = []
  for (const portal of portals) Writer.close(writer, "portal", portal)
}

const none: ReadonlyArray<string> = []

/** Has the server forget what is obsolete, and gives the names: those that the server skips are obsolete again. */
export const writeCloses = (statements: PreparedStatements, writer: MessageWriter): ReadonlyArray<string> => {
  const { obsolete } = statements
  if (obsolete.length === 0) return none
  statements.obsolete = []
  for (const name of obsolete) Writer.close(writer, "statement", name)
  return obsolete
}

/** Forgets a statement that the server does not have: its `Parse` failed. */
export const dropUnparsed = ({ byStatement }: PreparedStatements, prepared: Prepared): void => {
  if (byStatement.get(prepared.statement) === prepared) byStatement.delete(prepared.statement)
}

/** A prepared statement that the server does not have. */
const noStatement = "26000"

/** What was refused: a statement, and whether its `Parse` was part of it and was answered. */
interface Refused {
  readonly prepared: Prepared | undefined
  readonly parses: boolean
  readonly isParsed: boolean
}

/** The server refused a statement: one that it could not parse does not exist, and where it lacks one it may lack all. */
export const onError = (
  statements: PreparedStatements,
  { isParsed, parses, prepared }: Refused,
  code: string | undefined
): void => {
  if (parses && !isParsed && prepared !== undefined) dropUnparsed(statements, prepared)
  if (!parses && code === noStatement) forgetAll(statements)
}

/** Closes those of before the last change of the catalogue: none is bound again, and each keeps the types that were known then. */
const closeStale = (statements: PreparedStatements, { memory }: Statement): void => {
  if (memory.generation <= statements.generation) return
  statements.generation = memory.generation
  for (const [statement, { generation }] of statements.byStatement) {
    if (generation !== generationOf(statement)) forget(statements, statement)
  }
}

/** Closes one that was not used lately. */
const makeRoom = (statements: PreparedStatements): void => {
  const { byStatement } = statements
  while (byStatement.size >= maxPrepared) {
    for (const [statement, prepared] of byStatement) {
      if (!prepared.isUsed) {
        forget(statements, statement)
        break
      }
      prepared.isUsed = false
      byStatement.delete(statement)
      byStatement.set(statement, prepared)
    }
  }
}

/** Writes `Parse` and `Describe`: under a name of its own, or as the unnamed statement. */
export const prepare = (
  statements: PreparedStatements,
  writer: MessageWriter,
  statement: Statement,
  keep: boolean
): Prepared => {
  if (keep) {
    forget(statements, statement)
    closeStale(statements, statement)
    makeRoom(statements)
  }
  const prepared: Prepared = {
    statement,
    name: keep ? `#${++statements.named}` : "",
    generation: generationOf(statement),
    description: undefined,
    formats: undefined,
    isUsed: true,
    openTypes: undefined,
    reader: undefined
  }
  if (keep) statements.byStatement.set(statement, prepared)
  Writer.parse(writer, prepared.name, statement.text, statement.types)
  Writer.describe(writer, prepared.name)
  return prepared
}

const choose = (types: TypeMap, columns: Description["columns"], which: RowReader.BinaryColumns): Formats => {
  const binary = RowReader.binaryColumns(types, columns, which)
  return { codes: Writer.formatsOf(binary), binary, types, version: types.version() }
}

/**
 * The formats to ask for: what the statement's own description allows. Where this session has none, they are chosen by what the
 * pool knows, or else by what was `described`, which may be stale: `trusted` says for which columns that is good enough.
 */
export const formatsFor = (
  types: TypeMap,
  prepared: Prepared,
  trusted: RowReader.BinaryColumns,
  described?: Description["columns"]
): Formats => {
  const { description, name, statement } = prepared
  if (description === undefined || name === "") {
    const known = descriptionOf(statement)?.columns ?? described
    return known === undefined ? allText(types) : choose(types, known, trusted)
  }
  const { formats } = prepared
  if (formats?.types === types && formats.version === types.version()) return formats
  const chosen = choose(types, description.columns, "all")
  prepared.formats = chosen
  return chosen
}

export const onDescribed = (prepared: Prepared, description: Description): void => {
  prepared.description = description
  describeAs(prepared.statement, description)
}

const noTypes: ReadonlyArray<number> = []

/**
 * The types of a statement's columns, and inside of them, that have to be asked for: those that are not known, and composite
 * types that were learnt before the statement was sent, since another program may have renamed an attribute.
 */
export const typesToAsk = (types: TypeMap, prepared: Prepared, answers: number): ReadonlyArray<number> => {
  const { description } = prepared
  if (description === undefined) return noTypes
  const version = types.version()
  if (prepared.openTypes?.version !== version) {
    const columns = description.columns.map(({ type }) => type)
    prepared.openTypes = {
      version,
      unknown: types.unknown(columns),
      composites: types.composites(columns)
    }
  }
  const { composites, unknown } = prepared.openTypes
  const stale = composites.filter((oid) => !types.isNewer(oid, answers))
  return stale.length === 0 ? unknown : [...unknown, ...stale]
}

/** Whether a column came in binary: where all were asked for so, then also one that a table has got since. */
const isBinary = ({ binary }: Formats, index: number): boolean =>
  binary[index] ?? (binary.length > 0 && !binary.includes(false))

export const hasFloatTexts = (types: TypeMap, formats: Formats, { columns }: Description): boolean =>
  columns.some(({ type }, index) => !isBinary(formats, index) && types.contain([type], floatTypes))

/** Whether a column came in binary whose type is read from its text: it had another one when the formats were chosen. */
export const cameMisasked = (formats: Formats, { columns }: Description): boolean =>
  columns.some(
    ({ type }, index) => isBinary(formats, index) && formats.types.reader(type).binary === undefined
  )

/** Reads the rows of a described statement that were asked for in these formats. */
export const readerOf = (prepared: Prepared, formats: Formats, shape: RowShape): ReadRow | undefined => {
  const { description, reader } = prepared
  if (description === undefined) return undefined
  const { types } = formats
  const version = types.version()
  if (
    reader !== undefined &&
    reader.formats === formats &&
    reader.shape === shape &&
    reader.version === version
  ) {
    return reader.read
  }
  const { columns } = description
  const binary = columns.map((_, index) => isBinary(formats, index))
  const read = RowReader.make(types, columns, binary, shape)
  prepared.reader = { formats, shape, version, read }
  return read
}
