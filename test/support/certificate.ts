/**
 * Certificates made on the spot, so that no key lies in the repository: X.509 in DER (RFC 5280), with an elliptic key.
 */
import {
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate
} from "node:crypto"

export interface Certificate {
  /** PEM. */
  readonly certificate: string
  readonly key: string
}

const node = (tag: number, ...parts: ReadonlyArray<Uint8Array>): Buffer => {
  const body = Buffer.concat(parts)
  const { length } = body
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), body])
}

const sequence = (...parts: ReadonlyArray<Uint8Array>) => node(0x30, ...parts)
const hex = (tag: number, bytes: string) => node(tag, Buffer.from(bytes, "hex"))

const ecdsaWithSha256 = sequence(hex(0x06, "2a8648ce3d040302"))
const subjectAltName = hex(0x06, "551d11")
const basicConstraints = hex(0x06, "551d13")
const commonName = hex(0x06, "550403")
const yes = hex(0x01, "ff")

const time = (date: Date) => node(0x18, Buffer.from(`${date.toISOString().replace(/[-:T]|\..*/g, "")}Z`))

const nameOf = (text: string) => sequence(node(0x31, sequence(commonName, node(0x0c, Buffer.from(text)))))

const day = 86_400_000

/** Signed by an authority, in PEM. */
const signed = (kind: string, body: Buffer, key: string | KeyObject): string => {
  const signature = node(0x03, Buffer.from([0]), sign("sha256", body, key))
  const der = sequence(body, ecdsaWithSha256, signature)
  const lines = der.toString("base64").match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${kind}-----`, ...lines, `-----END ${kind}-----`, ""].join("\n")
}

export interface Wanted {
  /** Host names and IPv4 addresses. */
  readonly hosts: ReadonlyArray<string>
  /** Who signs it: itself, unless given. */
  readonly signer?: Certificate | undefined
  /** Its subject's name. */
  readonly name?: string
  /** How many days it is still good; ended, if negative. */
  readonly days?: number
}

/** A certificate in PEM, and its key. Authorities are all named `authority`. */
export const certificateOf = ({ days = 1, hosts, name = "test", signer }: Wanted): Certificate => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" })
  const names = hosts.map((host) =>
    /^[\d.]+$/.test(host)
      ? node(0x87, Buffer.from(host.split(".").map(Number)))
      : node(0x82, Buffer.from(host))
  )
  const body = sequence(
    node(0xa0, hex(0x02, "02")),
    node(0x02, Buffer.from([1]), randomBytes(8)),
    ecdsaWithSha256,
    nameOf(signer === undefined ? name : "authority"),
    sequence(time(new Date(Date.now() - 3 * day)), time(new Date(Date.now() + days * day))),
    nameOf(name),
    publicKey.export({ type: "spki", format: "der" }),
    node(
      0xa3,
      sequence(
        ...(names.length === 0 ? [] : [sequence(subjectAltName, node(0x04, sequence(...names)))]),
        ...(signer === undefined ? [sequence(basicConstraints, yes, node(0x04, sequence(yes)))] : [])
      )
    )
  )
  const signingKey = signer === undefined ? privateKey : createPrivateKey(signer.key)
  return {
    certificate: signed("CERTIFICATE", body, signingKey),
    key: String(privateKey.export({ type: "pkcs8", format: "pem" }))
  }
}

/** The list in which an authority revokes certificates, in PEM. */
export const revocations = (signer: Certificate, revoked: ReadonlyArray<Certificate>): string => {
  const since = time(new Date(Date.now() - day))
  const entries = revoked.map(({ certificate }) => {
    const { serialNumber } = new X509Certificate(certificate)
    return sequence(hex(0x02, serialNumber.padStart(2 * Math.ceil(serialNumber.length / 2), "0")), since)
  })
  const body = sequence(
    hex(0x02, "01"),
    ecdsaWithSha256,
    nameOf("authority"),
    since,
    time(new Date(Date.now() + day)),
    ...(entries.length === 0 ? [] : [sequence(...entries)])
  )
  return signed("X509 CRL", body, signer.key)
}

/** An authority that signs certificates. */
export const authority = (): Certificate => certificateOf({ hosts: [], name: "authority" })

/** A certificate that vouches for itself, for these host names and IPv4 addresses, good for a day. */
export const certificateFor = (...hosts: ReadonlyArray<string>): Certificate => certificateOf({ hosts })

/** The key, encrypted with a password. */
export const encryptedKey = ({ key }: Certificate, passphrase: string): string =>
  String(createPrivateKey(key).export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase }))
