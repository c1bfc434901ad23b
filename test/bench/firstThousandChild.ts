/** A cold process: opens a peer and runs a load of some operations. Takes an assignment, prints the CPU of one operation as JSON. */
import type { Assignment } from "./child.ts"
import { startMeter } from "./meter.ts"
import type { Open } from "./peers/Peer.ts"

const { load, module, sizes, target, variant }: Assignment = JSON.parse(process.argv[2] ?? "")
const { open }: { readonly open: Open } = await import(`./peers/${module}.js`)
const session = await open(target, sizes, variant)
const meter = startMeter(load, 0, 1)
await session.drive(meter)
process.stdout.write(`${JSON.stringify(meter.read().cpu)}\n`)
await session.close()
