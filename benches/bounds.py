"""Runs statements of growing size through Flywheel and writes a table of its memory, their time and the longest wait of a neighbour.

Started by benches/bounds, which sets the environment. Each figure is of a gateway of its own, which has done nothing else.
"""

import multiprocessing
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import time
from urllib.parse import urlparse

from measure import machine, write_section

WORK = pathlib.Path(os.environ["BENCH_WORK"])
FLYWHEEL = pathlib.Path(os.environ.get("BENCH_FLYWHEEL") or pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release/flywheel")
SERVER = urlparse(os.environ["BENCH_POSTGRES"])
QUICK = "--quick" in sys.argv
ONLY = [argument for argument in sys.argv[1:] if not argument.startswith("--")]

CONFIG = """listen = "127.0.0.1:0"
database = "postgres"
auth = "trust"

[limits]
max_fetch_rows = 1000000

[stores.main]
kind = "postgres"
url = "postgres://postgres@{server}/postgres"
pool_size = 5

[stores.memory]
kind = "memory"

[[tables]]
name = "public.bounds"
store = "memory"
allow_scan = true
"""


def message(tag, body=b""):
    return tag + struct.pack("!i", len(body) + 4) + body


def parse(sql):
    return message(b"P", b"\0" + sql.encode() + b"\0\0\0")


def bind(*values):
    values = b"".join(struct.pack("!i", len(value)) + value for value in map(str.encode, values))
    count = struct.pack("!h", values and 1 or 0)
    return message(b"B", b"\0\0\0\0" + count + values + b"\0\0")


EXECUTE = message(b"E", b"\0\0\0\0\0")
SYNC = message(b"S")


class Client:
    """A client that speaks no more of the protocol than it needs."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        body = struct.pack("!i", 196608) + b"user\0postgres\0database\0postgres\0\0"
        self.socket.sendall(struct.pack("!i", len(body) + 4) + body)
        self.until_ready()

    def next(self):
        while len(self.buffer) < 5 or len(self.buffer) < 1 + struct.unpack_from("!i", self.buffer, 1)[0]:
            piece = self.socket.recv(1 << 16)
            if not piece:
                raise SystemExit("the gateway has closed the connection")
            self.buffer += piece
        length = 1 + struct.unpack_from("!i", self.buffer, 1)[0]
        tag, body = bytes(self.buffer[:1]), bytes(self.buffer[5:length])
        del self.buffer[:length]
        return tag, body

    def until_ready(self):
        rows = 0
        while True:
            tag, body = self.next()
            if tag == b"E":
                raise SystemExit(f"error: {body}")
            rows += tag == b"D"
            if tag == b"Z":
                return rows

    def query(self, sql):
        self.socket.sendall(message(b"Q", sql.encode() + b"\0"))
        return self.until_ready()

    def extended(self, *messages):
        self.socket.sendall(b"".join(messages) + SYNC)
        return self.until_ready()


def neighbour(port, longest, stop):
    """Asks for something small again and again, and notes the longest wait."""
    client = Client(port)
    while not stop.is_set():
        start = time.perf_counter()
        client.query("SELECT 1")
        longest.value = max(longest.value, time.perf_counter() - start)
        time.sleep(0.001)


class Gateway:
    def __init__(self):
        config = WORK / "bounds.toml"
        config.write_text(CONFIG.format(server=f"{SERVER.hostname}:{SERVER.port}"))
        self.process = subprocess.Popen([FLYWHEEL, "--config", config], stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if found := re.search(r"listening on \S*:(\d+)", line):
                self.port = int(found[1])
                return
        raise SystemExit("flywheel didn't start")

    def memory(self, field="VmRSS"):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", status)[1]) / 1024

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def stop(self):
        self.process.kill()
        self.process.wait()


def tuples(start, count, width=0):
    return ",".join(f"({n},'{'x' * width}')" for n in range(start, start + count))


def insert(client, port, rows):
    client.query(f"INSERT INTO bounds VALUES {tuples(0, rows)}")


def savepoints(client, port, count):
    client.query("BEGIN")
    for n in range(count):
        client.query(f"SAVEPOINT s{n}; INSERT INTO bounds VALUES ({n}, 'x')")
    client.query("COMMIT")


def fill(client, port, rows):
    for start in range(0, rows, 1000):
        client.query(f"INSERT INTO bounds VALUES {tuples(start, min(1000, rows - start))}")


def fill_thousand(client, port, _):
    fill(client, port, 1000)


def any_keys(client, port, keys):
    array = "{" + ",".join(map(str, range(keys))) + "}"
    if client.extended(parse("SELECT name FROM bounds WHERE id = ANY($1)"), bind(array), EXECUTE) != min(keys, 1000):
        raise SystemExit("other rows than there are")


def in_list(client, port, keys):
    if client.query(f"SELECT name FROM bounds WHERE id IN ({','.join(map(str, range(keys)))})") != min(keys, 1000):
        raise SystemExit("other rows than there are")


def store_texts(client, port, count):
    for n in range(count):
        client.query(f"INSERT INTO bounds VALUES {tuples(n * 1000, 1000)}")


def relayed_texts(client, port, count):
    for n in range(count):
        client.query(f"SELECT * FROM (VALUES {tuples(n * 1000, 2000)}) AS v (a, b) JOIN pg_class ON false")


def ahead(client, port, rows):
    client.query("CREATE TEMPORARY TABLE ahead (a int, b text)")
    client.socket.sendall(parse("INSERT INTO ahead VALUES ($1::text::int, 'x')"))
    # As a driver that reads while it writes.
    reading = multiprocessing.get_context("fork").Process(target=client.until_ready)
    reading.start()
    for start in range(0, rows, 1000):
        client.socket.sendall(b"".join(bind(str(n)) + EXECUTE for n in range(start, start + 1000)))
    client.socket.sendall(SYNC)
    reading.join()


def fill_wide(client, port, megabytes):
    for n in range(megabytes):
        client.query(f"INSERT INTO bounds VALUES {tuples(n * 100, 100, 10000)}")


def unread(client, port, megabytes):
    client.socket.sendall(message(b"Q", b"SELECT * FROM bounds\0"))
    time.sleep(1 + megabytes / 20)


def half_sent(client, port, clients):
    clients = [Client(port) for _ in range(clients)]
    for each in clients:
        each.socket.sendall(b"Q" + struct.pack("!i", 20_000_000) + b"SELECT '" + b"x" * 10_000_000)
    time.sleep(0.5)


def half_login(client, port, clients):
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(clients)]
    for each in sockets:
        each.sendall(struct.pack("!ii", 10000, 196608) + b"user\0" + b"x" * 9000)
    time.sleep(0.5)


CASES = {
    "insert": ("An INSERT of so many rows into a store table", insert, None, (5000, 10000, 20000, 40000)),
    "savepoints": ("A block with so many savepoints, each with a write to a store table", savepoints, None, (500, 1000, 2000, 4000)),
    "any": ("`= ANY($1)` of so many keys", any_keys, fill_thousand, (5000, 12500, 25000, 50000)),
    "in": ("`IN (…)` of so many keys", in_list, fill_thousand, (5000, 12500, 25000, 50000)),
    "store_texts": ("So many texts of 14 kB on a store table", store_texts, None, (50, 100, 200)),
    "relayed_texts": ("So many relayed texts of 28 kB", relayed_texts, None, (100, 200, 400)),
    "ahead": ("So many executions with one Sync", ahead, None, (50000, 100000, 200000)),
    "unread": ("A result of so many MB of a store table that isn't read", unread, fill_wide, (20, 40, 80)),
    "half_sent": ("So many clients that have sent 10 MB of a message", half_sent, None, (2, 4, 8)),
    "half_login": ("So many clients that have sent half a login", half_login, None, (100, 200, 400)),
}


def measure(run, prepare, size):
    """Memory in MB, seconds, and the longest wait in ms."""
    gateway = Gateway()
    stop, longest = multiprocessing.Event(), multiprocessing.Value("d", 0.0)
    try:
        client = Client(gateway.port)
        client.query("DROP TABLE IF EXISTS bounds")
        client.query("CREATE TABLE bounds (id int PRIMARY KEY, name text)")
        if prepare:
            prepare(client, gateway.port, size)
        beside = multiprocessing.Process(target=neighbour, args=(gateway.port, longest, stop))
        beside.start()
        time.sleep(0.5)
        longest.value = 0.0
        before = gateway.memory()
        gateway.forget_peak()
        start = time.perf_counter()
        run(client, gateway.port, size)
        seconds = time.perf_counter() - start
        result = gateway.memory("VmHWM") - before, seconds, longest.value * 1000
        stop.set()
        beside.join()
        return result
    finally:
        stop.set()
        gateway.stop()


def main():
    lines = [f"{machine()}.", "", "| what | size | memory, MB | time, s | a neighbour's longest wait, ms |", "| --- | --- | --- | --- | --- |"]
    for name, (title, run, prepare, sizes) in CASES.items():
        if ONLY and name not in ONLY:
            continue
        for size in sizes[:2] if QUICK else sizes:
            memory, seconds, wait = measure(run, prepare, size)
            lines.append(f"| {title} | {size:,} | {memory:.1f} | {seconds:.2f} | {wait:.0f} |")
            print(lines[-1], flush=True)
    if not QUICK and not ONLY:
        write_section("Bounds", "\n".join(lines))


if __name__ == "__main__":
    main()
