/**
 * Programs in TypeScript as Node runs them without a loader, which would take most of their time: the package's own code and
 * theirs in one file, other packages as they are installed.
 */
import { createHash } from "node:crypto"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"

/** The folder of `package.json`. */
export const root = fileURLToPath(new URL("../..", import.meta.url))

/** Where the programs of a test run are: named by the process that the workers of the run are children of. */
export const folderOf = (run: number): string =>
  Path.join(root, "node_modules/.cache/effect-global-pool", String(run))
const built = new Map<string, Promise<string>>()

const make = async (file: string): Promise<string> => {
  // Workers build the same program at the same time, each for itself.
  const name = createHash("sha256").update(`${file} ${process.pid}`).digest("hex").slice(0, 16)
  const outfile = Path.join(folderOf(process.ppid), `${Path.basename(file, ".ts")}-${name}.mjs`)
  await build({
    entryPoints: [file],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    sourcemap: "inline",
    logLevel: "silent",
    alias: {
      "effect-global-pool/embedded": Path.join(root, "src/embedded.ts"),
      "effect-global-pool/pools-page": Path.join(root, "src/pools-page.ts"),
      "effect-global-pool/testing": Path.join(root, "src/testing.ts"),
      "effect-global-pool/kysely": Path.join(root, "src/kysely.ts"),
      "effect-global-pool": Path.join(root, "src/index.ts")
    },
    plugins: [
      {
        name: "packages",
        setup: ({ onResolve }) => {
          onResolve({ filter: /^[^./]/ }, ({ kind, path }) =>
            kind === "entry-point" || path.startsWith("effect-global-pool")
              ? undefined
              : { path, external: true }
          )
        }
      }
    ]
  })
  return outfile
}

/** The file to run for a program; built once for each worker. */
export const runnable = (file: string): Promise<string> => {
  const known = built.get(file) ?? make(file)
  built.set(file, known)
  return known
}
