"""A script's first row through asyncpg."""

import asyncio
import json
import os

import asyncpg


async def main():
    target = json.loads(os.environ["BENCH_TARGET"])
    target["user"] = target.pop("username")
    connection = await asyncpg.connect(**target)
    print(await connection.fetch("select id, name, email, age from people where id = $1", 1))
    await connection.close()


asyncio.run(main())
