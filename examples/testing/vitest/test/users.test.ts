import { expect, test } from "vitest"
import * as Users from "../src/users.ts"
import { sandboxed } from "./database.ts"

test(
  "users have names of their own",
  sandboxed(async () => {
    await Users.add("Ada")
    await expect(Users.add("Ada")).rejects.toThrow("duplicate key")
    await Users.add("Grace")
    expect(await Users.names()).toEqual(["Root", "Ada", "Grace"])
  })
)

test(
  "nothing is left of the test before",
  sandboxed(async () => {
    expect(await Users.names()).toEqual(["Root"])
  })
)
