"""asyncpg, as an application in Python uses it: asyncpg_pool.py URL

It prepares everything, keeps its statements, and asks for results in binary. The table `items` may live in any store, `words` is relational.
Plain PostgreSQL passes too.
"""

import asyncio
import json
import sys
import uuid
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import asyncpg

URL = sys.argv[1]
TABLES = """
CREATE TABLE items (
    id int PRIMARY KEY, name text NOT NULL, price numeric(12, 2), tags jsonb, owner uuid, at timestamptz, raw bytea, day date,
    done boolean, score float8, big bigint, labels text[]
);
CREATE TABLE words (id int PRIMARY KEY, word text NOT NULL UNIQUE);
"""
ITEM = {
    "id": 1, "name": "naïve ☃ 'quoted' \\", "price": Decimal("12345678.90"), "tags": json.dumps({"a": [1, None, "ü"]}, ensure_ascii=False),
    "owner": uuid.UUID(int=7), "at": datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5))), "raw": b"\x00\xff\\",
    "day": date(2026, 3, 1), "done": True, "score": 0.1, "big": 2**63 - 1, "labels": ["a", "b,c", None, '"'],
}


def equal(found, expected):
    assert found == expected, f"expected {expected!r}, found {found!r}"


async def fails(error, waited, **about):
    try:
        await waited
    except error as raised:
        for name, wanted in about.items():
            equal(getattr(raised, name), wanted)
        return raised
    raise AssertionError(f"no {error.__name__}")


async def ids(conn):
    return [row["id"] for row in await conn.fetch("SELECT id FROM items ORDER BY id")]


async def types(conn):
    places = ", ".join(f"${place}" for place in range(1, len(ITEM) + 1))
    equal(await conn.execute(f"INSERT INTO items ({', '.join(ITEM)}) VALUES ({places})", *ITEM.values()), "INSERT 0 1")
    await conn.execute("INSERT INTO items (id, name, tags) VALUES ($1, $2, $3)", 2, "", None)
    row = await conn.fetchrow("SELECT * FROM items WHERE id = $1", 1)
    equal({**row, "tags": json.loads(row["tags"])}, {**ITEM, "tags": json.loads(ITEM["tags"])})
    equal([name for name, value in (await conn.fetchrow("SELECT * FROM items WHERE id = $1", 2)).items() if value is not None], ["id", "name"])
    for name in ("name", "price", "owner", "at", "raw", "day", "done", "score", "big", "labels"):
        equal((name, await conn.fetchval(f"SELECT id FROM items WHERE {name} = $1", ITEM[name])), (name, 1))
    equal(await conn.fetchval("SELECT count(*) FROM items WHERE id = ANY ($1)", [1, 2, 3]), 2)


async def prepared(conn):
    put = await conn.prepare("INSERT INTO items (id, name) VALUES ($1, $2) RETURNING id")
    get = await conn.prepare("SELECT name FROM items WHERE id = $1")
    equal([parameter.name for parameter in put.get_parameters()], ["int4", "text"])
    equal([attribute.name for attribute in get.get_attributes()], ["name"])
    for number in range(10, 20):
        equal(await put.fetchval(number, f"item {number}"), number)
        equal(await get.fetchval(number), f"item {number}")
    await fails(asyncpg.UniqueViolationError, put.fetchval(10, "again"), constraint_name="items_pkey", sqlstate="23505")
    equal(await get.fetchval(10), "item 10")
    await conn.executemany("UPDATE items SET big = $2 WHERE id = $1", [(number, number) for number in range(10, 20)])
    equal(await conn.fetchval("SELECT sum(big) FROM items WHERE id BETWEEN 10 AND 19"), Decimal(145))
    # More texts than its cache has places.
    for number in range(120):
        equal(await conn.fetchval(f"SELECT $1::int + {number}", 1), number + 1)
    equal(await conn.execute("DELETE FROM items WHERE id >= 10"), "DELETE 10")


async def transactions(conn):
    async with conn.transaction():
        await conn.execute("INSERT INTO items (id, name) VALUES ($1, 'kept')", 40)
        await conn.execute("INSERT INTO words VALUES ($1, 'kept')", 40)
        try:
            async with conn.transaction():
                await conn.execute("INSERT INTO items (id, name) VALUES ($1, 'lost')", 41)
                await conn.execute("INSERT INTO words VALUES ($1, 'kept')", 41)
        except asyncpg.UniqueViolationError as raised:
            equal(raised.constraint_name, "words_word_key")
    equal(await ids(conn), [1, 2, 40])
    transaction = conn.transaction(isolation="repeatable_read")
    await transaction.start()
    await conn.execute("DELETE FROM items WHERE id = $1", 40)
    equal(await ids(conn), [1, 2])
    await transaction.rollback()
    equal(await ids(conn), [1, 2, 40])
    await fails(asyncpg.ReadOnlySQLTransactionError, read_only(conn))
    await conn.execute("DELETE FROM items WHERE id = 40; DELETE FROM words")


async def read_only(conn):
    async with conn.transaction(readonly=True):
        await conn.execute("INSERT INTO words VALUES (1, 'x')")


