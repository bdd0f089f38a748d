"""Runs statements on store tables through Flywheel beside the same on PostgreSQL and beside the stores' own clients, and writes tables of ratios.

Started by benches/stores, which sets the environment. Each figure is the median of several rounds; in a round the peers take turns, so that
what else the machine does hits them alike.
"""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from urllib.parse import urlparse

from measure import BIN, QUICK, RELEASE, ROUNDS, SECONDS, WORK, Run, machine, medians, pgbench, start_flywheel, version, write_section

DIRECT = os.environ["BENCH_POSTGRES"]
BOUNCER = os.environ["BENCH_PGBOUNCER"]
REDIS = urlparse(os.environ["BENCH_REDIS"])
DYNAMODB = os.environ["BENCH_DYNAMODB"]
ONLY = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else None
CLIENTS = 64
ITEMS = 10_000
MEMBERS = 1_000_000
# Of those who read the top, and of those who change scores meanwhile.
READERS, WRITERS = 16, 8
# For how long a report has been running, and Java been asked, when it is measured.
REPORT, WARM_UP = 30, 15


def wants(part):
    return ONLY in (None, part)


def configuration(dynoxide):
    server = urlparse(DIRECT)
    stores = {"local": DYNAMODB, "dynoxide": dynoxide} if dynoxide else {}
    dynamodb = "".join(
        f'[stores.{name}]\nkind = "dynamodb"\nregion = "eu-central-1"\nendpoint = "{endpoint}"\naccess_key_id = "test"\nsecret_access_key = "test"\n'
        f'[[tables]]\nname = "public.items_{name}"\nstore = "{name}"\n'
        for name, endpoint in stores.items()
    )
    return (
        f'listen = "127.0.0.1:0"\ndatabase = "postgres"\nauth = "trust"\n\n'
        f'[stores.main]\nkind = "postgres"\nurl = "postgres://postgres@{server.hostname}:{server.port}/postgres"\npool_size = 20\n'
        f'[stores.redis]\nkind = "redis"\nurl = "{REDIS.geturl()}"\n'
        f'[[tables]]\nname = "public.items_redis"\nstore = "redis"\n'
        f'[[tables]]\nname = "public.board_redis"\nstore = "redis"\nlayout = "sorted_set"\nscore = "score"\n'
        + dynamodb
    )


def psql(url, sql):
    subprocess.run(["psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", url], input=sql, text=True, check=True, capture_output=True)


def script(name, text):
    path = WORK / f"{name}.sql"
    path.write_text(text)
    return path


def items(name):
    return f"CREATE TABLE items_{name} (id int PRIMARY KEY, name text NOT NULL, price numeric(10,2), amount int, note text);\n"


ROW = "i, 'item number ' || i, i / 100.0, i % 50, repeat('x', 60)"


def point_read(name):
    return script(f"read_{name}", f"\\set id random(1, {ITEMS})\nSELECT * FROM items_{name} WHERE id = :id;\n")


def redis_benchmark(*command, requests=400_000):
    """Requests a second by Redis' own benchmark, one request under way for each client."""
    arguments = ["redis-benchmark", "-p", REDIS.port, "-P", 1, "-c", CLIENTS, "-n", requests // (8 if QUICK else 1), "--csv", *command]
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, check=True)
    last = done.stdout.strip().splitlines()[-1]
    return Run(float(re.findall(r'"([0-9.]+)"', last)[0]), 0, 0)


def measure_redis(through, lines):
    psql(DIRECT, items("postgres") + f"INSERT INTO items_postgres SELECT {ROW} FROM generate_series(1, {ITEMS}) i; VACUUM ANALYZE items_postgres;")
    psql(through, items("redis") + f"INSERT INTO items_redis SELECT {ROW} FROM generate_series(1, {ITEMS}) i;")
    own, peer = point_read("redis"), point_read("postgres")
    runs = medians({
        "Flywheel": lambda: pgbench(through, CLIENTS, "--protocol", "prepared", "--file", own),
        "Flywheel, extended": lambda: pgbench(through, CLIENTS, "--protocol", "extended", "--file", own),
        "direct": lambda: pgbench(DIRECT, CLIENTS, "--protocol", "prepared", "--file", peer),
        "PgBouncer": lambda: pgbench(BOUNCER, CLIENTS, "--protocol", "extended", "--file", peer),
        "redis-benchmark": lambda: redis_benchmark("hgetall", "{public.items_redis:42}"),
    })
    tps = {name: run.tps for name, run in runs.items()}
    own = tps["Flywheel"]
    add(lines, "PgBouncer → PostgreSQL, `-M extended`", own, tps["PgBouncer"], "row by key from Redis, `-M prepared`", 1.0)
    add(lines, "the same", tps["Flywheel, extended"], tps["PgBouncer"], "row by key from Redis, `-M extended`", 1.0)
    add(lines, "PostgreSQL directly, `-M prepared`", own, tps["direct"], "row by key from Redis, `-M prepared`", 1.0)
    add(lines, "`redis-benchmark -P 1 -c 64 hgetall`", own, tps["redis-benchmark"], "row by key from Redis, `-M prepared`", 0.5)


