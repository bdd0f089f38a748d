# What the other files here share. Each of them is sourced by ./test.

say() { printf '%s\n' "$*" >&2; }

die() {
    say "test: $*"
    exit 1
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
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
