"""asyncpg and the original's class as peers: the same commands, one JSON line each, as the Node child takes."""

import asyncio
import datetime
import json
import os
import resource
import sys
import time

import asyncpg

from original import PG

assignment = json.loads(sys.argv[1])
variant = assignment["variant"]
sizes = assignment["sizes"]
load = assignment["load"]
text = assignment["text"]
target = assignment["target"]
where = {
    "host": target["host"],
    "port": target["port"],
    "user": target["username"],
    "password": target["password"],
    "database": target["database"],
}

answers = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the original prints its statements

ACCOUNTS = assignment["accounts"]
EPOCH = datetime.datetime.fromtimestamp(1_700_000_000, datetime.timezone.utc)


def person(turn):
    return (turn * 7919) % sizes["people"] + 1


def steps(turn, count):
    source = (turn * 2) % ACCOUNTS + 1
    three = [
        ("take", (1, source)),
        ("give", (1, source + 1)),
        ("transfer", (source, source + 1, 1)),
    ]
    return (three * (count // 3 + 1))[:count]


def literal(name, params):
    statement = text[name]
    for number, value in enumerate(params, 1):
        statement = statement.replace(f"${number}", repr(value))
    return statement


def bulk_rows():
    second = datetime.timedelta(seconds=1)
    return [
        (i + 1, f"name of row {i + 1}", i % 3 == 0, i / 7 + 0.05, EPOCH + i * second) for i in range(sizes["bulk"])
    ]


async def open_asyncpg():
    pool = await asyncpg.create_pool(min_size=0, max_size=10, max_inactive_connection_lifetime=0, **where)
    rows = bulk_rows() if load["operation"] == "insertMany" else []

    async def trans(turn, count):
        async with pool.acquire() as connection:
            async with connection.transaction():
                for name, params in steps(turn, count):
                    await connection.execute(text[name], *params)

    async def interactive(turn):
        account = steps(turn, 1)[0][1][1]
        async with pool.acquire() as connection:
            async with connection.transaction():
                await connection.fetch(text["balance"], account)
                await connection.execute(text["give"], 1, account)

    async def stream(_turn):
        count = total = 0
        async with pool.acquire() as connection:
            async with connection.transaction():
                async for row in connection.cursor(text["stream"], prefetch=1000):
                    count += 1
                    total += row["id"]
        return {"count": count, "sum": total}

    async def insert_many(_turn):
        async with pool.acquire() as connection:
            if variant == "copy":
                await connection.copy_records_to_table("bulk", records=rows)
            else:
                await connection.executemany("insert into bulk values ($1, $2, $3, $4, $5)", rows)

    if variant == "copy":
        return {"insertMany": insert_many}
    return {
        "pointSelect": lambda turn: pool.fetch(text["pointSelect"], person(turn)),
        "rows1000": lambda _turn: pool.fetch(text["rows1000"]),
        "insertOne": lambda turn: pool.execute(text["insertOne"], f"name {turn}", turn),
        "trans3": lambda turn: trans(turn, 3),
        "trans100": lambda turn: trans(turn, 100),
        "interactive": interactive,
        "insertMany": insert_many,
        "stream": stream,
        "slow": lambda _turn: pool.fetch(text["slow"]),
    }


async def open_original():
    database = PG(**where)
    table = database["people"]
    await table.select("select 1")

    def trans(turn, count):
        return table.trans([literal(name, params) for name, params in steps(turn, count)])

    return {
        "pointSelect": lambda turn: table.select(literal("pointSelect", (person(turn),))),
        "rows1000": lambda _turn: table.select(text["rows1000"]),
        "insertOne": lambda turn: table.execute(literal("insertOne", (f"name {turn}", turn))),
        "trans3": lambda turn: trans(turn, 3),
        "trans100": lambda turn: trans(turn, 100),
        "slow": lambda _turn: table.select(text["slow"]),
    }


def quantile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


turn = 1


async def measure(operations, milliseconds, times):
    global turn
    begun = 0
    finished = 0
    in_time = 0
    latencies = []
    share = load["slowShare"]
    random = 0x2545F491
    start = time.perf_counter()
    end = float("inf") if times else start + milliseconds / 1000
    before = used()

    async def loop():
        nonlocal begun, finished, in_time, random
        global turn
        while (times is None or begun < times) and time.perf_counter() < end:
            operation = load["operation"]
            if share:
                random ^= (random << 13) & 0xFFFFFFFF
                random ^= random >> 17
                random ^= (random << 5) & 0xFFFFFFFF
                if random / 4_294_967_296 < share:
                    operation = "slow"
            begun += 1
            turn += 1
            started = time.perf_counter()
            await operations[operation](turn)
            now = time.perf_counter()
            finished += 1
            if now <= end:
                in_time += 1
                if operation != "slow":
                    latencies.append((now - started) * 1000)

    await asyncio.gather(*(loop() for _ in range(load["inFlight"])))
    seconds = time.perf_counter() - start if times else milliseconds / 1000
    latencies.sort()
    return {
        "operations": in_time,
        "perSecond": in_time / seconds,
        "p50": quantile(latencies, 0.5),
        "p99": quantile(latencies, 0.99),
        "cpu": (used() - before) * 1e6 / max(finished, 1),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def plain(value):
    if isinstance(value, asyncpg.Record):
        return dict(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


async def obey(operations, command):
    if command["do"] == "operations":
        return list(operations)
    if command["do"] == "once":
        rows = await operations[command["operation"]](command["turn"])
        return [dict(row) for row in rows] if isinstance(rows, list) else rows
    if command["warm"] > 0:
        # Warming up takes a length of time, whatever a round is.
        await measure(operations, command["warm"], None)
    return await measure(operations, command["milliseconds"], load.get("times"))


async def main():
    operations = await (open_original() if variant == "original" else open_asyncpg())
    for line in sys.stdin:
        try:
            answer = {"ok": await obey(operations, json.loads(line))}
        except Exception as error:  # the parent reports it
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer, default=plain) + "\n")
        answers.flush()


asyncio.run(main())
