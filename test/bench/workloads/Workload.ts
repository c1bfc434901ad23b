/** A workload: one load, put on every peer in turns, and how its figure is read. */
import type { Load } from "../meter.ts"

export interface Workload {
  readonly name: string
  readonly title: string
  readonly load: Load
  /** Whether a link that adds 1 ms each way lies between client and server. */
  readonly link: boolean
  /** What is counted per second; an operation counts as `weight` of them. */
  readonly unit: string
  readonly weight: number
  /** Whether the quick run has it. */
  readonly quick: boolean
}
