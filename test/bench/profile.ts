/** What a CPU profile says in a few lines: the functions with the most time of their own, and time by module. */
import * as fs from "node:fs"

interface CallFrame {
  readonly functionName: string
  readonly url: string
  readonly lineNumber: number
}

interface Profile {
  readonly nodes: ReadonlyArray<{ readonly id: number; readonly callFrame: CallFrame }>
  readonly samples: ReadonlyArray<number>
  readonly timeDeltas: ReadonlyArray<number>
}

/** The last two or three parts of a module's path: enough to know it. */
const moduleOf = (url: string): string =>
  url === ""
    ? "(native)"
    : url.replace(/^file:\/\//, "").replace(/^.*\/(node_modules|effect-global-pool-bench\/\d+)\//, "")

const most = (totals: ReadonlyMap<string, number>, count: number, total: number): string =>
  [...totals]
    .sort(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([name, time]) => `${((100 * time) / total).toFixed(1).padStart(6)} %  ${name}`)
    .join("\n")

/** Shares are of the time that JavaScript ran. */
export const summarize = (file: string, count = 40): string => {
  const profile: Profile = JSON.parse(fs.readFileSync(file, "utf8"))
  const frames = new Map(profile.nodes.map((node) => [node.id, node.callFrame]))
  const functions = new Map<string, number>()
  const modules = new Map<string, number>()
  let total = 0
  profile.samples.forEach((id, index) => {
    const frame = frames.get(id)
    const time = profile.timeDeltas[index] ?? 0
    if (frame === undefined || frame.functionName === "(idle)" || frame.functionName === "(program)") return
    const module = moduleOf(frame.url)
    const name = `${frame.functionName || "(anonymous)"}  ${module}:${frame.lineNumber + 1}`
    total += time
    functions.set(name, (functions.get(name) ?? 0) + time)
    modules.set(module, (modules.get(module) ?? 0) + time)
  })
  return `${file}\n\nBy module, own time:\n${most(modules, 20, total)}\n\nBy function, own time:\n${most(functions, count, total)}\n`
}
