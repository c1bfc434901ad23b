/** Messages of the protocol as bytes: a letter, a length that counts itself, a body. See "Message Formats" in the PostgreSQL manual. */

export const bind = 0x42
export const commandComplete = 0x43
export const dataRow = 0x44
export const error = 0x45
export const execute = 0x45
export const emptyQuery = 0x49
export const backendKey = 0x4b
export const sync = 0x53
export const rowDescription = 0x54
export const ready = 0x5a

/** What `ReadyForQuery` says: outside a transaction, in one, in one that failed. */
export const idle = 0x49
export const inTransaction = 0x54
export const inFailed = 0x45

/** A message's letter and length. */
export const headerSize = 5

export const readInt32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!

/** Where the message that begins here ends. */
export const endOf = (bytes: Uint8Array, at: number): number => at + 1 + readInt32(bytes, at + 1)
