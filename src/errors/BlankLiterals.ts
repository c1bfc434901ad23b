/**
 * A statement with some of its tokens blanked: what it looks like stays, what it says there does not.
 */
import { symbolOf, type Token, tokenAt } from "../statement/Scan.ts"

/** A text and a place in it (an index of UTF-16 units), which moves with what is blanked before it. */
export interface Marked {
  readonly text: string
  readonly index: number | undefined
}

const blankOf = (text: string, token: Token): string =>
  token.kind === "string"
    ? "'…'"
    : token.kind === "name"
      ? '"…"'
      : text.startsWith("…", token.start)
        ? ""
        : "…"

/** Blanks the tokens that `hides` says; it also gets the symbol before the token, empty where there is none. */
export const blank = (marked: Marked, hides: (token: Token, before: string) => boolean): Marked => {
  const { text, index } = marked
  let result = ""
  let kept = 0
  let shift = 0
  let before = ""
  for (let token = tokenAt(text, 0); token.kind !== "end"; token = tokenAt(text, token.end)) {
    if (hides(token, before)) {
      const replacement = blankOf(text, token)
      result += text.slice(kept, token.start) + replacement
      kept = token.end
      if (index !== undefined && index >= token.end) shift += replacement.length - (token.end - token.start)
      else if (index !== undefined && index > token.start) shift += token.start - index
    }
    before = symbolOf(text, token)
  }
  return kept === 0
    ? marked
    : { text: result + text.slice(kept), index: index === undefined ? undefined : index + shift }
}

const mayEscape = (text: string): boolean => text.includes("\\'")

/** Where a backslash may escape a quote only the session knows where a literal ends: nothing behind the first is shown. */
export const beforeLiterals = (text: string): string =>
  mayEscape(text) ? `${text.slice(0, text.indexOf("'"))}…` : text

/** A word for one, or what stands before one in a URL. */
const password = /password|:\/\/(?=[^\s/@]{0,256}:[^\s@]{1,256}@)/i
/** What may stand between the word and the string: `to '…'`, `=> '…'`, `:= '…'`. */
const assigns = /^(?:[=:>]|to)$/i

/** Whether a statement may set a password, which its text and what a server quotes of it may show. */
export const hasPassword = (text: string): boolean => password.test(text)

/**
 * A statement without the passwords it sets: strings behind a word or name with `password` in it, as in
 * `alter role … password '…'`, `options (sslpassword '…')`, `password = '…'` and `set_config('x.password', '…')`, with their
 * continuations, and connection strings and URLs that have one. Where a backslash may escape a quote only the session knows where
 * that string ends: nothing behind the word is shown.
 */
export const withoutPasswords = (marked: Marked): Marked => {
  const { index, text } = marked
  const first = password.exec(text)
  if (first === null) return marked
  if (!mayEscape(text)) {
    let isSecret = false
    let last = ""
    return blank(marked, (token) => {
      const said = text.slice(token.start, token.end)
      const hides = token.kind === "string" && (isSecret || hasPassword(said))
      // It goes on behind what assigns it, and a string goes on in the next one.
      const goesOn = assigns.test(said) || (said === "," && /password'$/i.test(last))
      isSecret = hides || hasPassword(said) || (isSecret && goesOn)
      last = said
      return hides
    })
  }
  const end = first.index + first[0].length
  return { text: `${text.slice(0, end)} …`, index: index === undefined ? undefined : Math.min(index, end) }
}
