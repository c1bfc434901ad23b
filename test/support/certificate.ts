/**
 * A certificate that vouches for itself, made on the spot, so that no key lies in the repository: X.509 in DER (RFC 5280),
 * with an elliptic key.
 */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto"

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

/** A certificate for these host names and IPv4 addresses, good for a day. */
export const certificateFor = (...hosts: ReadonlyArray<string>): Certificate => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" })
  const name = sequence(node(0x31, sequence(commonName, node(0x0c, Buffer.from("test")))))
  const names = hosts.map((host) =>
    /^[\d.]+$/.test(host)
      ? node(0x87, Buffer.from(host.split(".").map(Number)))
      : node(0x82, Buffer.from(host))
  )
  const day = 86_400_000
  const body = sequence(
    node(0xa0, hex(0x02, "02")),
    node(0x02, Buffer.from([1]), randomBytes(8)),
    ecdsaWithSha256,
    name,
    sequence(time(new Date(Date.now() - day)), time(new Date(Date.now() + day))),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    node(
      0xa3,
      sequence(
        sequence(subjectAltName, node(0x04, sequence(...names))),
        sequence(basicConstraints, yes, node(0x04, sequence(yes)))
      )
    )
  )
  const signature = node(0x03, Buffer.from([0]), sign("sha256", body, privateKey))
  const der = sequence(body, ecdsaWithSha256, signature)
  const lines = der.toString("base64").match(/.{1,64}/g) ?? []
  return {
    certificate: ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n"),
    key: String(privateKey.export({ type: "pkcs8", format: "pem" }))
  }
}
