/**
 * SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the client's side, as RFC 5802, RFC 7677 and RFC 5929 (`tls-server-end-point`) have it.
 *
 * `PgAuth` has the same without channel binding, without SASLprep, and derives the salted password anew for each
 * connection, which takes most of the time of an opening. RFC 5802 section 5.1 allows a client to keep what it derived:
 * `Keys` does, for all pools of a registry.
 */
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from "node:crypto"

/** What a password was derived into for one salt. */
interface Key {
  readonly clientKey: Buffer
  readonly serverKey: Buffer
}

/** Derived keys by password, salt and iterations; the passwords themselves are hashed. */
export type Keys = Map<string, Key>

const mostKeys = 1_000

export const makeKeys = (): Keys => new Map()

export const plain = "SCRAM-SHA-256"
export const plus = "SCRAM-SHA-256-PLUS"

/** An exchange under way. */
export interface Scram {
  readonly mechanism: string
  /** The client's first message. */
  readonly first: Buffer
  /** Answers the server's challenge, or says why not. What it says holds neither the password nor anything derived from it. */
  readonly answer: (challenge: string, done: (result: Buffer | string) => void) => void
  /** Checks that the server knows the password too; says so if it does not. */
  readonly verify: (final: string) => string | undefined
}

/** More rounds would keep this process busy for a server that proved nothing. */
const mostIterations = 1_000_000

const hmac = (key: Buffer, data: string): Buffer => createHmac("sha256", key).update(data).digest()

const xor = (left: Buffer, right: Buffer): Buffer =>
  Buffer.from(left.map((byte, index) => byte ^ right[index]!))

/** The server's messages as RFC 5802 section 7 has them, without extensions: Postgres has none. */
const challenges =
  /^r=(?<nonce>[!-+\--~]+),s=(?<salt>(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?),i=(?<rounds>[1-9]\d*)$/
const proofs = /^v=(?<signature>[A-Za-z0-9+/]{43}=)$/

/** The password as SASLprep (RFC 4013) has it; one that it does not allow is used as it is, as the server and libpq do. */
const prepared = async (password: string): Promise<string> => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII needs no preparation
  if (/^[\x00-\x7f]*$/.test(password)) return password
  const { saslprep } = await import("@mongodb-js/saslprep")
  try {
    return saslprep(password) || password
  } catch {
    return password
  }
}

const derive = (
  derived: Keys,
  password: string,
  salt: string,
  iterations: number,
  done: (key: Key | undefined) => void
) => {
  const id = createHash("sha256").update(`${salt},${iterations},${password}`).digest("base64")
  const known = derived.get(id)
  if (known !== undefined) return done(known)
  const onSalted = (error: Error | null, salted: Buffer) => {
    if (error !== null) return done(undefined)
    const key = { clientKey: hmac(salted, "Client Key"), serverKey: hmac(salted, "Server Key") }
    if (derived.size >= mostKeys) derived.clear()
    derived.set(id, key)
    done(key)
  }
  prepared(password).then(
    (text) => pbkdf2(text, Buffer.from(salt, "base64"), iterations, 32, "sha256", onSalted),
    () => done(undefined)
  )
}

/**
 * Begins an exchange. With a binding, the hash of the server's certificate, the exchange is bound to this link; `supports` says that this client could bind, so that a man in the middle who hides the mechanism is found out.
 */
export const make = (
  password: string,
  keys: Keys,
  { binding, supports }: { readonly binding: Buffer | undefined; readonly supports: boolean }
): Scram => {
  const nonce = randomBytes(18).toString("base64")
  const header = binding !== undefined ? "p=tls-server-end-point,," : supports ? "y,," : "n,,"
  const bare = `n=,r=${nonce}`
  const bound = Buffer.concat([Buffer.from(header), binding ?? Buffer.alloc(0)])
  let signature: Buffer | undefined

  const answer: Scram["answer"] = (challenge, done) => {
    const { nonce: server = "", rounds, salt = "" } = challenges.exec(challenge)?.groups ?? {}
    const iterations = Number(rounds)
    if (salt === "" || !(iterations <= mostIterations)) {
      return done("the server's challenge is malformed, or asks for an insane number of iterations")
    }
    if (!server.startsWith(nonce) || server.length === nonce.length) {
      return done("the server did not extend this client's nonce")
    }
    derive(keys, password, salt, iterations, (key) => {
      if (key === undefined) return done("the key could not be derived")
      const withoutProof = `c=${bound.toString("base64")},r=${server}`
      const message = `${bare},${challenge},${withoutProof}`
      const storedKey = createHash("sha256").update(key.clientKey).digest()
      const proof = xor(key.clientKey, hmac(storedKey, message))
      signature = hmac(key.serverKey, message)
      done(Buffer.from(`${withoutProof},p=${proof.toString("base64")}`))
    })
  }

  return {
    mechanism: binding === undefined ? plain : plus,
    first: Buffer.from(header + bare),
    answer,
    verify: (final) => {
      const given = Buffer.from(proofs.exec(final)?.groups?.signature ?? "", "base64")
      if (signature !== undefined && given.length === signature.length && timingSafeEqual(given, signature)) {
        return undefined
      }
      return "the server did not prove that it knows the password"
    }
  }
}
