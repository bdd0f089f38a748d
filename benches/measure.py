"""What benches/relay.py and benches/stores.py share: pgbench, the gateway under test, and the file of results."""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

WORK = pathlib.Path(os.environ["BENCH_WORK"])
BIN = pathlib.Path(os.environ["BENCH_BIN"])
RELEASE = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release"
QUICK = "--quick" in sys.argv
SECONDS = 2 if QUICK else int(os.environ.get("BENCH_SECONDS", "5"))
ROUNDS = 1 if QUICK else int(os.environ.get("BENCH_ROUNDS", "3"))
THREADS = 2
RESULTS = pathlib.Path("benches/RESULTS.md")


class Run:
    def __init__(self, tps, p50, p99):
        self.tps, self.p50, self.p99 = tps, p50, p99


def pgbench(url, clients, *arguments, seconds=SECONDS):
    """One run: transactions a second, and two percentiles of the latency in microseconds."""
    prefix = WORK / f"latency{time.monotonic_ns()}"
    command = [
        BIN / "pgbench", "--no-vacuum", "--client", str(clients), "--jobs", str(min(clients, THREADS)), "--time", str(seconds),
        "--log", "--log-prefix", prefix, "--sampling-rate", "0.1", *arguments, url,
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    if done.returncode != 0 or found is None:
        raise SystemExit(f"pgbench failed at {url} with {clients} clients {arguments}:\n{done.stdout}\n{done.stderr}")
    latencies = []
    for log in WORK.glob(prefix.name + "*"):
        with log.open() as lines:
            latencies.extend(int(line.split()[2]) for line in lines)
        log.unlink()
    latencies.sort()
    at = lambda share: latencies[int(len(latencies) * share)] if latencies else 0
    return Run(float(found[1]), at(0.50), at(0.99))


def medians(runs):
    """The median of several rounds for each of the named runs; in a round they take turns."""
    rounds = [{name: run() for name, run in runs.items()} for _ in range(ROUNDS)]
    median = lambda name, field: statistics.median(getattr(each[name], field) for each in rounds)
    return {name: Run(median(name, "tps"), median(name, "p50"), median(name, "p99")) for name in runs}


def start_flywheel(configuration):
    """The gateway with this configuration, and where it listens."""
    config = WORK / "flywheel.toml"
    config.write_text(configuration)
    process = subprocess.Popen([RELEASE / "flywheel", "--config", config], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if found := re.search(r"listening on (\S+)", line):
            return process, f"postgres://postgres@{found[1].rstrip(',')}/postgres"
    raise SystemExit("flywheel didn't start")


def machine():
    """The processors, as the results name them."""
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    return f"{os.cpu_count()} × {model}, everything on this one machine"


def version(*command):
    """The first line that a command says of its version."""
    return subprocess.run(list(map(str, command)), capture_output=True, text=True).stdout.splitlines()[0].strip()


def write_section(title, text):
    """Puts a section in the place of the one of this title in the results; the others stay."""
    sections = re.split(r"^## ", RESULTS.read_text(), flags=re.MULTILINE)[1:] if RESULTS.exists() else []
    section = f"{title}\n\n{text.strip()}\n\n"
    at = next((at for at, each in enumerate(sections) if each.startswith(title + "\n")), None)
    if at is None:
        sections.append(section)
    else:
        sections[at] = section
    RESULTS.write_text("# Results\n\n" + "".join("## " + each.strip() + "\n\n" for each in sections).strip() + "\n")
