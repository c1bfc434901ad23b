/**
 * Settings from the variables that every Postgres program knows: `DATABASE_URL`, and beneath it those of libpq.
 */
import type { ConfigError } from "effect/Config"
import * as Config from "effect/Config"
import type * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { keywords, variables } from "./Keywords.ts"
import type { Settings } from "./Settings.ts"
import type { Word, Words } from "./Words.ts"

/** What the environment says: a connection string, and words that count where it says nothing. */
export interface Environment {
  readonly settings: Settings
  readonly words: Words
}

/** Variables that libpq makes settings of the session, unless they say `default`. */
const ofSession = { PGDATESTYLE: "datestyle", PGTZ: "timezone", PGGEQO: "geqo" }

const names = { ...variables, ...ofSession }

/** A variable's text. An empty one counts as none. */
const textOf = (variable: string): Config.Config<string | undefined> =>
  Config.map(Config.option(Config.Redacted(variable)), (found) =>
    Option.match(found, { onNone: () => undefined, onSome: (text) => Redacted.value(text) || undefined })
  )

const wordOf = (variable: string, text: string): Word => ({
  text,
  origin: { setting: variable, begin: `The variable ${variable} is wrong: ` }
})

const wordsOf = (texts: Readonly<Record<string, string | undefined>>): Words => {
  const words: Record<string, Word> = {}
  // The old way to ask for TLS.
  if (texts.PGREQUIRESSL?.startsWith("1")) words.sslmode = wordOf("PGREQUIRESSL", "require")
  for (const [variable, name] of Object.entries(names)) {
    const text = texts[variable]
    if (variable in ofSession && text?.toLowerCase() === "default") continue
    if (text !== undefined) words[name] = wordOf(variable, text)
  }
  return words
}

const texts = Config.all(
  Object.fromEntries([...Object.keys(names), "PGREQUIRESSL"].map((variable) => [variable, textOf(variable)]))
)

/** Where nothing stands above it, a port that cannot be read is an error of the configuration. */
const withoutUrl = Config.map(
  Config.all([texts, Config.option(Config.schema(keywords.fields.port.schema, "PGPORT"))]),
  ([texts]): Environment => ({ settings: {}, words: wordsOf(texts) })
)

/** `DATABASE_URL`, and beneath it every variable of libpq. */
export const fromEnvironment: Effect.Effect<Environment, ConfigError> = Config.flatMap(
  Config.option(Config.Redacted("DATABASE_URL")),
  (url) =>
    Option.isNone(url)
      ? withoutUrl
      : Config.map(texts, (texts): Environment => ({ settings: { url: url.value }, words: wordsOf(texts) }))
)
