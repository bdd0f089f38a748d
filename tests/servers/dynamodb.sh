# DynamoDB Local: AWS's own emulator, from the npm package that carries it.

dynamodb_package=amplify-dynamodb-simulator@2.9.30
dynamodb_folder=$cache/${dynamodb_package/@/-}
dynamodb_pid=

fetch_dynamodb() {
    if [[ -d $dynamodb_folder ]]; then return; fi
    say "test: fetching $dynamodb_package"
    local part=$cache/dynamodb.part
    rm -rf "$part" && mkdir "$part"
    (cd "$part" && npm pack --loglevel=error "$dynamodb_package" >/dev/null && tar -xzf ./*.tgz package/emulator)
    # Renamed only when complete, so that a broken download is not taken for it.
    mv "$part/package/emulator" "$dynamodb_folder"
    rm -rf "$part"
}

# In a subshell, which closes the socket.
answers_http() (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf 'GET / HTTP/1.0\r\n\r\n' >&3
    read -r -t 5 line <&3 && [[ $line == HTTP/* ]]
)

start_dynamodb() {
    local port
    port=$(free_port)
    (
        cd "$dynamodb_folder"
        export DDB_LOCAL_TELEMETRY=0
        exec java -Xmx512m -Djava.library.path=./DynamoDBLocal_lib -jar DynamoDBLocal.jar -inMemory -port "$port"
    ) </dev/null >"$work/dynamodb.log" 2>&1 &
    dynamodb_pid=$!
    wait_until "DynamoDB Local" "$work/dynamodb.log" answers_http "$port"
    export FLYWHEEL_TEST_DYNAMODB=http://127.0.0.1:$port
}

stop_dynamodb() {
    if [[ -n $dynamodb_pid ]]; then end_process "$dynamodb_pid"; fi
}