async def cursors(conn):
    await conn.executemany("INSERT INTO items (id, name) VALUES ($1, 'cursor')", [(number,) for number in range(100, 120)])
    async with conn.transaction():
        # In portions of Execute with a row limit.
        found = [row["id"] async for row in conn.cursor("SELECT id FROM items WHERE id >= $1 ORDER BY id", 100, prefetch=7)]
        equal(found, list(range(100, 120)))
        cursor = await conn.cursor("SELECT i FROM generate_series(1, 10) i")
        equal([row["i"] for row in await cursor.fetch(3)], [1, 2, 3])
        await cursor.forward(2)
        equal((await cursor.fetchrow())["i"], 6)
    await conn.execute("DELETE FROM items WHERE id >= 100")


async def copies(conn):
    records = [(number, f"word {number}") for number in range(1, 1001)]
    equal(await conn.copy_records_to_table("words", records=records), "COPY 1000")
    equal(await conn.fetchval("SELECT count(*) FROM words"), 1000)
    out = []

    async def take(data):
        out.append(data)

    equal(await conn.copy_from_query("SELECT id, word FROM words WHERE id <= $1 ORDER BY id", 3, output=take, format="csv"), "COPY 3")
    equal(b"".join(out), b"1,word 1\n2,word 2\n3,word 3\n")
    await fails(asyncpg.UniqueViolationError, conn.copy_records_to_table("words", records=[(1, "again")]), table_name="words")
    equal(await conn.fetchval("SELECT count(*) FROM words"), 1000)
    await conn.execute("TRUNCATE words")


async def failures(conn):
    await fails(asyncpg.NotNullViolationError, conn.execute("INSERT INTO items (id) VALUES ($1)", 9), table_name="items", column_name="name")
    await fails(asyncpg.UndefinedTableError, conn.fetch("SELECT * FROM nowhere"), position="15")
    await fails(asyncpg.UndefinedColumnError, conn.fetch("SELECT nothing FROM items"))
    await fails(asyncpg.PostgresSyntaxError, conn.fetch("SELEC"))
    await fails(asyncpg.DivisionByZeroError, conn.fetch("SELECT $1::int / 0", 1))
    await fails(asyncpg.DataError, conn.fetch("SELECT id FROM items WHERE id = $1", "x"))
    await fails(asyncio.TimeoutError, conn.execute("SELECT pg_sleep(30)", timeout=0.5))
    equal(await conn.fetchval("SELECT 1"), 1)
    await conn.execute("SET statement_timeout = '200ms'")
    await fails(asyncpg.QueryCanceledError, conn.execute("SELECT pg_sleep(30)"))
    await conn.execute("RESET statement_timeout")


async def settings(conn):
    heard = []
    conn.add_log_listener(lambda _, message: heard.append(message.message))
    await conn.execute("DO $$ BEGIN RAISE NOTICE 'hello %', 1; END $$")
    await conn.execute("SET TimeZone = 'Asia/Tokyo'")
    await asyncio.sleep(0)
    equal(heard, ["hello 1"])
    equal(await conn.fetchval("SELECT timestamptz '2026-01-01 00:00+00' :: text"), "2026-01-01 09:00:00+09")
    equal(conn.get_settings().TimeZone, "Asia/Tokyo")
    await conn.reset()
    equal(await conn.fetchval("SHOW TimeZone"), conn.get_settings().TimeZone)
    assert conn.get_settings().TimeZone != "Asia/Tokyo"


async def notifications(conn):
    heard = asyncio.get_running_loop().create_future()
    await conn.add_listener("news", lambda _conn, _pid, channel, payload: heard.set_result((channel, payload)))
    other = await asyncpg.connect(URL)
    await other.execute("SELECT pg_notify($1, $2)", "news", "hello")
    await other.close()
    equal(await asyncio.wait_for(heard, 20), ("news", "hello"))


async def pools(_):
    async with asyncpg.create_pool(URL, min_size=2, max_size=8) as pool:

        async def one(number):
            async with pool.acquire() as conn, conn.transaction():
                await conn.execute("INSERT INTO items (id, name) VALUES ($1, $2)", number, f"pooled {number}")
                await conn.execute("INSERT INTO words VALUES ($1, $2)", number, f"word {number}")
            return await pool.fetchval("SELECT i.name || w.word FROM items i JOIN words w USING (id) WHERE id = $1", number)

        found = await asyncio.gather(*(one(number) for number in range(200, 240)))
        equal(found, [f"pooled {number}word {number}" for number in range(200, 240)])
        await pool.execute("DELETE FROM items WHERE id >= 200")


async def main():
    conn = await asyncpg.connect(URL)
    await conn.execute(TABLES)
    await conn.close()
    failed = []
    for story in (types, prepared, transactions, cursors, copies, failures, settings, notifications, pools):
        # A connection each, so that one that fails doesn't take the next ones with it.
        try:
            conn = await asyncpg.connect(URL, timeout=20)
            await asyncio.wait_for(story(conn), 40)
            await conn.close(timeout=10)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this story's failure
            trace = error.__traceback__
            lines = []
            while trace:
                lines.append(trace.tb_lineno)
                trace = trace.tb_next
            failed.append(f"{story.__name__} (lines {lines}): {type(error).__name__}: {error}")
    for failure in failed:
        print(failure)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
