/**
 * Where the test run has its temporary files, the data of its servers among them: in memory where there is room, since making
 * hundreds of databases costs most disks more than all else.
 */
import * as Fs from "node:fs"

const memory = "/dev/shm"
const enough = 8 * 2 ** 30

/** Memory's own folder where programs may be run from it too, with plenty of room; `undefined` elsewhere. */
export const quickFolder = (): string | undefined => {
  try {
    Fs.accessSync(memory, Fs.constants.W_OK)
    const { bavail, bsize } = Fs.statfsSync(memory)
    const mount = Fs.readFileSync("/proc/mounts", "utf8")
      .split("\n")
      .find((line) => line.split(" ")[1] === memory)
    return mount !== undefined && !/\bnoexec\b/.test(mount) && bavail * bsize >= enough ? memory : undefined
  } catch {
    return undefined
  }
}
