# Drivers in other languages, which the tests run against the gateway.

fetch_clients() {
    local python=$cache/python/bin/python node=$cache/node
    if ! "$python" -c 'import psycopg; assert psycopg.pq.__impl__ == "binary"' >/dev/null 2>&1; then
        say "test: fetching psycopg"
        rm -rf "$cache/python"
        python3 -m venv "$cache/python"
        "$python" -m pip install --quiet --disable-pip-version-check 'psycopg[binary]>=3.1,<4' >&2
    fi
    if [[ ! -d $node/node_modules/pg ]]; then
        say "test: fetching pg"
        mkdir -p "$node"
        npm install --loglevel=error --no-audit --no-fund --prefix "$node" pg@8 >&2
    fi
}

export_clients() {
    export FLYWHEEL_TEST_PYTHON=$cache/python/bin/python
    # For NODE_PATH, as it is.
    export FLYWHEEL_TEST_NODE_PATH=$cache/node/node_modules
}
