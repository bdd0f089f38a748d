# PostgreSQL, in a cluster of its own.

postgres_bin=
postgres_data=

# PostgreSQL refuses to run as root.
as_postgres() {
    if ((EUID == 0)); then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

start_postgres() {
    local port folder=$work/postgres
    postgres_bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    port=$(free_port)
    mkdir "$folder"
    if ((EUID == 0)); then chown postgres: "$folder"; fi

    as_postgres "$postgres_bin/initdb" --pgdata "$folder/data" --username postgres --auth trust \
        --encoding UTF8 --locale C.UTF-8 --no-sync >"$work/initdb.log" 2>&1 || { cat "$work/initdb.log" >&2; die "initdb failed"; }
    # Logical decoding is there for what listens to changes.
    as_postgres tee -a "$folder/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
max_connections = ${postgres_connections:-200}
shared_buffers = ${postgres_memory:-128MB}
fsync = off
full_page_writes = off
timezone = 'UTC'
log_timezone = 'UTC'
wal_level = logical
CONF
    postgres_data=$folder/data
    as_postgres "$postgres_bin/pg_ctl" --pgdata "$postgres_data" --log "$folder/log" --silent --wait start </dev/null >&2 ||
        { cat "$folder/log" >&2; die "PostgreSQL didn't start"; }
    export FLYWHEEL_TEST_POSTGRES=postgres://postgres@127.0.0.1:$port/postgres
}

stop_postgres() {
    if [[ -n $postgres_data ]]; then
        as_postgres "$postgres_bin/pg_ctl" --pgdata "$postgres_data" --mode immediate --silent stop >&2 || true
    fi
}
