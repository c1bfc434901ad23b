/** The messages of the extended protocol that a client sends, by their letters: Parse, Bind, Describe, Execute, Sync, Close, and CopyData, CopyDone and CopyFail. */
export const lettersOf = (sent: string): string => {
  let letters = ""
  for (let at = 0; at < sent.length; ) {
    letters += sent[at]
    at += 1 + Buffer.from(sent.slice(at + 1, at + 5), "latin1").readUInt32BE()
  }
  return letters
}

/** How often each letter comes, as `P1 B4 …`. */
export const tally = (letters: string): string =>
  [..."PDBECSQdcf"]
    .flatMap((letter) => {
      const count = letters.split(letter).length - 1
      return count === 0 ? [] : [`${letter}${count}`]
    })
    .join(" ")
