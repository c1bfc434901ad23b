/**
 * What of the driver is used: its modules are marked unstable, so an upgrade that moves one of these fails here, and nothing
 * else of it is used unseen.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import packageJson from "../package.json" with { type: "json" }

const used = {
  PgProtocol: {
    values: [
      "encodeCancelRequest",
      "encodePasswordMessage",
      "encodeSASLInitialResponse",
      "encodeSASLResponse",
      "encodeSslRequest",
      "encodeStartupMessage",
      "encodeTerminate",
      "makeParser"
    ],
    types: ["BackendMessage", "ErrorFields"]
  },
  PgAuth: { values: ["md5Password"], types: [] },
  // Loaded with pgdb.client alone.
  PgClient: { values: ["PgClient", "TypeId", "makeCompiler"], types: ["PgClientConfig"] },
  // The codecs of pgdb.client's values, loaded with it.
  PgTypes: { values: ["encode", "encodeParameter", "isParameter", "makeFieldReader"], types: [] }
}

const source = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => ({ file, text: readFileSync(join("src", file), "utf8") }))

it("the driver's modules are used by these names, and by no other", () => {
  const found = new Map<string, Set<string>>()
  for (const { text } of source) {
    for (const [, module = "", name = ""] of text
      .replaceAll(/^ *\*.*$|\/\*\*.*$/gm, "")
      .matchAll(/\b(Pg[A-Z]\w+)\.(\w+)/g)) {
      if (text.includes(`"@effect/sql-pg/${module}"`))
        found.set(module, (found.get(module) ?? new Set()).add(name))
    }
  }
  assert.deepStrictEqual([...found.keys()].sort(), Object.keys(used).sort())
  for (const [module, { types, values }] of Object.entries(used)) {
    assert.deepStrictEqual([...(found.get(module) ?? [])].sort(), [...types, ...values].sort(), module)
  }
})

it("the installed driver has the modules and names that are used", async () => {
  for (const [module, { values }] of Object.entries(used)) {
    const loaded: object = await import(`@effect/sql-pg/${module}`)
    for (const name of values) assert.isTrue(name in loaded, `${module}.${name}`)
  }
})

it("the driver's connection and pool are used nowhere, and its client is loaded when it is first asked for", () => {
  for (const { file, text } of source) {
    assert.notMatch(text, /sql-pg\/(?:PgConnection|PgPool)"/, file)
    if (file !== join("api", "Client.ts")) {
      assert.notMatch(text, /import (?!type)[^\n]*sql-pg\/PgClient"/, file)
      assert.notMatch(text, /(?:import|export) (?!type)[^\n]*\/DriverValues\.ts"/, file)
    }
    const client = file.startsWith("api")
      ? /(?:import|export) (?!type)[^\n]*"\.\/Client\.ts"/
      : /(?:import|export) (?!type)[^\n]*api\/Client\.ts"/
    assert.notMatch(text, client, file)
  }
})

it("the driver's range of versions is as narrow as an unstable API asks for", () => {
  for (const name of ["effect", "@effect/sql-pg"] as const) {
    assert.match(packageJson.peerDependencies[name], /^~\d+\.\d+\.\d+$/)
  }
})
