/**
 * How links are encrypted: libpq's modes, and what `tls.connect` is given for them.
 *
 * Certificates and keys are read for each connection, so that new files count from the next connection on. As in libpq, a
 * root certificate that is there is checked against in every mode, and a Unix socket is never encrypted.
 */
import type { Stats } from "node:fs"
import { readdir, readFile, stat } from "node:fs/promises"
import * as Net from "node:net"
import { homedir } from "node:os"
import { join } from "node:path"
import type * as Tls from "node:tls"
import * as Effect from "effect/Effect"
import type { Address } from "./Link.ts"
import { LinkProblem } from "./LinkProblem.ts"

/** A value that nothing prints by accident: it is read by a call. */
export interface Hidden<A> {
  readonly read: () => A
}

/** libpq's `sslmode`. */
export type Mode = "disable" | "allow" | "prefer" | "require" | "verify-ca" | "verify-full"

export interface Encryption {
  readonly mode: Mode
  /** Whether the server is asked for TLS first, or it begins at once. */
  readonly negotiation: "postgres" | "direct"
  /** libpq's files; `undefined` where Node's options say it all. */
  readonly files: Files | undefined
  /** Node's options, as the user gave them. */
  readonly options: Hidden<Tls.ConnectionOptions>
  /** Whether the host's name is sent to the server (SNI). */
  readonly sendsName: boolean
  readonly minVersion: Tls.SecureVersion | undefined
  readonly maxVersion: Tls.SecureVersion | undefined
}

/** Files by libpq's words; what is `undefined` is looked for in `~/.postgresql`. */
export interface Files {
  readonly sslrootcert: string | undefined
  readonly sslcrl: string | undefined
  readonly sslcrldir: string | undefined
  readonly sslcert: string | undefined
  readonly sslkey: string | undefined
  readonly sslpassword: Hidden<string> | undefined
  readonly sendsCertificate: boolean
}

/** One way to try: without TLS, with it where the server offers it, or with it. */
export type Attempt = "plain" | "offered" | "encrypted"

/** The ways to try, one after the other, until the server takes the client. */
export const attemptsOf = (
  { mode }: Encryption,
  { path }: Address
): readonly [Attempt, ...Array<Attempt>] => {
  if (path !== undefined || mode === "disable") return ["plain"]
  if (mode === "allow") return ["plain", "encrypted"]
  return mode === "prefer" ? ["offered", "plain"] : ["encrypted"]
}

/** How a link was encrypted in the end: one more to the same server is encrypted alike. */
export const settled = (encryption: Encryption, isEncrypted: boolean): Encryption => {
  if (!isEncrypted) return { ...encryption, mode: "disable" }
  return encryption.mode.startsWith("verify") ? encryption : { ...encryption, mode: "require" }
}

export type NodeTls = typeof Tls

/** Node's `tls`, which is worth milliseconds of a script's start, is loaded for the first link that is encrypted. */
export const nodeTls: Effect.Effect<NodeTls> = Effect.promise(() => import("node:tls"))

/** The name of Postgres's protocol in TLS (ALPN). */
export const protocol = "postgresql"

/** A problem of TLS: trying again cannot help, the settings or the server have to change. */
export const wrong = (message: string, advice: string, cause?: unknown) =>
  new LinkProblem(message, { isPermanent: true, isOfTls: true, advice, cause })

const isMissing = (cause: unknown): boolean =>
  cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ENOTDIR")

/** What a promise about a file gives; `undefined` where there is no such file. */
const ofFile = <A>(what: string, ask: () => Promise<A>): Effect.Effect<A | undefined, LinkProblem> =>
  Effect.catch(Effect.tryPromise({ try: ask, catch: (cause) => cause }), (cause) =>
    isMissing(cause)
      ? Effect.succeed(undefined)
      : Effect.fail(wrong(`The file of ${what} cannot be read`, "Check its rights.", cause))
  )

const own = (name: string): string => join(homedir(), ".postgresql", name)

const given = (text: string | undefined): string | undefined => (text === "" ? undefined : text)

/**
 * The authorities of the system, where Node can tell them; else those that Node brings along. Looked up by name, since a
 * bundler would make an import of it, which fails on a Node that does not have it.
 */
const systemAuthorities = (tls: NodeTls): Tls.ConnectionOptions => {
  const list: typeof Tls.getCACertificates | undefined = Reflect.get(tls, "getCACertificates")
  return typeof list === "function" ? { ca: [...list("default"), ...list("system")] } : {}
}

