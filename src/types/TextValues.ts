/**
 * Values in text format that need more than one call to read.
 */
import { Buffer } from "node:buffer"
import type { ReadText } from "./PgType.ts"
import { put } from "./RecordFormat.ts"

/** `bytea` in either of its forms, `\x00ff` or with octal escapes, whatever `bytea_output` says. */
export const bytesFromText: ReadText<Uint8Array> = (text) => {
  if (text.startsWith("\\x")) return new Uint8Array(Buffer.from(text.slice(2), "hex"))
  const bytes: Array<number> = []
  for (let at = 0; at < text.length; at++) {
    if (text.charAt(at) !== "\\") bytes.push(text.charCodeAt(at))
    else if (text.charAt(at + 1) === "\\") bytes.push(text.charCodeAt(++at))
    else {
      bytes.push(Number.parseInt(text.slice(at + 1, at + 4), 8))
      at += 3
    }
  }
  return Uint8Array.from(bytes)
}

const pair = /"((?:[^"\\]|\\.)*)"=>(?:NULL|"((?:[^"\\]|\\.)*)")/gs
const unescape = (text: string): string => text.replace(/\\(.)/gs, "$1")

/** `hstore`: `"a"=>"1", "b"=>NULL` as an object. */
export const hstoreFromText: ReadText<Readonly<Record<string, string | null>>> = (text) => {
  const object: Record<string, string | null> = {}
  for (const [, key = "", value] of text.matchAll(pair)) {
    put(object, unescape(key), value === undefined ? null : unescape(value))
  }
  return object
}
