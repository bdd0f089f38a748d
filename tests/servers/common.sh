# What the other files here share. Each of them is sourced by ./test.

say() { printf '%s\n' "$*" >&2; }

die() {
    say "test: $*"
    exit 1
}

# A port that nobody listens on, below those that outgoing connections get.
free_port() {
    python3 -c '
import random, socket
while True:
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", random.randrange(10240, 22240)))
        except OSError:
            continue
        print(s.getsockname()[1])
        break'
}

# wait_until NAME LOG COMMAND...: waits up to a minute until the command succeeds; shows the log when it never does.
wait_until() {
    local name=$1 log=$2
    shift 2
    for _ in $(seq 300); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.2
    done
    tail -n 30 "$log" >&2 || true
    die "$name didn't start"
}

# Ends a process that this script started, and waits for its end.
end_process() {
    local pid=$1
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

# Where the servers' files go: memory where there is enough of it. The tests create and drop hundreds of databases, and a disk's
# file system spends more time on their files than the tests spend on their statements.
scratch_folder() {
    local free
    free=$(df --output=avail -BG /dev/shm 2>/dev/null | tail -n 1 | tr -dc '0-9')
    if [[ -w /dev/shm && ${free:-0} -ge 6 ]]; then echo /dev/shm; else echo /tmp; fi
}
