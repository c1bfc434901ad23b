// Bundles the programs beside it with each of these tools, runs them on a server of their own, and says which work.
import { deepStrictEqual, match, ok } from "node:assert/strict"
import { execFile, spawn } from "node:child_process"
import { readFile, writeFile } from "node:fs/promises"
import { builtinModules } from "node:module"
import { join } from "node:path"
import { promisify } from "node:util"
import { Effect, Redacted } from "effect"
import { EmbeddedPostgres } from "effect-global-pool/embedded"

const here = import.meta.dirname
const run = promisify(execFile)
const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis))

const expected = {
  rows: [
    { name: "Ada", tags: ["a", "b"] },
    { name: "Grace", tags: null }
  ],
  streamed: 1000,
  counted: "2",
  pools: 1,
  left: 1
}

/** Runs what was bundled. */
const check = async (file, env) => {
  const { stdout } = await run(process.execPath, [file], { env })
  deepStrictEqual(JSON.parse(stdout), expected)
}

/** Fetches until there is an answer, for a minute. */
const get = async (url) => {
  for (let attempt = 0; ; attempt++) {
    const response = await fetch(url).catch(() => undefined)
    const text = await response?.text()
    if (response?.ok) return text
    if (attempt > 120) throw new Error(`No answer: ${text ?? "nobody listens"}`)
    await pause(500)
  }
}

const found = (text) => {
  const [, pid, max, others] = /pid=(\d+) max=(\d+) others=(\d+)/.exec(text) ?? []
  return { pid, max, others }
}

/** Next.js in development or production: a page and a route handler on one pool; in development with changed settings. */
const next = async (command, port, env) => {
  const cwd = join(here, "next")
  const cli = join(here, "node_modules/next/dist/bin/next")
  if (command === "start") await run(process.execPath, [cli, "build"], { cwd, env })
  const server = spawn(process.execPath, [cli, command, "--port", String(port)], {
    cwd,
    env,
    detached: true,
    stdio: "pipe"
  })
  let log = ""
  for (const stream of [server.stdout, server.stderr]) stream.on("data", (chunk) => (log += chunk))
  const both = async () => {
    const page = found(await get(`http://127.0.0.1:${port}/`))
    const route = found(await get(`http://127.0.0.1:${port}/api/people`))
    deepStrictEqual(page, { ...route, others: "0" })
    return page
  }
  try {
    const first = await both()
    deepStrictEqual(await both(), first)
    if (command === "start") return
    const file = join(cwd, "db.js")
    const text = await readFile(file, "utf8")
    await writeFile(file, text.replace("maxConnections: 5", "maxConnections: 7"))
    let changed = first
    for (let attempt = 0; attempt < 60 && changed.max !== "7"; attempt++) {
      await pause(500)
      changed = await both()
    }
    await writeFile(file, text)
    deepStrictEqual(changed.max, "7")
    match(log, /was idle and makes room for a handle with other settings: maxConnections/)
  } catch (error) {
    throw new Error(`${error.message}\n${log}`)
  } finally {
    if (server.exitCode === null && server.signalCode === null) process.kill(-server.pid, "SIGKILL")
  }
}

const tools = {
  esbuild: async (env) => {
    const { build } = await import("esbuild")
    const outfile = join(here, "out/esbuild.mjs")
    await build({
      entryPoints: [join(here, "program.mjs")],
      outfile,
      bundle: true,
      minify: true,
      format: "esm",
      platform: "node",
      logLevel: "warning"
    })
    await check(outfile, env)
  },
  "vite-ssr": async (env) => {
    const { build } = await import("vite")
    await build({
      root: here,
      logLevel: "warn",
      configFile: false,
      ssr: { noExternal: true },
      build: { ssr: "program.mjs", outDir: "out/vite", target: "node20" }
    })
    await check(join(here, "out/vite/program.js"), env)
  },
  webpack: async (env) => {
    const { default: webpack } = await import("webpack")
    const compiler = webpack({
      mode: "production",
      target: "node20",
      entry: join(here, "program.mjs"),
      experiments: { outputModule: true },
      output: { path: join(here, "out/webpack"), filename: "program.mjs", module: true }
    })
    const stats = await promisify(compiler.run.bind(compiler))()
    ok(!stats.hasErrors(), stats.toString({ all: false, errors: true }))
    await check(join(here, "out/webpack/program.mjs"), env)
  },
  "next-dev": (env) => next("dev", 43_117, env),
  "next-production": (env) => next("start", 43_118, env),
  workerd: async ({ DATABASE_URL }) => {
    const { build } = await import("esbuild")
    const { Miniflare } = await import("miniflare")
    const scriptPath = join(here, "out/worker.mjs")
    await build({
      entryPoints: [join(here, "worker.mjs")],
      outfile: scriptPath,
      bundle: true,
      format: "esm",
      conditions: ["workerd", "worker"],
      external: ["node:*"],
      logLevel: "warning",
      plugins: [
        {
          // The runtime knows Node's modules by their full names.
          name: "node",
          setup: ({ onLoad, onResolve }) => {
            onResolve({ filter: /^[a-z_]+$/ }, ({ path }) =>
              builtinModules.includes(path) ? { path, namespace: "node" } : undefined
            )
            onLoad({ filter: /./, namespace: "node" }, ({ path }) => ({
              contents: `export * from "node:${path}"; export { default } from "node:${path}"`
            }))
          }
        }
      ]
    })
    const worker = new Miniflare({
      modules: true,
      scriptPath,
      compatibilityDate: "2026-04-01",
      compatibilityFlags: ["nodejs_compat"],
      bindings: { DATABASE_URL }
    })
    try {
      const answers = await Promise.all(
        Array.from({ length: 5 }, async () => (await worker.dispatchFetch("http://worker/")).text())
      )
      const all = answers.map((text) => JSON.parse(text))
      deepStrictEqual(new Set(all.map(({ pid }) => pid)).size, 5)
      for (const { list, open, rows } of all)
        deepStrictEqual({ list, open, rows }, { list: [1, 2], open: [1], rows: [{ n: 1 }] })
    } finally {
      await worker.dispose()
    }
  }
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(tools)

const failed = await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const { database, host, password, port, username } = yield* EmbeddedPostgres.start()
      const DATABASE_URL = `postgres://${username}:${Redacted.value(password)}@${host}:${port}/${database}`
      const env = { ...process.env, DATABASE_URL, NEXT_TELEMETRY_DISABLED: "1" }
      let failed = 0
      for (const name of names) {
        const error = yield* Effect.promise(() =>
          tools[name](env).then(
            () => undefined,
            (error) => error ?? new Error("failed")
          )
        )
        console.log(
          error === undefined ? `${name}: works` : `${name}: FAILS\n${error.stack}\n${error.stdout ?? ""}`
        )
        if (error !== undefined) failed++
      }
      return failed
    })
  )
)

console.log(`${names.length - failed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
