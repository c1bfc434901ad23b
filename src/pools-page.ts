/**
 * A page that shows what the pools of a registry do: `import { PoolsPage } from "effect-global-pool/pools-page"`. Mounted by the
 * program that wants it, on Effect's `HttpRouter` or in a handler of Node's `http`; that program decides who may see it.
 */
export * as PoolsPage from "./page/PoolsPage.ts"
