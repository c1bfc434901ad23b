import { TestDatabase } from "effect-global-pool/testing"

/** What each test begins with. Texts of your migrations, or `{ key, run }` to run a program. */
const setup = [
  `create table users (
     id int primary key generated always as identity,
     name text not null unique,
     credit int not null default 0 check (credit >= 0)
   )`,
  "insert into users (name, credit) values ('Root', 100)"
]

export const database = TestDatabase.layer({ setup })
