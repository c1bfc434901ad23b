/** The suites. */
import { bulk } from "./bulk.ts"
import { cold } from "./cold.ts"
import { copy } from "./copy.ts"
import { cost } from "./cost.ts"
import { firstThousand } from "./firstThousand.ts"
import { idle } from "./idle.ts"
import { listen } from "./listen.ts"
import { opening } from "./opening.ts"
import type { Suite } from "./Suite.ts"
import { seen } from "./seen.ts"
import { tenants } from "./tenants.ts"
import { values } from "./values.ts"

export const suites: ReadonlyArray<Suite> = [
  cold,
  firstThousand,
  opening,
  idle,
  bulk,
  copy,
  cost,
  seen,
  listen,
  values,
  tenants
]
