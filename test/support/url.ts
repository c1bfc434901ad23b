/** A server and a database on it, as a libpq URL and in its parts. */
import type { TestServer } from "./server.ts"

/** The parts of a URL. */
export const fromUrl = (text: string): TestServer => {
  const url = new URL(text)
  const { hostname, port, username, password, pathname } = url
  return {
    host: hostname === "" ? "localhost" : hostname,
    port: port === "" ? 5432 : Number(port),
    username: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: decodeURIComponent(pathname.slice(1))
  }
}

/** A server and a database on it as a libpq URL. */
export const urlOf = ({ host, port, username, password, database }: TestServer): string => {
  const encode = encodeURIComponent
  return `postgres://${encode(username)}:${encode(password)}@${encode(host)}:${port}/${encode(database)}`
}
