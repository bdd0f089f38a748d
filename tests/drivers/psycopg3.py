"""psycopg 3, as an application in Python uses it: psycopg3.py URL

The table `items` may live in any store, `words` is relational. Plain PostgreSQL passes too.
"""

import sys
import threading
import uuid
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import psycopg
from psycopg import errors
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

URL = sys.argv[1]
TABLES = """
CREATE TABLE items (
    id int PRIMARY KEY, name text NOT NULL, price numeric(12, 2), tags jsonb, owner uuid, at timestamptz, raw bytea, day date,
    done boolean, score float8, big bigint, labels text[]
);
CREATE TABLE words (id int PRIMARY KEY, word text NOT NULL UNIQUE);
"""
AT = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5)))
ITEM = {
    "id": 1, "name": "naïve ☃ 'quoted' \\", "price": Decimal("12345678.90"), "tags": {"a": [1, None, "ü"]}, "owner": uuid.UUID(int=7),
    "at": AT, "raw": b"\x00\xff\\", "day": AT.date(), "done": True, "score": 0.1, "big": 2**63 - 1, "labels": ["a", "b,c", None, '"'],
}


def equal(found, expected):
    assert found == expected, f"expected {expected!r}, found {found!r}"


def ids(conn, table="items"):
    return [row[0] for row in conn.execute(f"SELECT id FROM {table} ORDER BY id").fetchall()]


def put(conn, **values):
    values = {"name": "thing", **values}
    values = {name: Jsonb(value) if name == "tags" else value for name, value in values.items()}
    places = ", ".join(f"%({name})s" for name in values)
    return conn.execute(f"INSERT INTO items ({', '.join(values)}) VALUES ({places})", values)


def fails(conn, error, sql, parameters=None, table=None, constraint=None, column=None):
    try:
        conn.execute(sql, parameters)
    except error as raised:
        for name, wanted in (("table_name", table), ("constraint_name", constraint), ("column_name", column)):
            if wanted:
                equal(getattr(raised.diag, name), wanted)
        return raised
    raise AssertionError(f"{sql}: no {error.__name__}")


def types(conn):
    equal(put(conn, **ITEM).rowcount, 1)
    put(conn, id=2, tags=None)
    for binary in (False, True):
        with conn.cursor(binary=binary, row_factory=dict_row) as cursor:
            found = cursor.execute("SELECT * FROM items WHERE id = %s", [1], binary=binary).fetchone()
            equal(found, ITEM)
            found = cursor.execute("SELECT * FROM items WHERE id = %s", [2]).fetchone()
            equal({name for name, value in found.items() if value is not None}, {"id", "name"})
            found = cursor.execute("SELECT count(*) AS n, max(price) AS price, max(at) AS at FROM items").fetchone()
            equal(found, {"n": 2, "price": ITEM["price"], "at": AT})
    parameters = {**ITEM, "tags": Jsonb(ITEM["tags"])}
    for name in ("name", "price", "tags", "owner", "at", "raw", "day", "done", "score", "big", "labels"):
        found = conn.execute(f"SELECT id FROM items WHERE {name} = %s", [parameters[name]]).fetchall()
        equal((name, found), (name, [(1,)]))


def prepared(conn):
    for number in range(3, 13):
        conn.execute("INSERT INTO items (id, name) VALUES (%s, %s)", [number, f"item {number}"], prepare=True)
    for number in range(3, 13):
        found = conn.execute("SELECT name FROM items WHERE id = %s", [number], prepare=True).fetchone()
        equal(found, (f"item {number}",))
        equal(conn.execute("SELECT %s::int + 1", [number], prepare=True).fetchone(), (number + 1,))
    # Past the fifth time psycopg prepares by itself.
    for number in range(3, 13):
        equal(conn.execute("UPDATE items SET big = %s WHERE id = %s", [number, number]).rowcount, 1)
    equal(conn.execute("SELECT sum(big) FROM items WHERE id BETWEEN 3 AND 12").fetchone(), (Decimal(75),))
    equal(conn.execute("DELETE FROM items WHERE id >= 3").rowcount, 10)
    conn.execute("DEALLOCATE ALL")


