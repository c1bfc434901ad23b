/**
 * The program `effect-global-pool`, with its commands.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { types } from "./TypesCommand.ts"

export const main = (version: string): void =>
  Command.make("effect-global-pool").pipe(
    Command.withDescription("Tools for databases that are used through effect-global-pool."),
    Command.withSubcommands([types]),
    Command.run({ version }),
    Effect.provide(NodeServices.layer),
    NodeRuntime.runMain
  )
