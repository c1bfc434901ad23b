/**
 * The benchmark: `npm run bench`, with `-- --quick` for the short form, with names of workloads or peers for a part.
 *
 * Options: `--rounds=N`, `--seconds=S`, `--cores=shared|split|none`, `--peers=a,b`, `--profile=folder`,
 * `--out=folder` (where `benchmarks.md` and `benchmarks.svg` go; a run of everything replaces those in `docs`).
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { createInterface } from "node:readline"
import pg from "pg"
import { build, root } from "./build.ts"
import { chartOf } from "./chart.ts"
import { fullSizes, load, quickSizes } from "./data.ts"
import { chooseCores, describeMachine, type Pinning } from "./machine.ts"
import { peers, quickPeers } from "./peers/list.ts"
import { findPgbench } from "./pgbench.ts"
import { summarize } from "./profile.ts"
import { section, sectionOf } from "./report.ts"
import { resultsOf } from "./results.ts"
import { type Context, type Outcome, runWorkload } from "./run.ts"
import { startServer, trusted } from "./servers.ts"
import { suites } from "./suites/list.ts"
import type { Section } from "./suites/Suite.ts"
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
const wantedPeers = flag("peers")?.split(",") ?? (quick ? quickPeers : undefined)
const chosenPeers = peers.filter((peer) => wantedPeers === undefined || wantedPeers.includes(peer.name))
const offered = workloads(sizes)
const exact = new Set(offered.map((workload) => workload.name).filter((name) => names.includes(name)))
const chosen = offered.filter(({ name, quick: short }) =>
  names.length === 0
    ? !quick || short
    : exact.has(name) || names.some((wanted) => !exact.has(wanted) && name.startsWith(wanted))
)
const chosenSuites = suites.filter((suite) =>
  names.length === 0 ? (quick ? suite.quick : suite.always) : names.includes(suite.name)
)
/** Only a run of everything replaces the results that are kept. */
const whole = !quick && names.length === 0 && wantedPeers === undefined

const built = build()
const server = await startServer(cores)
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))
const admin = new pg.Client({ ...server.target, user: server.target.username })
await admin.connect()
await load(admin, sizes)
await admin.query(`create role ${trusted} superuser login`)
const [proxy, proxyPort] = await startProxy(built, server.target.port)

const context: Context = {
  admin,
  target: server.target,
  linked: { ...server.target, port: proxyPort },
  sizes,
  cores,
  built,
  quick,
  rounds: Number(flag("rounds") ?? (quick ? 1 : 3)),
  milliseconds: Number(flag("seconds") ?? (quick ? 0.3 : 1.5)) * 1000,
  warm: quick ? 500 : 3000,
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
const sections: Array<Section> = []
for (const suite of chosenSuites) {
  try {
    const found = await suite.run(context)
    sections.push(...found)
    for (const one of found) console.log(sectionOf(one))
  } catch (error) {
    console.log(`### ${suite.name}\n\n${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
if (context.profiles !== undefined) {
  const files = fs.readdirSync(context.profiles).filter((name) => name.endsWith(".cpuprofile"))
  for (const name of files.sort()) console.log(summarize(path.join(context.profiles, name)))
}
proxy.kill()
await admin.end()
await server.stop()

if (whole || flag("out") !== undefined) {
  const folder = flag("out") ?? path.join(root, "docs")
  const subtitle = `${describeMachine()}; ${server.version}`
  fs.writeFileSync(path.join(folder, "benchmarks.md"), resultsOf(context, server.version, outcomes, sections))
  fs.writeFileSync(path.join(folder, "benchmarks.svg"), chartOf(outcomes, subtitle))
  console.log(`Written: ${path.join(folder, "benchmarks.md")} and benchmarks.svg`)
}