def pipelines(conn):
    with conn.pipeline():
        cursors = [conn.execute("INSERT INTO items (id, name) VALUES (%s, 'pipelined') RETURNING id", [number]) for number in range(20, 30)]
        words = [conn.execute("INSERT INTO words VALUES (%s, %s) RETURNING word", [number, f"word {number}"]) for number in range(20, 30)]
        both = conn.execute("SELECT i.name, w.word FROM items i JOIN words w ON w.id = i.id WHERE i.id = 25")
        equal([cursor.fetchone()[0] for cursor in cursors], list(range(20, 30)))
        equal(words[3].fetchone(), ("word 23",))
        equal(both.fetchone(), ("pipelined", "word 25"))
    # An error ends its pipeline; what was in it is undone together.
    try:
        with conn.pipeline():
            put(conn, id=30)
            put(conn, id=20)
            put(conn, id=31)
    except errors.UniqueViolation as raised:
        equal(raised.diag.constraint_name, "items_pkey")
    else:
        raise AssertionError("no UniqueViolation")
    equal(conn.info.transaction_status.name, "IDLE")
    equal(ids(conn), [1, 2, *range(20, 30)])
    conn.execute("DELETE FROM items WHERE id >= 20")
    conn.execute("DELETE FROM words")


def transactions(conn):
    with conn.transaction():
        put(conn, id=40)
        conn.execute("INSERT INTO words VALUES (40, 'kept')")
        try:
            with conn.transaction():
                put(conn, id=41)
                conn.execute("INSERT INTO words VALUES (41, 'gone')")
                equal(ids(conn), [1, 2, 40, 41])
                raise psycopg.Rollback()
        finally:
            equal(ids(conn), [1, 2, 40])
        try:
            with conn.transaction():
                put(conn, id=42)
                put(conn, id=1)
        except errors.UniqueViolation:
            pass
        equal(ids(conn), [1, 2, 40])
    equal((ids(conn), ids(conn, "words")), ([1, 2, 40], [40]))
    try:
        with conn.transaction():
            conn.execute("DELETE FROM items")
            conn.execute("DELETE FROM words")
            raise KeyError("application")
    except KeyError:
        pass
    equal((ids(conn), ids(conn, "words")), ([1, 2, 40], [40]))
    conn.execute("DELETE FROM items WHERE id = 40")
    conn.execute("DELETE FROM words")


def many(conn):
    with conn.cursor() as cursor:
        cursor.executemany("INSERT INTO items (id, name) VALUES (%s, %s)", [(number, f"many {number}") for number in range(50, 70)])
        equal(cursor.rowcount, 20)
        cursor.executemany("UPDATE items SET name = %s WHERE id = %s RETURNING id", [("a", 50), ("b", 51)], returning=True)
        found = []
        while True:
            found += cursor.fetchall()
            if not cursor.nextset():
                break
        equal(found, [(50,), (51,)])
        try:
            cursor.executemany("INSERT INTO items (id, name) VALUES (%s, 'x')", [(70,), (50,), (71,)])
        except errors.UniqueViolation:
            pass
        else:
            raise AssertionError("no UniqueViolation")
    equal(conn.execute("SELECT count(*) FROM items WHERE id BETWEEN 50 AND 69").fetchone(), (20,))
    conn.execute("DELETE FROM items WHERE id >= 50")


