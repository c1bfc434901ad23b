/**
 * libpq's words, as connection strings, environment variables and service files have them. Each is declared once: the texts
 * that it takes, its variable, and the reason where it is refused. See the PostgreSQL manual, "Parameter Key Words"
 * (libpq-connect) and "Environment Variables" (libpq-envars).
 *
 * The docstrings are what `docs/connecting.md` says of each word.
 */
import * as Net from "node:net"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import type { Allowed, Method } from "../protocol/Authentication.ts"
import { targets } from "./Settings.ts"

const word = <S extends Schema.Codec<unknown, string>>(schema: S, variable?: `PG${string}`) =>
  Schema.optionalKey(schema).annotateKey({ variable })

/** A text; an empty one counts as none. */
const text = Schema.String

const oneOf = <const Texts extends ReadonlyArray<string>>(texts: Texts) =>
  Schema.Literals(texts).annotate({ message: `must be one of ${texts.join(", ")}` })

const bit = oneOf(["0", "1"])

const checked = (isRight: (given: string) => boolean, message: string) =>
  Schema.String.check(Schema.makeFilter(isRight, { message }))

const digits = (what: string) =>
  checked((given) => /^\s*[+-]?\d{1,9}\s*$/.test(given), `must be a whole number${what}`).pipe(
    Schema.decodeTo(Schema.Number, SchemaTransformation.transform({ decode: Number, encode: String }))
  )

/** Texts that mean what is done anyway are taken, others refused. */
const onlyOf = (texts: ReadonlyArray<string>, reason: string) =>
  checked((given) => texts.includes(given.toLowerCase()), `is not supported: ${reason}`)

const refused = (reason: string) => onlyOf([], reason)

const tlsVersions = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"] as const

/** A version of TLS as Node calls it. */
export const tlsVersionOf = (given: string | undefined) =>
  tlsVersions.find((version) => version.toLowerCase() === given?.toLowerCase())

const tlsVersion = checked(
  (given) => tlsVersionOf(given) !== undefined,
  `must be one of ${tlsVersions.join(", ")}`
)

/** Several, of which an empty one is the default. */
const listOf = (isRight: (one: string) => boolean, message: string) =>
  checked((given) => given.split(",").every((one) => one === "" || isRight(one)), message)

const addresses = listOf((one) => Net.isIP(one) > 0, "must be an IP address")

const isPort = (given: string) =>
  /^\s*\+?\d{1,9}\s*$/.test(given) && Number(given) >= 1 && Number(given) <= 65535

const ports = listOf(isPort, "must be a whole number from 1 to 65535")

const methods: ReadonlyArray<Method> = ["password", "md5", "gss", "sspi", "scram-sha-256", "oauth", "none"]

/** What `require_auth` says, or the rule that it breaks. */
const allowedBy = (given: string): Allowed | string => {
  const names = given.split(",").map((name) => name.trim())
  const isNegative = names.some((name) => name.startsWith("!"))
  if (isNegative && !names.every((name) => name.startsWith("!")))
    return "must have a ! before all methods or none"
  const bare = names.map((name) => name.replace("!", ""))
  if (new Set(bare).size < bare.length) return "names a method twice"
  const listed = methods.filter((method) => bare.includes(method))
  if (listed.length < bare.length)
    return `must be a list of ${methods.join(", ")}, or of these with a ! before each`
  return {
    methods: isNegative ? methods.filter((method) => !listed.includes(method)) : listed,
    isClearAllowed: !isNegative && listed.includes("password")
  }
}

const requireAuth = Schema.String.check(
  Schema.makeFilter((given) => {
    const allowed = given === "" ? undefined : allowedBy(given)
    return typeof allowed === "string" ? allowed : undefined
  })
)

/** Which ways of authentication are answered; `undefined` for all that are safe on the link. */
export const allowedOf = (given: string | undefined): Allowed | undefined => {
  const allowed = given === undefined || given === "" ? undefined : allowedBy(given)
  return typeof allowed === "string" ? undefined : allowed
}

const noGss = "this client has no GSSAPI"
const noOauth = "this client has no OAuth"

