# PgBouncer in transaction mode, as a peer to measure beside.

pgbouncer_pid=
pgbouncer_url=

ensure_pgbouncer() {
    if ! has pgbouncer; then install_packages pgbouncer; fi
}

start_pgbouncer() {
    local port server folder=$work/pgbouncer as=()
    port=$(free_port)
    server=${FLYWHEEL_TEST_POSTGRES##*:}
    mkdir "$folder"
    cat >"$folder/pgbouncer.ini" <<CONF
[databases]
postgres = host=127.0.0.1 port=${server%%/*} dbname=postgres user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 20
max_client_conn = 12000
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
logfile = $folder/log
CONF
    if ((EUID == 0)); then # PgBouncer refuses to run as root.
        chown -R postgres: "$folder"
        as=(runuser -u postgres --)
    fi
    "${as[@]}" pgbouncer --quiet "$folder/pgbouncer.ini" </dev/null >>"$folder/out" 2>&1 &
    pgbouncer_pid=$!
    pgbouncer_url=postgres://postgres@127.0.0.1:$port/postgres
    wait_until PgBouncer "$folder/log" psql --no-psqlrc --quiet --command 'SELECT 1' "$pgbouncer_url"
}

stop_pgbouncer() {
    if [[ -n $pgbouncer_pid ]]; then end_process "$pgbouncer_pid"; fi
}