def copies(conn):
    with conn.cursor() as cursor:
        with cursor.copy("COPY words (id, word) FROM STDIN") as copy:
            for number in range(1000):
                copy.write_row((number, f"word\t{number}"))
        equal(cursor.rowcount, 1000)
        with cursor.copy("COPY words FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            copy.write_row((1000, "binary"))
        with cursor.copy("COPY (SELECT * FROM words WHERE id IN (1, 1000) ORDER BY id) TO STDOUT") as copy:
            copy.set_types(["int4", "text"])
            equal(list(copy.rows()), [(1, "word\t1"), (1000, "binary")])
        with cursor.copy("COPY (SELECT id, name FROM items ORDER BY id) TO STDOUT") as copy:
            copy.set_types(["int4", "text"])
            equal(list(copy.rows()), [(1, ITEM["name"]), (2, "thing")])
        # With a parameter the statement goes by the extended protocol.
        with cursor.copy("COPY (SELECT id FROM words WHERE word = %s) TO STDOUT", ["binary"]) as copy:
            equal(b"".join(copy), b"1000\n")
        try:
            with cursor.copy("COPY words FROM STDIN") as copy:
                copy.write_row((1, "again"))
        except errors.UniqueViolation as raised:
            equal(raised.diag.table_name, "words")
        else:
            raise AssertionError("no UniqueViolation")
        try:
            with cursor.copy("COPY words FROM STDIN") as copy:
                raise KeyError("application")
        except KeyError:
            pass
    equal(conn.execute("SELECT count(*) FROM words").fetchone(), (1001,))
    conn.execute("DELETE FROM words")


def failures(conn):
    for sql in ("INSERT INTO items (id, name) VALUES (1, 'x')", "INSERT INTO items (id, name) SELECT 1, 'x'"):
        error = fails(conn, errors.UniqueViolation, sql, table="items", constraint="items_pkey")
        equal(error.diag.message_detail, "Key (id)=(1) already exists.")
    fails(conn, errors.NotNullViolation, "INSERT INTO items (id) VALUES (%s)", [9], table="items", column="name")
    fails(conn, errors.NotNullViolation, "UPDATE items SET name = %s WHERE id = 1", [None], table="items", column="name")
    fails(conn, errors.UndefinedTable, "SELECT * FROM nowhere")
    fails(conn, errors.UndefinedColumn, "SELECT nothing FROM items")
    fails(conn, errors.NumericValueOutOfRange, "INSERT INTO items (id, name, price) VALUES (9, 'x', 12345678901)")
    fails(conn, errors.InvalidTextRepresentation, "SELECT * FROM items WHERE owner = 'x'")
    fails(conn, errors.SyntaxError, "SELEC * FROM items")
    conn.execute("INSERT INTO words VALUES (1, 'one')")
    fails(conn, errors.UniqueViolation, "INSERT INTO words VALUES (2, 'one')", table="words", constraint="words_word_key")
    conn.execute("DELETE FROM words")
    equal(ids(conn), [1, 2])


def cursors(conn):
    with conn.transaction():
        with conn.cursor() as cursor:
            cursor.executemany("INSERT INTO items (id, name) VALUES (%s, 'cursor')", [(number,) for number in range(100, 110)])
        with conn.cursor(name="relational") as cursor:
            cursor.itersize = 7
            cursor.execute("SELECT i FROM generate_series(1, 20) i")
            equal([row[0] for row in cursor], list(range(1, 21)))
        with conn.cursor(name="stored") as cursor:
            cursor.itersize = 3
            cursor.execute("SELECT id FROM items WHERE id >= %s ORDER BY id", [100])
            equal([row[0] for row in cursor], list(range(100, 110)))
        raise psycopg.Rollback()


def notices(conn):
    heard = []
    conn.add_notice_handler(lambda diag: heard.append((diag.severity, diag.message_primary)))
    conn.execute("DO $$ BEGIN RAISE NOTICE 'hello %', 1; RAISE WARNING 'careful'; END $$")
    conn.execute("DROP TABLE IF EXISTS nowhere")
    equal(heard, [("NOTICE", "hello 1"), ("WARNING", "careful"), ("NOTICE", 'table "nowhere" does not exist, skipping')])


def notifications(conn):
    conn.execute("LISTEN news")
    with psycopg.connect(URL, autocommit=True) as other:
        other.execute("NOTIFY news, 'first'")
    heard = [notify.payload for notify in conn.notifies(timeout=20, stop_after=1)]
    equal(heard, ["first"])
    conn.execute("UNLISTEN *")


def cancel(conn):
    timer = threading.Timer(1, conn.cancel)
    timer.start()
    fails(conn, errors.QueryCanceled, "SELECT pg_sleep(30)")
    timer.join()
    equal(conn.execute("SELECT 1").fetchone(), (1,))


def main():
    failed = []
    with psycopg.connect(URL, autocommit=True) as conn:
        conn.execute(TABLES)
    for story in (types, prepared, pipelines, transactions, many, copies, failures, cursors, notices, notifications, cancel):
        # A connection each, so that one that fails doesn't take the next ones with it.
        try:
            with psycopg.connect(URL, autocommit=True, connect_timeout=20) as conn:
                story(conn)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this story's failure
            line = error.__traceback__.tb_next.tb_lineno if error.__traceback__.tb_next else 0
            failed.append(f"{story.__name__} (line {line}): {type(error).__name__}: {error}")
    for failure in failed:
        print(failure)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
