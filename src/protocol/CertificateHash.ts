/**
 * The hash of a server's certificate that SCRAM binds to: `tls-server-end-point` of RFC 5929, section 4.1.
 *
 * The hash is that of the certificate's own signature, SHA-256 in place of MD5 and SHA-1. Node does not tell that
 * algorithm, so it is read out of the certificate (RFC 5280, section 4.1).
 */
import { createHash } from "node:crypto"

/** Signature algorithms by the hexadecimal digits of their object identifiers. */
const hashes: ReadonlyArray<readonly [identifier: RegExp, hash: string]> = [
  [/^2a864886f70d01010[45b]$/, "sha256"],
  [/^2a864886f70d01010c$/, "sha384"],
  [/^2a864886f70d01010d$/, "sha512"],
  [/^2a864886f70d01010e$/, "sha224"],
  [/^2a8648ce3d04(01|0302)$/, "sha256"],
  [/^2a8648ce3d040301$/, "sha224"],
  [/^2a8648ce3d040303$/, "sha384"],
  [/^2a8648ce3d040304$/, "sha512"],
  // RSASSA-PSS names its hash among its parameters, by these.
  [/^608648016503040201$/, "sha256"],
  [/^608648016503040202$/, "sha384"],
  [/^608648016503040203$/, "sha512"],
  [/^608648016503040204$/, "sha224"]
]

const pss = "2a864886f70d01010a"

/** A DER element: where its content begins and ends. */
const elementAt = (bytes: Buffer, at: number): { readonly start: number; readonly end: number } => {
  const first = bytes[at + 1] ?? 0
  if (first < 128) return { start: at + 2, end: at + 2 + first }
  const size = first & 127
  const start = at + 2 + size
  return { start, end: start + bytes.readUIntBE(at + 2, size) }
}

const textOf = (bytes: Buffer, { end, start }: { readonly start: number; readonly end: number }): string =>
  bytes.toString("hex", start, end)

/** The identifier of the hash in the parameters of RSASSA-PSS, RFC 4055 section 3.1; SHA-1 where they leave it out. */
const pssHash = (bytes: Buffer, at: number): string => {
  const { start } = elementAt(bytes, at)
  if (bytes[start] !== 0xa0) return "sha1"
  const algorithm = elementAt(bytes, elementAt(bytes, start).start)
  return textOf(bytes, elementAt(bytes, algorithm.start))
}

const nameOf = (certificate: Buffer): string => {
  const signed = elementAt(certificate, elementAt(certificate, 0).start)
  const algorithm = elementAt(certificate, signed.end)
  const identifier = elementAt(certificate, algorithm.start)
  const name = textOf(certificate, identifier)
  return name === pss ? pssHash(certificate, identifier.end) : name
}

/** The certificate's hash, or `undefined` where its signature has none that the RFC names. */
export const certificateHash = (certificate: Buffer): Buffer | undefined => {
  try {
    const name = nameOf(certificate)
    const hash = name === "sha1" ? "sha256" : hashes.find(([pattern]) => pattern.test(name))?.[1]
    return hash === undefined ? undefined : createHash(hash).update(certificate).digest()
  } catch {
    // The certificate is the server's, and need not be well formed where nobody checks it.
    return undefined
  }
}
