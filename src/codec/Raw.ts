/**
 * Parameters whose bytes are made here: the driver is told their type and passes the bytes on.
 */
import * as PgTypes from "@effect/sql-pg/PgTypes"

/** A parameter of this type in binary form; the type's codec in the registry takes bytes as they are. */
export const binaryParameter = (oid: number, bytes: Uint8Array): PgTypes.Parameter => ({
  [PgTypes.ParameterTypeId]: PgTypes.ParameterTypeId,
  oid,
  value: bytes
})

/** An array of this type from the bytes of its elements, of one dimension unless the lengths of several are given. */
export const rawParameter = (
  arrayOid: number,
  elementOid: number,
  elements: ReadonlyArray<Uint8Array | null>,
  shape: ReadonlyArray<number> = [elements.length]
): PgTypes.Parameter => {
  let size = 12 + shape.length * 8
  for (const element of elements) size += 4 + (element?.length ?? 0)
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  view.setInt32(0, shape.length)
  view.setInt32(4, elements.includes(null) ? 1 : 0)
  view.setUint32(8, elementOid)
  let at = 12
  for (const length of shape) {
    view.setInt32(at, length)
    view.setInt32(at + 4, 1)
    at += 8
  }
  for (const element of elements) {
    view.setInt32(at, element === null ? -1 : element.length)
    at += 4
    if (element === null) continue
    bytes.set(element, at)
    at += element.length
  }
  return binaryParameter(arrayOid, bytes)
}
