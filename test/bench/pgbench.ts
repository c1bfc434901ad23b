/** `pgbench`, the limit of what the server can do: C, on the same cores. */
import { spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { accounts, type Sizes, type Target, text } from "./data.ts"
import type { Measured } from "./meter.ts"
import { quantile } from "./numbers.ts"
import type { Workload } from "./workloads/Workload.ts"

export const findPgbench = (): string | undefined =>
  ["pgbench", ...[18, 17, 16, 15, 14].map((version) => `/usr/lib/postgresql/${version}/bin/pgbench`)].find(
    (command) => spawnSync(command, ["--version"]).status === 0
  )

const pipelineDepth = 8
const maxClients = 100

const statement = (name: keyof typeof text, ...params: ReadonlyArray<string>) =>
  `${params.reduce((sql, value, index) => sql.replace(`$${index + 1}`, value), text[name])};`

/** The script of a workload and how many of its operations one run of it holds; nothing if pgbench cannot do it. */
const scriptOf = (workload: Workload, sizes: Sizes, depth: number): string | undefined => {
  const { operation } = workload.load
  switch (operation) {
    case "pointSelect": {
      const one = `\\set id random(1, ${sizes.people})\n${statement("pointSelect", ":id")}`
      return depth > 1
        ? `\\startpipeline\n${Array.from({ length: depth }, () => one).join("\n")}\n\\endpipeline\n`
        : `${one}\n`
    }
    case "rows1000":
      return depth > 1 ? undefined : `${text.rows1000};\n`
    case "insertOne":
      return depth > 1 ? undefined : `${statement("insertOne", "'name'", "1")}\n`
    case "trans3": {
      const pair = `\\set source 2 * random(0, ${accounts / 2 - 1}) + 1\n\\set target :source + 1\n`
      const body = `begin;\n${statement("take", "1", ":source")}\n${statement("give", "1", ":target")}\n${statement("transfer", ":source", ":target", "1")}\ncommit;\n`
      return depth > 1 ? `${pair}\\startpipeline\n${body}\\endpipeline\n` : pair + body
    }
    default:
      return undefined
  }
}

/** Runs the workload for whole seconds, at least one; undefined if pgbench has no such workload. */
export const runPgbench = async (
  command: readonly [string, ReadonlyArray<string>],
  variant: string,
  workload: Workload,
  target: Target,
  sizes: Sizes,
  milliseconds: number
): Promise<Measured | undefined> => {
  const { operation, inFlight, slowShare } = workload.load
  const pipelined = variant === "pipelined"
  const depth = pipelined ? Math.min(pipelineDepth, operation === "trans3" ? 2 : inFlight) : 1
  const script = scriptOf(workload, sizes, depth)
  if (script === undefined || (pipelined && (depth === 1 || slowShare > 0))) return undefined
  const weight = operation === "trans3" ? 1 : depth

  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "pgbench-"))
  try {
    const file = path.join(folder, "main.sql")
    fs.writeFileSync(file, script)
    fs.writeFileSync(path.join(folder, "slow.sql"), `${text.slow};\n`)
    const slow = Math.round(slowShare * 100)
    const files =
      slow > 0
        ? ["-f", `${file}@${100 - slow}`, "-f", `${path.join(folder, "slow.sql")}@${slow}`]
        : ["-f", file]
    const clients = Math.max(1, Math.min(maxClients, Math.round(inFlight / weight)))
    const [program, first] = command
    const args = [
      ...first,
      ...["-n", "-c", String(clients), "-j", String(Math.min(2, clients))],
      ...["-T", String(Math.max(1, Math.round(milliseconds / 1000)))],
      ...["-M", variant === "simple" ? "simple" : "prepared"],
      ...["--log", "--sampling-rate=0.2", `--log-prefix=${path.join(folder, "log")}`],
      ...files,
      ...["-h", target.host, "-p", String(target.port), "-U", target.username, target.database]
    ]
    const child = spawn(program, args, {
      env: { ...process.env, PGPASSWORD: target.password },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let said = ""
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk.toString()
    })
    child.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString()
    })
    await new Promise((resolve) => child.once("close", resolve))
    const tps = /tps = ([\d.]+)/.exec(said)?.[1]
    if (tps === undefined) throw new Error(`pgbench failed: ${said.slice(0, 500)}`)
    const latencies = fs
      .readdirSync(folder)
      .filter((name) => name.startsWith("log"))
      .flatMap((name) => fs.readFileSync(path.join(folder, name), "utf8").split("\n"))
      .map((line) => line.split(" "))
      .filter((fields) => fields.length > 4 && fields[3] === "0")
      .map((fields) => Number(fields[2]) / 1000)
    const sorted = Float64Array.from(latencies).sort()
    const perSecond = Number(tps) * weight
    return {
      operations: Math.round((perSecond * milliseconds) / 1000),
      perSecond,
      p50: quantile(sorted, 0.5),
      p99: quantile(sorted, 0.99)
    }
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
}
