/**
 * The part of a statement that an error is about, with a caret under the place.
 */
import type { Marked } from "./BlankLiterals.ts"

/** Characters of a statement that are shown at most. */
const longestText = 2000
/** Characters of the line with the caret that are shown at most, so that a terminal does not wrap it. */
const longestLine = 140

const narrow = /^[\p{Mn}\p{Me}\p{Cf}]$/u
const wide =
  /^(?:\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}])$/u

/** White space as wide as a character is in a terminal; a tab stays a tab. */
const gapOf = (character: string): string =>
  character === "\t" ? "\t" : narrow.test(character) ? "" : wide.test(character) ? "  " : " "

const isLowSurrogate = (code: number): boolean => code >= 0xdc00 && code <= 0xdfff

/** The nearest place at or before `index` that splits no character. */
const boundary = (text: string, index: number): number => {
  const at = Math.max(0, Math.min(index, text.length))
  return at > 0 && isLowSurrogate(text.charCodeAt(at)) ? at - 1 : at
}

/** The part of `text` around `index` of at most `longest` units, an ellipsis where something is left out. */
const around = ({ text, index }: Marked, longest: number): Marked => {
  if (text.length <= longest) return { text, index }
  const middle = index ?? 0
  const start = boundary(text, Math.min(middle - longest / 2, text.length - longest + 1))
  const end = boundary(text, start + longest - 2)
  const before = start === 0 ? "" : "…"
  return {
    text: before + text.slice(start, end) + (end === text.length ? "" : "…"),
    index: index === undefined ? undefined : index - start + before.length
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they would move the caret, or the terminal
const control = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029]/g

const indentOf = (line: string): number => line.length - line.trimStart().length

/** A caret as far to the right as the first `units` of the line reach. */
const caretUnder = (line: string, units: number): string =>
  `${Array.from(line.slice(0, units), gapOf).join("")}^`

/** The index of the 1-based character `position` (a code point, as the server counts) in `text`. */
export const indexOf = (text: string, position: number): number | undefined => {
  if (position < 1) return undefined
  let index = 0
  for (let left = position - 1; left > 0; left--) {
    if (index >= text.length) return undefined
    index += (text.codePointAt(index) ?? 0) > 0xffff ? 2 : 1
  }
  return index
}

/**
 * Lines of a statement, indented by two spaces and without the indentation that they share, at most 2 000 characters around
 * the marked place, and a caret under that place.
 */
export const excerpt = (marked: Marked): string => {
  const window = around(marked, longestText)
  const lines = window.text.replace(/\r\n?/g, (end) => (end.length === 2 ? " \n" : "\n")).split("\n")
  const indent = Math.min(...lines.filter((line) => line.trim() !== "").map(indentOf))
  const lastFilled = lines.findLastIndex((line) => line.trim() !== "")
  const shown: Array<string> = []
  let start = 0
  let pending = window.index
  lines.forEach((line, number) => {
    const end = start + line.length
    const here = pending !== undefined && (pending <= end || number >= lastFilled)
    if (number <= lastFilled && (line.trim() !== "" || shown.length > 0)) {
      const clean = line.replace(control, "\ufffd")
      const column = here ? Math.min(pending! - start, clean.trimEnd().length) : undefined
      const cut = Math.min(indent, indentOf(clean))
      const index = column === undefined ? undefined : Math.max(0, column - cut)
      const longest = column === undefined ? longestText : longestLine
      const part = around({ text: clean.slice(cut).trimEnd(), index }, longest)
      shown.push(`  ${part.text}`)
      if (part.index !== undefined) {
        shown.push(`  ${caretUnder(part.text, part.index)}`)
        pending = undefined
      }
    }
    start = end + 1
  })
  return shown.join("\n")
}
