/**
 * More parameters than a statement has placeholders. The server takes them without a word when their types are known, so it
 * is said here.
 */
import { tokenAt } from "./Scanner.ts"

/** The highest number of a placeholder: how many parameters the statement takes. */
const highest = (text: string): number => {
  let most = 0
  for (let token = tokenAt(text, 0); token.kind !== "end"; token = tokenAt(text, token.end)) {
    if (token.kind === "parameter") most = Math.max(most, Number(text.slice(token.start + 1, token.end)))
  }
  return most
}

/** Why a statement with so many parameters is not sent, if it is not. */
export const surplus = (text: string, given: number): string | undefined => {
  // A look is enough for every statement that has its last placeholder.
  if (given === 0 || text.includes(`$${given}`)) return undefined
  const most = highest(text)
  if (most >= given) return undefined
  const takes = most === 0 ? "no parameter" : most === 1 ? "1 parameter" : `${most} parameters`
  return `The statement takes ${takes}, and ${given} ${given === 1 ? "was" : "were"} given. Give as many as it has placeholders: $1 is the first. Nothing was sent.`
}
