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
    if ! "$python" -c 'import pglast' >/dev/null 2>&1; then
        say "test: fetching pglast"
        "$python" -m pip install --quiet --disable-pip-version-check 'pglast>=8,<9' >&2
    fi
    fetch_statements
    if [[ ! -d $node/node_modules/pg ]]; then
        say "test: fetching pg"
        mkdir -p "$node"
        npm install --loglevel=error --no-audit --no-fund --prefix "$node" pg@8 >&2
    fi
}

# PostgreSQL's regression tests, which the sources of this crate have with them. It is only unpacked, never built.
fetch_statements() {
    local statements=$cache/statements
    [[ -d $statements/postgres_regress ]] && return
    say "test: fetching PostgreSQL's regression tests"
    mkdir -p "$statements/src"
    cat >"$statements/Cargo.toml" <<'END'
[package]
name = "statements"
edition = "2024"

[dependencies]
pg_raw_parse = "=0.1.0"

[workspace]
END
    echo 'fn main() {}' >"$statements/src/main.rs"
    local manifest
    manifest=$(cargo metadata --quiet --format-version 1 --manifest-path "$statements/Cargo.toml" |
        python3 -c 'import json, sys; print(next(p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "pg_raw_parse"))')
    cp -r "${manifest%/*}/libpg_query/test/sql/postgres_regress" "$statements/"
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
    export FLYWHEEL_TEST_STATEMENT_FILES=$cache/statements/postgres_regress
    # For NODE_PATH, as it is.
    export FLYWHEEL_TEST_NODE_PATH=$cache/node/node_modules
}
