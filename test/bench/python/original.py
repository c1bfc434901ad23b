"""The Python class that effect-global-pool descends from, faults and all: every statement is printed, none has parameters."""

import asyncio

import asyncpg

pools = {}


class PG:
    def __init__(self, host, port, user, password, database):
        self.settings = {"host": host, "port": port, "user": user, "password": password, "database": database}
        self.table = None

    def __getitem__(self, table):
        self.table = table
        return self

    async def pool(self):
        database = self.settings["database"]
        if database not in pools:
            pools[database] = await asyncpg.create_pool(**self.settings)
        return pools[database]

    async def trans(self, statements):
        pool = await self.pool()
        async with pool.acquire() as connection:
            async with connection.transaction():
                for statement in statements:
                    print(statement)
                    await connection.execute(statement)

    async def execute(self, statement):
        print(statement)
        pool = await self.pool()
        async with pool.acquire() as connection:
            return await connection.execute(statement)

    async def select(self, statement):
        pool = await self.pool()
        async with pool.acquire() as connection:
            return [dict(row) for row in await connection.fetch(statement)]

    def run(self, function):
        result = asyncio.get_event_loop().run_until_complete(function)
        self.terminate_pool()
        return result

    def terminate_pool(self):
        pool = pools.pop(self.settings["database"], None)
        if pool is not None:
            pool.terminate()
