"""Runs pgbench against PostgreSQL directly and through Flywheel, with a cache and without, and writes a table of ratios.

Started by benches/cache, which sets the environment. Each figure is the median of several rounds; in a round the targets take turns, so that
what else the machine does hits them alike.
"""

import os
import pathlib
import re
import statistics
import subprocess
import sys
from urllib.parse import urlparse

from measure import write_section

WORK = pathlib.Path(os.environ["BENCH_WORK"])
BIN = pathlib.Path(os.environ["BENCH_BIN"])
DIRECT = os.environ["BENCH_POSTGRES"]
FLYWHEEL = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release/flywheel"
QUICK = "--quick" in sys.argv
SECONDS = 2 if QUICK else int(os.environ.get("BENCH_SECONDS", "4"))
ROUNDS = 1 if QUICK else int(os.environ.get("BENCH_ROUNDS", "3"))
CLIENTS = 64
TICKS = os.sysconf("SC_CLK_TCK")

SCRIPTS = {
    # A few keys, so that all of them are kept.
    "key": "\\set id random(1, 1000)\nSELECT filler FROM items WHERE id = :id;\n",
    "aggregate": "SELECT count(*), sum(n), avg(n) FROM items;\n",
    # A key is hardly ever asked for twice.
    "miss": "\\set id random(1, 1000000000)\nSELECT filler FROM items WHERE id = :id;\n",
}


class Gateway:
    def __init__(self, name, rules):
        server = urlparse(DIRECT)
        config = WORK / f"{name}.toml"
        config.write_text(
            f'listen = "127.0.0.1:0"\ndatabase = "postgres"\nauth = "trust"\n\n'
            f'[stores.main]\nkind = "postgres"\nurl = "postgres://postgres@{server.hostname}:{server.port}/postgres"\npool_size = 20\n{rules}'
        )
        self.process = subprocess.Popen([FLYWHEEL, "--config", config], stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if found := re.search(r"listening on (\S+)", line):
                self.url = f"postgres://postgres@{found[1].rstrip(',')}/postgres"
                return
        raise SystemExit("flywheel didn't start")

    def processor_seconds(self):
        """Its own and the system's for it."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return [int(fields[at]) / TICKS for at in (11, 12)]

    def stop(self):
        self.process.terminate()
        self.process.wait()


def pgbench(url, script, mode="prepared", clients=CLIENTS):
    """Transactions, and transactions a second."""
    command = [
        BIN / "pgbench", "--no-vacuum", "--client", str(clients), "--jobs", str(min(clients, 2)), "--time", str(SECONDS),
        "--protocol", mode, "--file", WORK / f"{script}.sql", url,
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    rate = re.search(r"tps = ([0-9.]+)", done.stdout)
    number = re.search(r"transactions actually processed: (\d+)", done.stdout)
    if done.returncode != 0 or rate is None or number is None:
        raise SystemExit(f"pgbench failed at {url}: {script}\n{done.stdout}\n{done.stderr}")
    return int(number[1]), float(rate[1])


def rates(script, targets, mode="prepared"):
    """The median rate of each target."""
    rounds = [{name: pgbench(url, script, mode)[1] for name, url in targets.items()} for _ in range(ROUNDS)]
    return {name: statistics.median(each[name] for each in rounds) for name in targets}


def main():
    subprocess.run(
        ["psql", "--no-psqlrc", "--quiet", DIRECT],
        input="CREATE TABLE items (id int PRIMARY KEY, n int, filler text); "
        "INSERT INTO items SELECT i, i % 100, repeat('x', 84) FROM generate_series(1, 100000) i; VACUUM ANALYZE items;",
        text=True, check=True, capture_output=True,
    )
    for name, script in SCRIPTS.items():
        (WORK / f"{name}.sql").write_text(script)
    rule = '\n[[cache]]\nwhen = { tables = ["items"] }\nttl = "1h"\n'
    cached, plain = Gateway("cached", rule), Gateway("plain", "")
    lines = []

    def row(case, direct, without, with_cache):
        line = f"| {case} | {direct:,.0f} | {without:,.0f} | {with_cache:,.0f} | **{with_cache / direct:.2f}** | **{with_cache / without:.2f}** |"
        lines.append(line)
        print(line, flush=True)

    try:
        targets = {"direct": DIRECT, "plain": plain.url, "cached": cached.url}
        for mode in ["prepared", "extended", "simple"]:
            found = rates("key", targets, mode)
            row(f"read by key, all hits, {mode}", found["direct"], found["plain"], found["cached"])
        found = rates("aggregate", targets)
        row("aggregate over 100,000 rows, all hits, prepared", found["direct"], found["plain"], found["cached"])
        found = rates("miss", targets)
        row("read by key, no hits, prepared", found["direct"], found["plain"], found["cached"])
        before = cached.processor_seconds()
        number, _ = pgbench(cached.url, "key")
        own, system = ((now - then) / number * 1e6 for now, then in zip(cached.processor_seconds(), before))
        lines.append(f"\nA prepared hit costs the gateway {own:.1f} µs of processor time, and the system {system:.1f} µs for its reading from and writing to the client's socket.")
        print(lines[-1])
    finally:
        cached.stop()
        plain.stop()
    if not QUICK:
        write(lines)


def write(lines):
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    version = subprocess.run([BIN / "postgres", "--version"], capture_output=True, text=True).stdout.strip()
    head = (
        f"`benches/cache` on {os.cpu_count()} × {model}, everything on this one machine; {version}.\n"
        f"Transactions a second with {CLIENTS} clients, the median of {ROUNDS} rounds of {SECONDS} s.\n\n"
        "| case | direct | Flywheel, no rule | Flywheel, with a rule | ÷ direct | ÷ no rule |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
    )
    write_section("Answers from memory", head + "\n".join(lines))


main()
