/**
 * The benchmark: `npm run bench`, with `-- --quick` for the short form, with names of workloads or peers for a part.
 *
 * Options: `--rounds=N`, `--seconds=S`, `--cores=shared|split|none`, `--peers=a,b`, `--profile=folder`, `--quick`.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import * as path from "node:path"
import { createInterface } from "node:readline"
import pg from "pg"
import { build } from "./build.ts"
import { fullSizes, load, quickSizes } from "./data.ts"
import { chooseCores, describeMachine, type Pinning } from "./machine.ts"
import { peers } from "./peers/list.ts"
import { findPgbench } from "./pgbench.ts"
import { section } from "./report.ts"
import { type Context, type Outcome, runWorkload } from "./run.ts"
import { startServer } from "./servers.ts"
import { workloads } from "./workloads/list.ts"

const args = process.argv.slice(2)
const flag = (name: string): string | undefined =>
  args.find((argument) => argument.startsWith(`--${name}=`))?.slice(name.length + 3)
const quick = args.includes("--quick")
const names = args.filter((argument) => !argument.startsWith("--"))

const findPython = (): string | undefined =>
  ["python3", "/usr/bin/python3"].find((command) => spawnSync(command, ["-c", "import asyncpg"]).status === 0)

const startProxy = (built: string, port: number): Promise<readonly [ChildProcess, number]> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [path.join(built, "test/bench/proxy.js"), String(port), "1"], {
      stdio: ["pipe", "pipe", "inherit"]
    })
    child.once("error", reject)
    createInterface({ input: child.stdout }).once("line", (line) => resolve([child, Number(line)]))
  })

const pinning = (flag("cores") ?? "shared") as Pinning
const cores = chooseCores(pinning)
const sizes = quick ? quickSizes : fullSizes
const wantedPeers = flag("peers")?.split(",")
const chosenPeers = peers.filter((peer) => wantedPeers === undefined || wantedPeers.includes(peer.name))
const chosen = workloads(sizes).filter(
  (workload) =>
    (names.length === 0 && (!quick || workload.quick)) || names.some((name) => workload.name.startsWith(name))
)

const built = build()
const server = await startServer(cores)
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))
const admin = new pg.Client({ ...server.target, user: server.target.username })
await admin.connect()
await load(admin, sizes)
const [proxy, proxyPort] = await startProxy(built, server.target.port)

const context: Context = {
  admin,
  target: server.target,
  linked: { ...server.target, port: proxyPort },
  sizes,
  cores,
  built,
  rounds: Number(flag("rounds") ?? (quick ? 1 : 3)),
  milliseconds: Number(flag("seconds") ?? (quick ? 0.5 : 2)) * 1000,
  warm: quick ? 300 : 1000,
  python: findPython(),
  pgbench: findPgbench(),
  profiles: flag("profile")
}

console.log(`${describeMachine()}; ${server.version}; ${cores.said}\n`)
const outcomes: Array<Outcome> = []
for (const workload of chosen) {
  const outcome = await runWorkload(workload, chosenPeers, context)
  outcomes.push(outcome)
  console.log(section(outcome))
}
proxy.kill()
await admin.end()
await server.stop()
