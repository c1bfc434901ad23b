/** Notifications by the ten thousand, while the backend that listens is killed every second: none is missed, and memory is flat. */
import type { ListenFound } from "../listenChild.ts"
import { shown } from "../numbers.ts"
import { answerOf } from "./answer.ts"
import type { Suite } from "./Suite.ts"

export const listen: Suite = {
  name: "listen",
  always: true,
  quick: false,
  run: async (context) => {
    const [notifications, seconds] = context.quick ? [20_000, 12] : [100_000, 60]
    const found = answerOf<ListenFound>(
      context,
      "listenChild",
      [context.target, notifications, seconds],
      ["--expose-gc"]
    )
    const line = (name: string, value: number, most: string) => [name, shown(value, 0), most]
    return [
      {
        title: `${notifications} notifications in ${seconds} s, from 20 writers to 50 listeners on 30 channels; a kill each second`,
        rows: [
          ["", "", "at most"],
          line("sent", found.sent, ""),
          line("heard", found.heard, ""),
          line("times that a listener lost its connection and listened again", found.losses, ""),
          line("missed while subscribed", found.missed, "0"),
          line("out of order", found.disordered, "0"),
          line("heard before onListen", found.early, "0"),
          line("connections at one time", found.connections, "1"),
          line("MB on the heap before", found.heapBefore, ""),
          line("MB on the heap after", found.heapAfter, "")
        ]
      }
    ]
  }
}
