/**
 * The registry of the whole process.
 *
 * It is the one piece of global state: a `MemoMap` under a registered symbol, so that every copy of this module, and every
 * reload of it in a development server, finds the same registry while a scope holds it.
 *
 * Cloudflare's runtime ends the I/O of a request with the request and lets no other use it: there, each scope that builds
 * the layer has a registry of its own.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Route } from "../pool/Route.ts"
import { isCloudflare } from "../protocol/Incoming.ts"
import { PoolRegistry } from "./PoolRegistry.ts"

interface Shared {
  readonly layer: Layer.Layer<PoolRegistry>
  readonly memoMap: Layer.MemoMap
}

const name = Symbol.for("effect-global-pool/registry/1")

const isShared = (value: unknown): value is Shared =>
  typeof value === "object" && value !== null && "layer" in value && "memoMap" in value

const make = (): Shared => ({
  layer: Layer.orDie(PoolRegistry.layer()),
  memoMap: Layer.makeMemoMapUnsafe()
})

const shared = (): Shared => {
  if (isCloudflare()) return make()
  const known: unknown = Reflect.get(globalThis, name)
  if (isShared(known)) return known
  const made = make()
  Reflect.defineProperty(globalThis, name, { value: made })
  return made
}

/**
 * Every scope that builds this at one time gets the same registry; its pools end with the last of those scopes. A test's route
 * has a registry of its own.
 */
export const layer: Layer.Layer<PoolRegistry> = /* @__PURE__ */ Layer.fromBuild((_, scope) =>
  Effect.flatMap(Route, (route) => {
    const { layer, memoMap } = shared()
    return Layer.buildWithMemoMap(layer, route.memoMap ?? memoMap, scope)
  })
)

/** Supplies `layer` and closes its scope: when this returns, failed or was interrupted, every connection is closed. */
export const run = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, PoolRegistry>> =>
  Effect.provide(effect, layer)
