/**
 * Where the servers of a database are: hosts, addresses and ports put together as libpq does it, in the order in which they
 * are tried.
 */
import * as Result from "effect/Result"
import { invalid, type PoolError } from "../errors/PoolError.ts"
import type { Address } from "../protocol/Link.ts"

/** What is given: texts of lists as libpq has them, or lists. */
export interface Places {
  readonly host: string | ReadonlyArray<string> | undefined
  readonly hostaddr: string | undefined
  readonly port: string | number | ReadonlyArray<number> | undefined
  readonly path: string | undefined
}

const defaultHost = "localhost"
const defaultPort = 5432

const listOf = (given: string | ReadonlyArray<string> | undefined): ReadonlyArray<string> =>
  (typeof given === "string" ? [given] : (given ?? [])).flatMap((one) => one.split(","))

const portsOf = (given: Places["port"]): ReadonlyArray<number | undefined> => {
  if (typeof given === "number") return [given]
  if (typeof given !== "string") return given ?? []
  return given.split(",").map((one) => (one.trim() === "" ? undefined : Number(one)))
}

/** A folder, or a name in Linux's abstract namespace. */
const isFolder = (host: string): boolean => /^[/@]|^[a-z]:\\/i.test(host)

const serverOf = (given: string, address: string | undefined, port: number | undefined): Address => {
  if (isFolder(given)) {
    const file = `${given}/.s.PGSQL.${port ?? defaultPort}`
    return { host: given, port: port ?? defaultPort, address: undefined, path: file.replace(/^@/, "\0") }
  }
  // `host:port` and `[address]:port`; an address of IPv6 has more colons.
  const [, bracketed, name = given, own] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(given) ?? []
  const host = bracketed ?? name
  return {
    host: host === "" ? (address ?? defaultHost) : host,
    port: own === undefined ? (port ?? defaultPort) : Number(own),
    address,
    path: undefined
  }
}

const mismatch = (setting: string, count: number, what: string, of: number): PoolError =>
  invalid(
    setting,
    `The setting ${setting} is wrong: ${count} ${what} cannot be matched to ${of} ${of === 1 ? "host" : "hosts"}. Give one for each.`
  )

export const serversOf = ({
  host,
  hostaddr,
  path,
  port
}: Places): Result.Result<readonly [Address, ...Array<Address>], PoolError> => {
  const hosts = listOf(host)
  const addresses = listOf(hostaddr)
  const ports = portsOf(port)
  if (path !== undefined) {
    return Result.succeed([
      { host: hosts[0] ?? defaultHost, port: ports[0] ?? defaultPort, address: undefined, path }
    ])
  }
  const count = Math.max(1, addresses.length === 0 ? hosts.length : addresses.length)
  if (hosts.length > 0 && hosts.length !== count) {
    return Result.fail(mismatch("hostaddr", addresses.length, "addresses", hosts.length))
  }
  if (ports.length > 1 && ports.length !== count) {
    return Result.fail(mismatch("port", ports.length, "port numbers", count))
  }
  const at = (index: number): Address => {
    const address = addresses[index] === "" ? undefined : addresses[index]
    return serverOf(hosts[index] ?? "", address, ports.length === 1 ? ports[0] : ports[index])
  }
  return Result.succeed([at(0), ...Array.from({ length: count - 1 }, (_, index) => at(index + 1))])
}