/** As Node checks it; an address may stand in place of a name where a certificate has no list of names, as in libpq. */
const checkIdentity =
  (tls: NodeTls): NonNullable<Tls.ConnectionOptions["checkServerIdentity"]> =>
  (name, certificate) => {
    const error = tls.checkServerIdentity(name, certificate)
    const isNamed = certificate.subjectaltname === undefined && certificate.subject.CN === name
    return Net.isIP(name) > 0 && isNamed ? undefined : error
  }

const authorities = (
  tls: NodeTls,
  mode: Mode,
  files: Files
): Effect.Effect<Tls.ConnectionOptions, LinkProblem> =>
  Effect.gen(function* () {
    const named = given(files.sslrootcert)
    if (named === "system") return { ...systemAuthorities(tls), checkServerIdentity: checkIdentity(tls) }
    const file = named ?? own("root.crt")
    const ca = yield* ofFile(`the root certificate, ${file},`, () => readFile(file))
    if (ca === undefined) {
      if (!mode.startsWith("verify")) return { rejectUnauthorized: false }
      return yield* Effect.fail(
        wrong(
          `The root certificate ${file} does not exist, and sslmode is ${mode}`,
          "Give the file as sslrootcert, or sslrootcert=system for the authorities of the system."
        )
      )
    }
    const folder = given(files.sslcrldir)
    const list = given(files.sslcrl) ?? (folder === undefined ? own("root.crl") : undefined)
    const one =
      list === undefined ? undefined : yield* ofFile(`revoked certificates, ${list},`, () => readFile(list))
    const names =
      folder === undefined ? [] : ((yield* ofFile(`the folder ${folder}`, () => readdir(folder))) ?? [])
    const more = yield* Effect.forEach(names, (name) =>
      ofFile(`revoked certificates, ${name},`, () => readFile(join(folder ?? "", name)))
    )
    const crl = [one, ...more].filter((list) => list !== undefined)
    return {
      ca,
      ...(crl.length === 0 ? {} : { crl }),
      checkServerIdentity: mode === "verify-full" ? checkIdentity(tls) : () => undefined
    }
  })

/** Whether others than its owner may use a key; the group may read one of root's. */
const isOpen = ({ mode, uid }: Stats): boolean =>
  process.platform !== "win32" && (mode & (uid === 0 ? 0o037 : 0o077)) !== 0

const identity = (files: Files): Effect.Effect<Tls.ConnectionOptions, LinkProblem> =>
  Effect.gen(function* () {
    if (!files.sendsCertificate) return {}
    const file = given(files.sslcert) ?? own("postgresql.crt")
    const cert = yield* ofFile(`the client's certificate, ${file},`, () => readFile(file))
    if (cert === undefined) return {}
    const keyFile = given(files.sslkey) ?? own("postgresql.key")
    const about = yield* ofFile(`the private key, ${keyFile},`, () => stat(keyFile))
    if (about === undefined) {
      return yield* Effect.fail(
        wrong(`There is a certificate, ${file}, and no private key, ${keyFile}`, "Give its file as sslkey.")
      )
    }
    if (!about.isFile() || isOpen(about)) {
      return yield* Effect.fail(
        wrong(
          `The private key ${keyFile} is not used, since others may read it`,
          "Make it readable by its owner alone: chmod 600."
        )
      )
    }
    const key = yield* ofFile(`the private key, ${keyFile},`, () => readFile(keyFile))
    const { sslpassword } = files
    return { cert, ...(key === undefined ? {} : { key }), passphrase: sslpassword?.read() ?? "" }
  })

/** What `tls.connect` is given for a server. */
export const optionsOf = (
  tls: NodeTls,
  { files, maxVersion, minVersion, mode, options, sendsName }: Encryption,
  { host, path }: Address
): Effect.Effect<Tls.ConnectionOptions, LinkProblem> =>
  Effect.gen(function* () {
    const named = path === undefined ? host : undefined
    const isName = named !== undefined && Net.isIP(named) === 0
    const all: Tls.ConnectionOptions = {
      ...(named === undefined ? {} : { host: named }),
      ...(isName ? { servername: sendsName ? named : "" } : {}),
      ALPNProtocols: [protocol],
      // Whatever the environment says to Node.
      rejectUnauthorized: true,
      ...(minVersion === undefined ? {} : { minVersion }),
      ...(maxVersion === undefined ? {} : { maxVersion }),
      ...(files === undefined ? {} : yield* authorities(tls, mode, files)),
      ...(files === undefined ? {} : yield* identity(files)),
      ...options.read()
    }
    // Made here, since `tls.connect` would throw.
    return yield* Effect.try({
      try: () => ({ ...all, secureContext: all.secureContext ?? tls.createSecureContext(all) }),
      catch: (cause) =>
        wrong(
          "A certificate or a key cannot be used",
          "Check the files, and sslpassword for an encrypted key.",
          cause
        )
    })
  })
