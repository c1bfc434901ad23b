/** The machine: what it is, and which of its cores the server and the loads may use. */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"

/** `shared`: server and load on the same two cores; `split`: one core each; `none`: the whole machine. */
export type Pinning = "shared" | "split" | "none"

export interface Cores {
  readonly pinning: Pinning
  /** Lists of cores as `taskset -c` takes them; undefined where nothing is pinned. */
  readonly server: string | undefined
  readonly load: string | undefined
  readonly said: string
}

/** The cores that this process may use, where the system tells: "0-2,5". */
const allowed = (): ReadonlyArray<number> => {
  const status = fs.existsSync("/proc/self/status") ? fs.readFileSync("/proc/self/status", "utf8") : ""
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? `0-${os.cpus().length - 1}`
  return list.split(",").flatMap((range) => {
    const [from = 0, to = from] = range.split("-").map(Number)
    return Array.from({ length: to - from + 1 }, (_, index) => from + index)
  })
}

/** The last two of its cores: the first ones have the interrupts and, on a shared machine, most of the company. */
export const chooseCores = (pinning: Pinning): Cores => {
  const cores = allowed()
  const count = os.cpus().length
  if (pinning === "none" || spawnSync("taskset", ["-V"]).status !== 0) {
    const why = pinning === "none" ? "by choice" : "since taskset is not installed"
    return {
      pinning: "none",
      server: undefined,
      load: undefined,
      said: `nothing pinned, ${why}: all ${count} cores`
    }
  }
  const second = cores.at(-1) ?? 0
  const first = cores.at(-2) ?? second
  return pinning === "split" && first !== second
    ? {
        pinning,
        server: `${second}`,
        load: `${first}`,
        said: `server pinned to core ${second}, load to core ${first}, of ${count}`
      }
    : {
        pinning: "shared",
        server: `${first},${second}`,
        load: `${first},${second}`,
        said: `server and load pinned to the same two cores (${first} and ${second}) of ${count}`
      }
}

/** A command and its arguments, held to the given cores. */
export const pinned = (cores: string | undefined, command: string, args: ReadonlyArray<string>) =>
  cores === undefined
    ? ([command, [...args]] as const)
    : (["taskset", ["-c", cores, command, ...args]] as const)

export const describeMachine = (): string =>
  `${os.cpus()[0]?.model ?? "unknown processor"}, ${os.cpus().length} cores, ${Math.round(os.totalmem() / 2 ** 30)} GB, ` +
  `${os.type()} ${os.release()}, Node ${process.versions.node}`
