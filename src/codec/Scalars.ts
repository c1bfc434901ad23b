/**
 * The reader of each built-in type, and of the well-known types of extensions.
 */

import * as Builtin from "./Builtin.ts"
import type { Read } from "./Bytes.ts"
import * as Bytes from "./Bytes.ts"
import * as Containers from "./Containers.ts"
import * as DateTime from "./DateTime.ts"
import * as Geometry from "./Geometry.ts"
import * as Network from "./Network.ts"
import * as Numbers from "./Numbers.ts"
import type { Write } from "./Output.ts"
import { anyText, digits, printed, raw, text } from "./Output.ts"
import type { Kind, Reader, Session } from "./Session.ts"
import { askServer, refuse, zoneFor } from "./Session.ts"
import * as System from "./System.ts"
import * as TextSearch from "./TextSearch.ts"

/** Prints what `read` gives. */
const printing =
  (read: Read<string>): Write =>
  (out, bytes, offset, size) =>
    anyText(out, read(bytes, offset, size))

/** A type that is its text. */
const texts = (read: Read<string>): Reader => ({ value: read, write: printing(read) })

/** A type that is printed. */
const prints = (write: Write): Reader => ({ value: printed(write), write })

/** Only the server can print the value: it is asked when the values are settled. */
export const printedByServer = (session: Session, oid: number): Reader =>
  texts((bytes, offset, size) => askServer(session, oid, bytes, offset, size))

const boolean: Reader = {
  value: (bytes, offset) => bytes[offset] !== 0,
  write: (out, bytes, offset) => text(out, bytes[offset] !== 0 ? "t" : "f")
}

const integer = (read: Read<number>): Reader => ({
  value: read,
  write: (out, bytes, offset, size) => {
    const number = read(bytes, offset, size)
    if (number < 0) text(out, "-")
    digits(out, Math.abs(number))
  }
})

const int8 = (session: Session): Read => {
  switch (session.options.int8) {
    case "bigint":
      return Bytes.bigInt64
    case "string":
      return Bytes.int64Text
    case "number":
      return (bytes, offset) => {
        const value = Bytes.exactInt64(bytes, offset)
        return Number.isNaN(value)
          ? refuse(
              session,
              'holds an int8 past ±(2^53−1), which a number cannot hold exactly. Set int8: "bigint" or "string", or cast the value to text'
            )
          : value
      }
  }
}

const timestamp = (session: Session, withZone: boolean): Reader => {
  const oid = Builtin.oidOf("timestamptz")
  const write: Write = (out, bytes, offset, size) => {
    if (!withZone) {
      DateTime.writeTimestamp(out, bytes, offset, undefined)
      return
    }
    const zone = zoneFor(session)
    if (zone === undefined) anyText(out, askServer(session, oid, bytes, offset, size))
    else DateTime.writeTimestamp(out, bytes, offset, zone)
  }
  return {
    value:
      session.options.timestamp === "string"
        ? printed(write)
        : (bytes, offset, size) =>
            DateTime.readDate(bytes, offset, size) ??
            refuse(
              session,
              'holds a timestamp past the year 275760, where Date ends. Set timestamp: "string", or cast the value to text'
            ),
    write
  }
}

const json = (start: number): Reader => ({
  value: (bytes, offset, size) => JSON.parse(Bytes.utf8(bytes, offset + start, size - start)),
  write: (out, bytes, offset, size) => raw(out, bytes, offset + start, size - start)
})

const writeInt8: Write = (out, bytes, offset) => {
  const value = Bytes.exactInt64(bytes, offset)
  if (Number.isNaN(value)) {
    text(out, String(Bytes.bigInt64(bytes, offset)))
    return
  }
  if (value < 0) text(out, "-")
  digits(out, Math.abs(value))
}

