# Redis, without persistence.

redis_pid=

start_redis() {
    local port
    port=$(free_port)
    mkdir "$work/redis"
    redis-server --bind 127.0.0.1 --port "$port" --dir "$work/redis" --save '' --appendonly no \
        </dev/null >"$work/redis/log" 2>&1 &
    redis_pid=$!
    wait_until Redis "$work/redis/log" redis-cli -p "$port" ping
    export FLYWHEEL_TEST_REDIS=redis://127.0.0.1:$port
}

stop_redis() {
    if [[ -n $redis_pid ]]; then end_process "$redis_pid"; fi
}
