/**
 * More parameters than a statement has placeholders, or than a statement can have. The server takes the former without a word
 * when their types are known, and does not know what to make of them otherwise, so it is said here.
 */
import { tokenAt } from "./Scan.ts"

/** The highest number of a placeholder: how many parameters the statement takes. */
export const placeholdersOf = (text: string): number => {
  if (!text.includes("$")) return 0
  let most = 0
  for (let token = tokenAt(text, 0); token.kind !== "end"; token = tokenAt(text, token.end)) {
    if (token.kind === "parameter") most = Math.max(most, Number(text.slice(token.start + 1, token.end)))
  }
  return most
}

/** The most parameters that the protocol can count. */
export const maxParameters = 65_535

/** Why a statement that takes so many parameters is not sent with more of them. */
export const surplus = (text: string, most: number, given: number): string | undefined => {
  if (given > maxParameters) {
    return `The statement was given ${given} parameters, and Postgres takes ${maxParameters} at the most. Give many values as one array, as in = any($1) or from unnest($1::int[]), and store many rows by insertMany(rows). Nothing was sent.`
  }
  if (most >= given) return undefined
  const takes = most === 0 ? "no parameter" : most === 1 ? "1 parameter" : `${most} parameters`
  const instead = text.includes(`$${given}`)
    ? `Its $${given} stands inside quotes or a comment, where it is text: let it stand alone, and put the rest into the value, like \${"%" + part + "%"}.`
    : "Give as many as it has placeholders: $1 is the first."
  return `The statement takes ${takes}, and ${given} ${given === 1 ? "was" : "were"} given. ${instead} Nothing was sent.`
}
