/** The workloads that all peers run in turns. */
import type { Operation, Sizes } from "../data.ts"
import type { Workload } from "./Workload.ts"

type Options = Partial<Omit<Workload, "name" | "title" | "load">> & {
  readonly slowShare?: number
  readonly times?: number
}

const workload = (
  name: string,
  title: string,
  operation: Operation,
  inFlight: number,
  options: Options = {}
): Workload => {
  const { slowShare = 0, times, ...rest } = options
  return {
    name,
    title,
    load: { operation, inFlight, slowShare, ...(times === undefined ? {} : { times }) },
    link: false,
    unit: "statements/s",
    weight: 1,
    quick: false,
    ...rest
  }
}

export const workloads = (sizes: Sizes): ReadonlyArray<Workload> => [
  workload("point-1", "Point select, 1 in flight", "pointSelect", 1, { quick: true }),
  workload("point-10", "Point select, 10 in flight", "pointSelect", 10),
  workload("point-64", "Point select, 64 in flight", "pointSelect", 64, { quick: true }),
  workload("point-512", "Point select, 512 in flight", "pointSelect", 512),
  workload("mix", "95 % point selects, 5 % statements of 50 ms, 64 in flight", "pointSelect", 64, {
    slowShare: 0.05,
    quick: true
  }),
  workload("rows-1000", "1 000 rows of 8 columns, 1 in flight", "rows1000", 1, {
    unit: "rows/s",
    weight: 1000,
    quick: true
  }),
  workload("rows-1000-10", "1 000 rows of 8 columns, 10 in flight", "rows1000", 10, {
    unit: "rows/s",
    weight: 1000
  }),
  workload("insert-one", "Insert one row, 10 in flight", "insertOne", 10),
  workload("trans-3", "Transaction of 3 known statements, 10 in flight", "trans3", 10, {
    unit: "transactions/s"
  }),
  workload("trans-100", "Transaction of 100 known statements, 10 in flight", "trans100", 10, {
    unit: "transactions/s"
  }),
  workload("trans-3-link", "Transaction of 3 known statements, 1 in flight, 1 ms each way", "trans3", 1, {
    unit: "transactions/s",
    link: true,
    quick: true
  }),
  workload(
    "trans-100-link",
    "Transaction of 100 known statements, 1 in flight, 1 ms each way",
    "trans100",
    1,
    {
      unit: "transactions/s",
      link: true
    }
  ),
  workload(
    "interactive",
    "Interactive transaction (select for update, update), 10 in flight",
    "interactive",
    10,
    {
      unit: "transactions/s"
    }
  ),
  workload("interactive-link", "Interactive transaction, 1 in flight, 1 ms each way", "interactive", 1, {
    unit: "transactions/s",
    link: true
  }),
  workload("insert-many", `insertMany of ${sizes.bulk} rows of 5 columns`, "insertMany", 1, {
    unit: "rows/s",
    weight: sizes.bulk,
    times: 5,
    quick: true
  }),
  workload("stream", `Stream of ${sizes.events} rows of 4 columns`, "stream", 1, {
    unit: "rows/s",
    weight: sizes.events,
    times: 1
  })
]
