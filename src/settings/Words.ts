/**
 * libpq's words from all the places where they may stand: a connection string, the service file, variables. What stands in
 * the first of them that has a word counts; every error says where its word stands.
 */
import * as Result from "effect/Result"
import { isSlip } from "../errors/NearestNames.ts"
import { invalid, type PoolError } from "../errors/PoolError.ts"
import * as ConnectionString from "./ConnectionString.ts"
import { decodeGiven } from "./DecodeGiven.ts"
import type { Keywords } from "./Keywords.ts"
import { keywords } from "./Keywords.ts"
import * as ServiceFile from "./ServiceFile.ts"
import { names } from "./Settings.ts"

/** Where words stand. */
export interface Origin {
  /** The setting or the variable at fault. */
  readonly setting: string
  /** How an error about one of its words begins. */
  readonly begin: string
}

export interface Word {
  readonly text: string
  readonly origin: Origin
}

export type Words = Readonly<Record<string, Word>>

/** What words say: those that libpq knows, and settings of the session. */
export interface Read {
  readonly keywords: Keywords
  readonly parameters: Readonly<Record<string, string>>
}

/** All texts of one place; `database` is other clients' name for `dbname`. */
const from = (origin: Origin, texts: ConnectionString.Texts): Words =>
  Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [name === "database" ? "dbname" : name, { text, origin }])
  )

const ofUrl: Origin = { setting: "url", begin: "The setting url is wrong: its " }
const form = "A URL reads postgres://user:password@host:5432/database?sslmode=require."

export const fromString = (text: string): Result.Result<Words, PoolError> =>
  Result.mapBoth(ConnectionString.parse(text), {
    onFailure: (rule) => invalid("url", `The setting url is no connection string: ${rule}. ${form}`),
    onSuccess: (texts) => from(ofUrl, texts)
  })

/** Words of a connection string over those of the service that is named, over those of the environment. */
export const merge = (given: Words, environment: Words): Result.Result<Words, PoolError> => {
  const words = { ...environment, ...given }
  const { service, servicefile } = words
  if (service === undefined || service.text === "") return Result.succeed(words)
  return Result.mapBoth(ServiceFile.read(service.text, servicefile?.text), {
    onFailure: (rule) =>
      invalid(service.origin.setting, `The service ${service.text} cannot be used: ${rule}.`),
    onSuccess: ({ file, texts }) => {
      const begin = `The service ${service.text} in ${file} is wrong: its `
      return { ...environment, ...from({ setting: "service", begin }, texts), ...given }
    }
  })
}

const known: ReadonlyArray<string> = Object.keys(keywords.fields)

/** A name that can be one of the server's settings. */
const parameterName = /^[a-z_][\w$]*(?:\.[a-z_][\w$]*)*$/i

/** Why a name that libpq does not know is not sent to the server. */
const wrongName = (name: string): string | undefined => {
  const meant = known.find((one) => isSlip(name, one))
  if (meant !== undefined) return `is not a word of libpq: it is spelled ${meant}`
  if (names.includes(name)) return `is a setting of its own, and not part of a connection string`
  return parameterName.test(name)
    ? undefined
    : "is neither a word of libpq nor the name of a server's setting"
}

const none: Keywords = {}

/** Reads words, or gives the first rule that one of them breaks. No error holds a text. */
export const read = (words: Words): Result.Result<Read, PoolError> => {
  const texts: Record<string, string> = {}
  const parameters: Record<string, string> = {}
  for (const [name, { origin, text }] of Object.entries(words)) {
    if (known.includes(name)) texts[name] = text
    else {
      const rule = wrongName(name)
      if (rule !== undefined) {
        const shown = parameterName.test(name) ? name : "parameter"
        return Result.fail(invalid(origin.setting, `${origin.begin}${shown} ${rule}.`))
      }
      parameters[name] = text
    }
  }
  return Result.mapBoth(decodeGiven(keywords.fields, texts), {
    onFailure: ({ name, rule }) => {
      const origin = words[name]?.origin ?? ofUrl
      return invalid(origin.setting, `${origin.begin}${name} ${rule}.`)
    },
    onSuccess: (decoded) => ({ keywords: { ...none, ...decoded }, parameters })
  })
}
