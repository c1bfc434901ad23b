/** The libpq URL of a server's database, for other programs. */
import * as Redacted from "effect/Redacted"

export interface UrlParts {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly password?: string | undefined
  readonly database: string
  readonly sslmode?: string | undefined
}

/** Redacted, since the password is in it. */
export const urlOf = ({ database, host, password, port, sslmode, username }: UrlParts): Redacted.Redacted => {
  const encode = encodeURIComponent
  const secret = password === undefined ? "" : `:${encode(password)}`
  const query = sslmode === undefined ? "" : `?sslmode=${sslmode}`
  return Redacted.make(
    `postgres://${encode(username)}${secret}@${encode(host)}:${port}/${encode(database)}${query}`
  )
}
