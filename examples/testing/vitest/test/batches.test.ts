import { expect, test } from "vitest"
import * as Users from "../src/users.ts"
import { sandboxed } from "./database.ts"

test(
  "users are added together",
  sandboxed(async () => {
    await Users.addAll(["Ada", "Grace"])
    expect(await Users.names()).toEqual(["Root", "Ada", "Grace"])
  })
)

test(
  "or none of them",
  sandboxed(async () => {
    await expect(Users.addAll(["Ada", "Root"])).rejects.toThrow("duplicate key")
    expect(await Users.names()).toEqual(["Root"])
  })
)