const scalars = (session: Session): Readonly<Record<string, Reader>> => ({
  bool: boolean,
  bytea: { value: Bytes.copy, write: printing(System.readHexadecimal) },
  char: texts(System.readChar),
  int8: { value: int8(session), write: writeInt8 },
  int2: integer(Bytes.int16),
  int4: integer(Bytes.int32),
  oid: integer(Bytes.uint32),
  tid: texts(System.readTid),
  xid: texts(System.readXid),
  cid: texts(System.readXid),
  json: json(0),
  jsonb: json(1),
  point: texts(Geometry.readPoint),
  lseg: texts(Geometry.readSegment),
  path: texts(Geometry.readPath),
  box: texts(Geometry.readBox),
  polygon: texts(Geometry.readPolygon),
  line: texts(Geometry.readLine),
  circle: texts(Geometry.readCircle),
  cidr: texts(Network.readInet),
  inet: { value: Network.readInet, write: printing(Network.readInetOutput) },
  macaddr: texts(Network.readMacaddr),
  macaddr8: texts(Network.readMacaddr),
  float4: { value: Bytes.float32, write: Numbers.writeFloat4 },
  float8: { value: Bytes.float64, write: Numbers.writeFloat8 },
  money: texts((bytes, offset) => Numbers.moneyText(bytes, offset, session.money)),
  date: prints(DateTime.writeDate),
  time: prints(DateTime.writeTime),
  timetz: prints(DateTime.writeTimetz),
  interval: prints((out, bytes, offset) =>
    DateTime.writeInterval(out, bytes, offset, session.version >= 170000)
  ),
  timestamp: timestamp(session, false),
  timestamptz: timestamp(session, true),
  bit: texts(System.readBits),
  varbit: texts(System.readBits),
  numeric: prints(Numbers.writeNumeric),
  uuid: texts(System.readUuid),
  txid_snapshot: prints(System.writeSnapshot),
  pg_snapshot: prints(System.writeSnapshot),
  pg_lsn: texts((bytes, offset) => System.lsnText(bytes, offset, session.version >= 190000)),
  pg_ndistinct: texts(System.readNdistinct),
  pg_dependencies: texts(System.readDependencies),
  pg_mcv_list: texts(System.readHexadecimal),
  tsvector: texts(TextSearch.readTsvector),
  tsquery: texts(TextSearch.readTsquery),
  jsonpath: texts(System.readVersionedText),
  xid8: texts(System.readXid8),
  record: Containers.recordReader(session)
})

const characterReader: Reader = { value: Bytes.utf8, write: raw }

/** The types that are their characters on the wire. */
const characters = new Set([
  "text",
  "varchar",
  "bpchar",
  "name",
  "xml",
  "refcursor",
  "cstring",
  "unknown",
  "void",
  "pg_node_tree"
])

const describe = (
  session: Session,
  name: string,
  oid: number,
  kind: Kind,
  of: number,
  array: number
): void => {
  session.types.set(oid, {
    oid,
    name,
    kind,
    of,
    array,
    delimiter: name === "box" ? ";" : ",",
    attributes: []
  })
}

/** Puts every built-in type into the session. */
export const registerBuiltins = (session: Session): void => {
  const known = scalars(session)
  const array = Containers.arrayReader(session)
  for (const { name, oid, array: arrayOid } of Builtin.builtins) {
    const reader = characters.has(name) ? characterReader : known[name]
    if (reader !== undefined) session.readers.set(oid, reader)
    describe(session, name, oid, name === "record" ? "record" : "base", 0, arrayOid)
    if (arrayOid === 0) continue
    session.readers.set(arrayOid, array)
    describe(session, `${name}[]`, arrayOid, "array", oid, 0)
  }
  for (const name of Builtin.named) {
    const oid = Builtin.oidOf(name)
    session.readers.set(oid, printedByServer(session, oid))
  }
  for (const [name, oid, element, arrayOid] of Builtin.vectors) {
    session.readers.set(oid, array)
    describe(session, name, oid, "vector", Builtin.oidOf(element), arrayOid)
    session.readers.set(arrayOid, array)
    describe(session, `${name}[]`, arrayOid, "array", oid, 0)
  }
  session.readers.set(Builtin.anyArray, array)
  for (const [range, multirange, element] of Builtin.ranges) {
    const oid = Builtin.oidOf(range)
    session.readers.set(oid, Containers.rangeReader(session, oid, Builtin.oidOf(element)))
    session.readers.set(Builtin.oidOf(multirange), Containers.multirangeReader(session, oid))
  }
}

/** Types of extensions, by the name of the function that sends them. */
const extensions: Readonly<Record<string, Reader>> = {
  citextsend: characterReader,
  hstore_send: { value: System.readHstore, write: undefined },
  ltree_send: texts(System.readVersionedText),
  lquery_send: texts(System.readVersionedText),
  ltxtq_send: texts(System.readVersionedText),
  cube_send: texts(Geometry.readCube),
  vector_send: { value: System.readVector, write: undefined },
  geometry_send: texts(System.readGeometry),
  geography_send: texts(System.readGeometry)
}

/** The reader of an extension's base type: known by name, or printed by the server. */
export const baseReader = (session: Session, oid: number, send: string): Reader =>
  extensions[send] ?? printedByServer(session, oid)

/** Enums are their labels. */
export const enumReader = characterReader
