"""Runs pgbench against PostgreSQL directly, through PgBouncer and through Flywheel, case by case, and writes a table of ratios.

Started by benches/relay, which sets the environment. Each figure is the median of several rounds; in a round the three take turns, so that
what else the machine does hits them alike.
"""

import os
import pathlib
import resource
import socket
import struct
import subprocess
from urllib.parse import urlparse

from measure import BIN, QUICK, ROUNDS, SECONDS, WORK, machine, medians, pgbench, start_flywheel, version, write_section

DIRECT = os.environ["BENCH_POSTGRES"]
BOUNCER = os.environ["BENCH_PGBOUNCER"]
CLIENTS = [1, 8, 32] if QUICK else [1, 8, 32, 128, 1000]


def configuration():
    server = urlparse(DIRECT)
    return (
        f'listen = "127.0.0.1:0"\ndatabase = "postgres"\nauth = "trust"\nmax_connections = 12000\n\n'
        f'[stores.main]\nkind = "postgres"\nurl = "postgres://postgres@{server.hostname}:{server.port}/postgres"\npool_size = 20\n'
    )


def resident(pid):
    """Resident memory in MiB."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0


def idle_connections(url, pid, count):
    """Resident memory, in MiB, with that many logged-in clients that do nothing."""
    address = urlparse(url)
    body = b"user\0postgres\0database\0postgres\0\0"
    startup = struct.pack("!II", 8 + len(body), 196608) + body
    clients = []
    for _ in range(count):
        client = socket.create_connection((address.hostname, address.port))
        client.sendall(startup)
        clients.append(client)
    for client in clients:
        received = b""
        while not received.endswith(b"Z\0\0\0\5I"):
            piece = client.recv(4096)
            if not piece:
                raise SystemExit("an idle client was refused")
            received += piece
    memory = resident(pid)
    for client in clients:
        client.close()
    return memory


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    subprocess.run([BIN / "pgbench", "--initialize", "--quiet", "--scale", "10", DIRECT], check=True, capture_output=True)
    subprocess.run(
        ["psql", "--no-psqlrc", "--quiet", DIRECT],
        input="CREATE TABLE large (filler text); INSERT INTO large SELECT repeat('x', 100) FROM generate_series(1, 10000); VACUUM ANALYZE large;",
        text=True, check=True, capture_output=True,
    )
    large = WORK / "large.sql"
    large.write_text("SELECT filler FROM large;\n")
    flywheel, through = start_flywheel(configuration())
    lines = []
    try:
        all_three = {"direct": DIRECT, "PgBouncer": BOUNCER, "Flywheel": through}
        # PgBouncer before 1.21 knows no prepared statements in transaction mode.
        both = {"direct": DIRECT, "Flywheel": through}

        def row(case, clients, targets, *arguments):
            runs = medians({name: lambda url=url: pgbench(url, clients, *arguments) for name, url in targets.items()})
            direct, own, peer = runs["direct"], runs["Flywheel"], runs.get("PgBouncer")
            tail = f"{own.p99 / own.p50:.1f}" if own.p50 else "–"
            line = (
                f"| {case} | {clients} | {direct.tps:,.0f} | {f'{peer.tps:,.0f}' if peer else '–'} | {own.tps:,.0f} "
                f"| **{own.tps / direct.tps:.2f}** | {f'**{own.tps / peer.tps:.2f}**' if peer else '–'} | {tail} |"
            )
            lines.append(line)
            print(line, flush=True)

        for mode in ["simple", "extended", "prepared"]:
            for clients in CLIENTS:
                # PgBouncer 1.18 doesn't come through the logins of a thousand clients at once here.
                targets = both if mode == "prepared" or clients >= 1000 else all_three
                row(f"`pgbench -S -M {mode}`", clients, targets, "--select-only", "--protocol", mode)
        for clients in [1, 8]:
            row("10,000 rows of 100 bytes", clients, all_three, "--file", large)
        for clients in [8, 32]:
            row("TPC-B-like", clients, all_three, "--builtin", "tpcb-like")
        if not QUICK:
            count = min(10_000, hard - 1_000)
            memory = idle_connections(through, flywheel.pid, count)
            lines.append(f"\n{count:,} idle clients: {memory:.0f} MiB resident.")
            print(lines[-1])
    finally:
        flywheel.terminate()
        flywheel.wait()
    if not QUICK:
        write(lines)


def write(lines):
    versions = [version(BIN / "postgres", "--version"), version("pgbouncer", "--version")]
    head = (
        f"`benches/relay` on {machine()}; {', '.join(versions)}.\n"
        f"Transactions a second, the median of {ROUNDS} rounds of {SECONDS} s. The last column is Flywheel's p99 latency over its p50.\n\n"
        "| case | clients | direct | PgBouncer | Flywheel | ÷ direct | ÷ PgBouncer | p99 ÷ p50 |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    write_section("Relay", head + "\n".join(lines))


main()
