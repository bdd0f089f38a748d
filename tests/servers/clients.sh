# Drivers in other languages, which the tests run against the gateway.

pgjdbc=/usr/share/java/postgresql.jar

fetch_clients() {
    local python=$cache/python/bin/python node=$cache/node
    if ! "$python" -c 'import psycopg; assert psycopg.pq.__impl__ == "binary"' >/dev/null 2>&1; then
        say "test: fetching psycopg"
        rm -rf "$cache/python"
        python3 -m venv "$cache/python"
        "$python" -m pip install --quiet --disable-pip-version-check 'psycopg[binary]>=3.1,<4' >&2
    fi
    if ! "$python" -c 'import asyncpg' >/dev/null 2>&1; then
        say "test: fetching asyncpg"
        "$python" -m pip install --quiet --disable-pip-version-check 'asyncpg>=0.29,<1' >&2
    fi
    if [[ ! -d $node/node_modules/pg ]]; then
        say "test: fetching pg"
        mkdir -p "$node"
        npm install --loglevel=error --no-audit --no-fund --prefix "$node" pg@8 >&2
    fi
}

# Go and Java are compiled, anew only when the script has changed.
build_clients() {
    local scripts=$repo/tests/drivers built=$cache/compiled
    mkdir -p "$built"
    if [[ ! $built/lib_pq -nt $scripts/lib_pq.go ]]; then
        say "test: compiling lib_pq.go"
        # Debian's packages are in a GOPATH; nothing is fetched.
        GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=$cache/go CGO_ENABLED=0 go build -o "$built/lib_pq" "$scripts/lib_pq.go" >&2
    fi
    if [[ ! $built/PgJdbc.class -nt $scripts/PgJdbc.java ]]; then
        say "test: compiling PgJdbc.java"
        javac -encoding UTF-8 -cp "$pgjdbc" -d "$built" "$scripts/PgJdbc.java" >&2
    fi
}

export_clients() {
    export FLYWHEEL_TEST_GO=$cache/compiled/lib_pq
    export FLYWHEEL_TEST_JAVA=$cache/compiled:$pgjdbc
    export FLYWHEEL_TEST_PYTHON=$cache/python/bin/python
    # For NODE_PATH, as it is.
    export FLYWHEEL_TEST_NODE_PATH=$cache/node/node_modules
}