def send_scores(key):
    """A million members, sent as Redis' protocol."""
    connection = socket.create_connection((REDIS.hostname, REDIS.port))
    answers = connection.makefile("rb")
    step = 1000
    for start in range(0, MEMBERS, step):
        words = ["ZADD", key]
        for i in range(start, start + step):
            words += [str(i * 7919 % 1_000_003), str(i)]
        connection.sendall((f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)).encode())
        answers.readline()


def with_updates(url, update, run):
    """A run while others change scores; its result, and how many changes there were a second."""
    changes = []
    writer = threading.Thread(target=lambda: changes.append(pgbench(url, WRITERS, "--protocol", "prepared", "--file", update, seconds=SECONDS + 1)))
    writer.start()
    result = run()
    writer.join()
    CHANGES.setdefault(url, []).append(changes[0].tps)
    return result


CHANGES = {}


def measure_leaderboard(through, lines):
    definition = "CREATE TABLE {} (board text, member text, score bigint NOT NULL, PRIMARY KEY (board, member));\n"
    psql(through, definition.format("board_redis"))
    send_scores("{public.board_redis:week}")
    psql(
        DIRECT,
        definition.format("board_postgres")
        + f"INSERT INTO board_postgres SELECT 'week', i::text, i::bigint * 7919 % 1000003 FROM generate_series(0, {MEMBERS - 1}) i;\n"
        + "CREATE INDEX ON board_postgres (board, score DESC); VACUUM ANALYZE board_postgres;",
    )
    top = lambda name: script(f"top_{name}", f"SELECT member, score FROM board_{name} WHERE board = 'week' ORDER BY score DESC LIMIT 10;\n")
    # Prepared, a number of pgbench's is a parameter without a type: a text here.
    change = lambda name: script(
        f"change_{name}",
        f"\\set id random(0, {MEMBERS - 1})\n\\set score random(1, 1100000)\nUPDATE board_{name} SET score = :score WHERE board = 'week' AND member = :id;\n",
    )
    changes = {name: change(name) for name in ["redis", "postgres"]}
    tops = {name: top(name) for name in changes}
    read = lambda url, name: pgbench(url, READERS, "--protocol", "prepared", "--file", tops[name])
    runs = medians({
        "Flywheel": lambda: with_updates(through, changes["redis"], lambda: read(through, "redis")),
        "PostgreSQL": lambda: with_updates(DIRECT, changes["postgres"], lambda: read(DIRECT, "postgres")),
    })
    add(lines, "PostgreSQL directly, index on (board, score DESC)", runs["Flywheel"].tps, runs["PostgreSQL"].tps, f"top 10 of {MEMBERS:,} while scores change", 20)
    median = lambda values: sorted(values)[len(values) // 2]
    add(lines, "the same", median(CHANGES[through]), median(CHANGES[DIRECT]), "… and the changes meanwhile", None)
    measure_hot_leaderboard(through, tops, lines)
    psql(DIRECT, "DROP INDEX board_postgres_board_score_idx; ANALYZE board_postgres;")
    slow = pgbench(DIRECT, 2, "--protocol", "prepared", "--file", tops["postgres"])
    add(lines, "PostgreSQL directly, without that index, nothing else going on", runs["Flywheel"].tps, slow.tps, f"top 10 of {MEMBERS:,} while scores change", None)


def measure_hot_leaderboard(through, tops, lines):
    """Those at the top gain points most often, and a transaction that reads has been open for a while: a report, a backup, a replica's query.

    PostgreSQL must keep for it every index entry that a change leaves behind, and they lie where the top 10 are looked for."""
    # The member of a rank, as the scores were at first.
    inverse = pow(7919, -1, 1_000_003)
    gain = lambda name: script(
        f"gain_{name}",
        f"\\set rank random_zipfian(1, {MEMBERS}, 1.2)\n\\set id ((1000003 - :rank) * {inverse}) % 1000003\n\\set n random(1, 100)\n"
        f"UPDATE board_{name} SET score = score + :n WHERE board = 'week' AND member = :id;\n",
    )
    gains = {name: gain(name) for name in tops}
    report = subprocess.Popen([BIN / "psql", "-q", DIRECT], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    report.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM board_postgres;\n")
    report.stdin.flush()
    time.sleep(2)
    pgbench(DIRECT, WRITERS, "--protocol", "prepared", "--file", gains["postgres"], seconds=2 if QUICK else REPORT)
    read = lambda url, name: with_updates(url, gains[name], lambda: pgbench(url, READERS, "--protocol", "prepared", "--file", tops[name]))
    runs = medians({"Flywheel": lambda: read(through, "redis"), "PostgreSQL": lambda: read(DIRECT, "postgres")})
    report.stdin.close()
    report.wait()
    case = f"top 10 of {MEMBERS:,} while the best gain points, {REPORT} s into a report that runs beside"
    add(lines, "PostgreSQL directly, index on (board, score DESC)", runs["Flywheel"].tps, runs["PostgreSQL"].tps, case, 20)


def measure_dynamodb(through, dynoxide, lines):
    for name, endpoint, title in [("dynoxide", dynoxide, "dynoxide"), ("local", DYNAMODB, "DynamoDB Local")]:
        # A transaction of DynamoDB has at most 100 rows.
        inserts = [f"INSERT INTO items_{name} SELECT {ROW} FROM generate_series({start}, {start + 99}) i;\n" for start in range(1, 2000, 100)]
        psql(through, items(name) + "".join(inserts))
        text = point_read(name)
        text.write_text(text.read_text().replace(str(ITEMS), "2000"))
        program = [RELEASE / "examples/point_reads", endpoint, f"public.items_{name}", "id", 2000, CLIENTS, SECONDS]
        sdk = lambda: Run(float(subprocess.run(list(map(str, program)), capture_output=True, text=True, check=True).stdout), 0, 0)
        if name == "local" and not QUICK:
            pgbench(through, CLIENTS, "--protocol", "prepared", "--file", text, seconds=WARM_UP)
        runs = medians({
            "Flywheel": lambda: pgbench(through, CLIENTS, "--protocol", "prepared", "--file", text),
            "SDK": sdk,
        })
        add(lines, "the AWS SDK's own loop (Rust)", runs["Flywheel"].tps, runs["SDK"].tps, f"row by key from {title}", 0.9)


def add(lines, peer_name, own, peer, case, wanted):
    line = f"| {case} | {own:,.0f} | {peer_name} | {peer:,.0f} | **{own / peer:.2f}** | {f'{wanted:g}' if wanted else '–'} |"
    lines.append(line)
    print(line, flush=True)


def main():
    processes, dynoxide = [], None
    if wants("dynamodb"):
        processes.append(subprocess.Popen([RELEASE / "examples/dynoxide"], stdout=subprocess.PIPE, text=True))
        dynoxide = processes[0].stdout.readline().strip()
    flywheel, through = start_flywheel(configuration(dynoxide))
    processes.append(flywheel)
    lines = []
    try:
        if wants("redis"):
            measure_redis(through, lines)
        if wants("leaderboard"):
            measure_leaderboard(through, lines)
        if wants("dynamodb"):
            measure_dynamodb(through, dynoxide, lines)
    finally:
        for each in processes:
            each.terminate()
            each.wait()
    if not QUICK and ONLY is None:
        versions = [version(BIN / "postgres", "--version"), version("pgbouncer", "--version"), version("redis-server", "--version").split(" sha")[0]]
        head = (
            f"`benches/stores` on {machine()}; {', '.join(versions)}.\n"
            f"Statements or requests a second with {CLIENTS} clients (the leaderboard: {READERS} readers, {WRITERS} writers), the median of {ROUNDS} rounds of {SECONDS} s. "
            f"PgBouncer before 1.21 knows no prepared statements in transaction mode, so it is asked with the extended protocol. Rows have five columns; redis-benchmark reads the same hash.\n\n"
            "| case | Flywheel | beside | there | Flywheel ÷ it | wanted |\n| --- | --- | --- | --- | --- | --- |\n"
        )
        write_section("Stores", head + "\n".join(lines))


main()
