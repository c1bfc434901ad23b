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
  [/^2a8648ce3d040304$/, "sha512"]
]

/** RSASSA-PSS, whose hash stands in its parameters, as one of the identifiers of SHA-2. */
const pss = "2a864886f70d01010a"
const pssHashes: ReadonlyArray<readonly [identifier: string, hash: string]> = [
  ["608648016503040201", "sha256"],
  ["608648016503040202", "sha384"],
  ["608648016503040203", "sha512"]
]

/** A DER element: where its content begins and ends. */
const elementAt = (bytes: Buffer, at: number): { readonly start: number; readonly end: number } => {
  const first = bytes[at + 1] ?? 0
  if (first < 128) return { start: at + 2, end: at + 2 + first }
  const size = first & 127
  const start = at + 2 + size
  return { start, end: start + bytes.readUIntBE(at + 2, size) }
}

/** The certificate's hash, or `undefined` where its signature has none that the RFC names. */
export const certificateHash = (certificate: Buffer): Buffer | undefined => {
  const signed = elementAt(certificate, elementAt(certificate, 0).start)
  const algorithm = elementAt(certificate, signed.end)
  const identifier = elementAt(certificate, algorithm.start)
  const name = certificate.toString("hex", identifier.start, identifier.end)
  const parameters = certificate.toString("hex", identifier.end, algorithm.end)
  const hash =
    name === pss
      ? (pssHashes.find(([digest]) => parameters.includes(digest))?.[1] ?? "sha256")
      : hashes.find(([pattern]) => pattern.test(name))?.[1]
  return hash === undefined ? undefined : createHash(hash).update(certificate).digest()
}