/** The words of libpq 18, in the order of its manual. */
export const keywords = Schema.Struct({
  /** Hosts, tried in their order; `host:port` is taken too. An empty one is `localhost`, where libpq takes a Unix socket. */
  host: word(text, "PGHOST"),
  /** Addresses to connect to; the certificate and the password file go by `host`. */
  hostaddr: word(addresses, "PGHOSTADDR"),
  /** One for all hosts, or one for each. */
  port: word(ports, "PGPORT"),
  /** The setting `database`. */
  dbname: word(text, "PGDATABASE"),
  /** The setting `username`. */
  user: word(text, "PGUSER"),
  /** The setting `password`. */
  password: word(text, "PGPASSWORD"),
  /** Where a password is looked up when none is given: `~/.pgpass`. A file that others may read is passed over, and the error says so. */
  passfile: word(text, "PGPASSFILE"),
  /** Methods that the server may ask for. `password` alone allows one in the clear over a link to another machine that is not encrypted. */
  require_auth: word(requireAuth, "PGREQUIREAUTH"),
  /** `require` takes nothing but SCRAM that is bound to the TLS link. */
  channel_binding: word(oneOf(["disable", "prefer", "require"]), "PGCHANNELBINDING"),
  /** The setting `connectTimeout`, in seconds; 0 is no limit. */
  connect_timeout: word(digits(" of seconds"), "PGCONNECT_TIMEOUT"),
  /** `UTF8` or `auto`: texts in JavaScript are Unicode. */
  client_encoding: word(
    onlyOf(["auto", "utf8", "utf-8", "unicode"], "texts are UTF8 here"),
    "PGCLIENTENCODING"
  ),
  /** Command-line options of the session: `-c work_mem=64MB`. */
  options: word(text, "PGOPTIONS"),
  /** The setting `applicationName`. */
  application_name: word(text, "PGAPPNAME"),
  /** Taken where there is no `application_name`. */
  fallback_application_name: word(text),
  /** 0 sends no keep-alive probes. */
  keepalives: word(digits("")),
  /** The setting `keepAlive`, in seconds. */
  keepalives_idle: word(digits(" of seconds")),
  /** Taken, and without effect: Node has no way to set it and probes each second. */
  keepalives_interval: word(digits(" of seconds")),
  /** Taken, and without effect: Node has no way to set it and gives up after ten probes. */
  keepalives_count: word(digits("")),
  /** Refused, save 0: Node cannot set it. The setting `answerTimeout` is for that. */
  tcp_user_timeout: word(onlyOf(["0"], "Node cannot set it; the setting answerTimeout is for that")),
  /** Refused, save what means no. */
  replication: word(
    onlyOf(["false", "off", "no", "0", ""], "this client does not speak the protocol of replication")
  ),
  /** Refused, save `disable` and `prefer`. */
  gssencmode: word(onlyOf(["disable", "prefer"], noGss), "PGGSSENCMODE"),
  /** As in libpq. Where it is not given, TLS is used where the server insists on it, as by `allow`; libpq's default is `prefer`. */
  sslmode: word(oneOf(["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]), "PGSSLMODE"),
  /** `direct` begins with TLS at once (Postgres 17), with `sslmode` `require` or stronger. */
  sslnegotiation: word(oneOf(["postgres", "direct"]), "PGSSLNEGOTIATION"),
  /** Taken, and without effect: no server compresses any more. */
  sslcompression: word(bit, "PGSSLCOMPRESSION"),
  /** The client's certificate: `~/.postgresql/postgresql.crt`, if it is there. */
  sslcert: word(text, "PGSSLCERT"),
  /** Its key: `~/.postgresql/postgresql.key`. */
  sslkey: word(text, "PGSSLKEY"),
  /** The password of an encrypted key. */
  sslpassword: word(text),
  /** `disable` sends no certificate; `require` is refused, since Node does not tell whether the server asked for one. */
  sslcertmode: word(
    onlyOf(["disable", "allow"], "Node does not tell whether the server asked for one"),
    "PGSSLCERTMODE"
  ),
  /** Authorities that are trusted: `~/.postgresql/root.crt`, if it is there; `system` are those of the system. */
  sslrootcert: word(text, "PGSSLROOTCERT"),
  /** Certificates that were revoked: `~/.postgresql/root.crl`, if it is there. */
  sslcrl: word(text, "PGSSLCRL"),
  /** A folder of such files. */
  sslcrldir: word(text, "PGSSLCRLDIR"),
  /** 0 does not tell the server the host's name. */
  sslsni: word(bit, "PGSSLSNI"),
  /** Refused: Node cannot ask who is at the other end of a Unix socket. */
  requirepeer: word(onlyOf([""], "Node cannot ask who is at the other end of a socket"), "PGREQUIREPEER"),
  /** The oldest version of TLS: `TLSv1.2`. */
  ssl_min_protocol_version: word(tlsVersion, "PGSSLMINPROTOCOLVERSION"),
  /** The newest version of TLS. */
  ssl_max_protocol_version: word(tlsVersion, "PGSSLMAXPROTOCOLVERSION"),
  /** Refused, save 3.0: this client speaks version 3.0 of the protocol. */
  min_protocol_version: word(
    onlyOf(["3.0"], "this client speaks version 3.0 of the protocol"),
    "PGMINPROTOCOLVERSION"
  ),
  /** Taken; 3.0 is spoken, which every server understands. */
  max_protocol_version: word(oneOf(["3.0", "3.2", "latest"]), "PGMAXPROTOCOLVERSION"),
  /** Taken, and without effect: a server that asks for GSSAPI is refused. */
  krbsrvname: word(text, "PGKRBSRVNAME"),
  /** Taken, and without effect: a server that asks for GSSAPI is refused. */
  gsslib: word(text, "PGGSSLIB"),
  /** Taken, and without effect: a server that asks for GSSAPI is refused. */
  gssdelegation: word(bit, "PGGSSDELEGATION"),
  /** Refused: give the password. */
  scram_client_key: word(refused("give the password")),
  /** Refused: give the password. */
  scram_server_key: word(refused("give the password")),
  /** A section of the service file. */
  service: word(text, "PGSERVICE"),
  /** The service file: `~/.pg_service.conf`, and then `pg_service.conf` in `PGSYSCONFDIR`. */
  servicefile: word(text, "PGSERVICEFILE"),
  /** The setting `targetSessionAttributes`. */
  target_session_attrs: word(oneOf(targets), "PGTARGETSESSIONATTRS"),
  /** The setting `loadBalanceHosts`. */
  load_balance_hosts: word(oneOf(["disable", "random"]), "PGLOADBALANCEHOSTS"),
  /** Refused. */
  oauth_issuer: word(refused(noOauth)),
  /** Refused. */
  oauth_client_id: word(refused(noOauth)),
  /** Refused. */
  oauth_client_secret: word(refused(noOauth)),
  /** Refused. */
  oauth_scope: word(refused(noOauth)),
  /** Refused: nothing here writes secrets into files. */
  sslkeylogfile: word(refused("nothing here writes secrets into files"))
})

/** What the words of one connection say. */
export type Keywords = typeof keywords.Type

export const variables: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(keywords.fields).flatMap(([name, field]) => {
    const variable = Schema.resolveAnnotationsKey(field)?.variable
    return typeof variable === "string" ? [[variable, name]] : []
  })
)
