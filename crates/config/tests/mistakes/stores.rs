//! `[stores.…]`

use super::{WELL, adding, has, replacing};

#[test]
fn kinds() {
    let kinds =
        "`kind` is one of: postgres, dynamodb, redis, memory, embedded-dynamodb, embedded-postgres";
    let near = format!("did you mean \"redis\"? {kinds}");
    adding(&[
        ("[stores.more]\nkind = \"sqlite\"\n", (11, 8, "unknown kind \"sqlite\"", kinds)),
        ("[stores.more]\nkind = \"redsi\"\n", (11, 8, "unknown kind \"redsi\"", &near)),
        ("[stores.more]\nkind = 5\n", (11, 8, "`kind` is an integer", kinds)),
        ("[stores.more]\nurl = \"redis://cache\"\n", (10, 1, "`more` has no `kind`", kinds)),
        (
            "[stores]\nmore = \"redis://cache\"\n",
            (11, 8, "`more` is a string", "`more` must be a table"),
        ),
    ]);
}

#[test]
fn one_is_postgresql() {
    has(
        "auth = \"trust\"\n[stores.fast]\nkind = \"memory\"\n",
        &[(
            2,
            2,
            "no store is PostgreSQL",
            "add one with kind = \"postgres\" or kind = \"embedded-postgres\": it holds every table's definition",
        )],
    );
    // Whatever their names are, the first is right.
    let two = (
        11,
        8,
        "there are two PostgreSQL stores",
        "exactly one store is the catalogue; others are `replicas` of it",
    );
    adding(&[
        ("[stores.another]\nkind = \"embedded-postgres\"\n", two),
        ("[stores.other]\nkind = \"postgres\"\nurl = \"postgres://app@db/app\"\n", two),
    ]);
}

#[test]
fn postgres() {
    let help = "write postgres://user:password@host:port/database, with %2F for / in a password; …";
    let url = |url: &str, message: &str| {
        has(&WELL.replace("postgres://app@db/app", url), &[(4, 7, message, help)])
    };
    url("", "not a PostgreSQL url: relative URL without a base");
    url("mysql://db/app", "not a PostgreSQL url: its scheme is mysql");
    url("postgres://app@db:many/app", "not a PostgreSQL url: invalid port number");
    url("postgres://db/app", "the url names no user");
    url("postgres://app@one,two/app?port=1,2,3", "the url has 2 hosts and 3 ports");
    url(
        "postgres://app@one,two/app?target_session_attrs=master",
        "`target_session_attrs` in the url is one of any, read-write, read-only, primary, standby, prefer-standby",
    );
    url(
        "postgres://app@db/app?sslmode=always",
        "`sslmode` in the url is one of disable, allow, prefer, require, verify-ca, verify-full",
    );
    url(
        "postgres://app@db/app?sslrootcert=x",
        "the url's parameter `sslrootcert` is a key of the store: `tls_ca_cert_file`, `tls_cert_file`, `tls_key_file`",
    );
    url(
        "postgres://app@db/app?target=x",
        "the url's parameter `target` isn't known: host, port, target_session_attrs and sslmode are",
    );
    let postgres = "url = \"postgres://app@db/app\"";
    replacing(&[
        (
            postgres,
            "url = \"postgres://app@db/app\"\nreplicas = [\"postgres://app@one/app\", \"redis://two\"]",
            (5, 39, "not a PostgreSQL url: its scheme is redis", help),
        ),
        (
            postgres,
            "url = \"postgres://app@db/app\"\nreplicas = \"postgres://app@one/app\"",
            (5, 12, "`replicas` is a string", "`replicas` must be an array"),
        ),
        (
            postgres,
            "url = \"postgres://app@db/app\"\npool_size = 0",
            (5, 13, "`pool_size` can't be 0", "`pool_size` is from 1 to 10000"),
        ),
        (
            postgres,
            "url = \"postgres://app@db/app\"\npool_size = 4\nshared_connections = 4",
            (
                6,
                22,
                "4 of 4 connections shared leave none to transactions",
                "`shared_connections` is less than `pool_size`: from 0 to 3",
            ),
        ),
        (
            postgres,
            "url = { file = \"nowhere\" }",
            (
                4,
                16,
                "can't read the secret in nowhere: No such file or directory (os error 2)",
                "give the path of a file that this user can read; the path is relative to the configuration file",
            ),
        ),
    ]);
}

#[test]
fn replicas() {
    let one = "url = \"postgres://app@db/app\"";
    let two = |keys: &str| format!("{one}\nreplicas = [\"postgres://app@one/app\"]\n{keys}");
    has(
        &WELL
            .replace("postgres://app@db/app", "postgres://app@db/app?target_session_attrs=standby"),
        &[(
            4,
            7,
            "`target_session_attrs` in the url: the primary isn't that",
            "it is read-write, primary or any here; standbys are listed in `replicas`",
        )],
    );
    let cases = [
        (
            format!("{one}\nreplicas = [\"postgres://app@one/app?target_session_attrs=primary\"]"),
            (
                5,
                13,
                "`target_session_attrs` in the url: a replica isn't that",
                "it is standby, prefer-standby, read-only or any here",
            ),
        ),
        (
            two("max_replica_lag = \"500ms\""),
            (
                6,
                19,
                "a lag of 500ms can't be told by looking every 1s",
                "`max_replica_lag` (default 10s) is at least `check_interval` (default 1s)",
            ),
        ),
        (
            two("check_interval = \"11s\""),
            (
                6,
                18,
                "a lag of 10s can't be told by looking every 11s",
                "`max_replica_lag` (default 10s) is at least `check_interval` (default 1s)",
            ),
        ),
        (
            two("check_interval = \"11s\"\nmax_replica_lag = \"soon\""),
            (
                7,
                19,
                "\"soon\" isn't a duration",
                "write a number with its unit, such as 500ms, 5s or 1m",
            ),
        ),
        (
            two("max_replica_lag_bytes = 0"),
            (
                6,
                25,
                "not a size of at least one byte",
                "write a number of bytes, or one with its unit such as \"16MB\" (kB, MB or GB)",
            ),
        ),
        (
            format!("{one}\nmax_replica_lag = \"5s\""),
            (5, 19, "`max_replica_lag` without `replicas`", "leave it out, or list the replicas"),
        ),
        (
            format!("{one}\ncheck_interval = \"5s\""),
            (
                5,
                18,
                "`check_interval` where there is one server",
                "leave it out, or name several hosts in `url`, or `replicas`",
            ),
        ),
    ];
    for (with, mistake) in cases {
        replacing(&[(one, &with, mistake)]);
    }
}

#[test]
fn redis() {
    let help = "write redis://user:password@host:port/number, …";
    let url = |url: &str, message: &str| {
        has(&WELL.replace("redis://cache", url), &[(7, 7, message, help)])
    };
    url("cache:6379", "not a Redis url: its scheme is cache");
    url("cache", "not a Redis url: relative URL without a base");
    url("redis:///0", "not a Redis url: it names no host");
    url("redis://cache/first", "not a Redis url: what follows the host isn't a database's number");
    url("unix://", "not a Redis url: it names no socket");
    url("redis://one,two:x", "not a Redis url: invalid port number");
    let mistake = |keys: &str, expected: super::Mistake<'_>| {
        has(&WELL.replace("url = \"redis://cache\"", keys), &[expected])
    };
    mistake(
        "url = \"redis://one,two\"",
        (
            7,
            7,
            "several hosts, where there is no cluster",
            "set `cluster = true`, or name one host; a primary and its replicas are found by `sentinels`",
        ),
    );
    mistake(
        "cluster = true\nurl = \"redis://one,two/1\"",
        (
            8,
            7,
            "not a Redis Cluster's url: a cluster has TCP and the database 0 alone",
            "write redis://user:password@host1:port1,host2:port2, …",
        ),
    );
    mistake(
        "url = \"redis://one\"\ncluster = true\nsentinels = [\"redis://two\"]",
        (
            9,
            13,
            "`sentinels` of a cluster",
            "a cluster replaces its nodes itself: leave them out, or leave `cluster` out",
        ),
    );
    mistake(
        "url = \"redis://main\"\nsentinels = [\"two\"]",
        (8, 14, "not a Redis url: relative URL without a base", help),
    );
    mistake(
        "url = \"rediss://one\"\ntls_ca_cert_file = \"/nowhere/ca.crt\"",
        (
            8,
            20,
            "can't read /nowhere/ca.crt: No such file or directory (os error 2)",
            "a PEM file, by a path that is absolute or relative to this file",
        ),
    );
    let (key, certificate) = ("tls_key_file = \"/dev/null\"", "tls_cert_file = \"/dev/null\"");
    let empty = "a PEM file, by a path that is absolute or relative to this file";
    has(
        &WELL.replace(
            "url = \"redis://cache\"",
            &format!("url = \"redis://one\"\n{key}\n{certificate}"),
        ),
        &[
            (8, 16, "`tls_key_file` without TLS", "leave it out, or begin the url with rediss://"),
            (8, 16, "can't read /dev/null: it holds nothing in PEM", empty),
            (9, 17, "`tls_cert_file` without TLS", "leave it out, or begin the url with rediss://"),
            (9, 17, "can't read /dev/null: it holds nothing in PEM", empty),
        ],
    );
    has(
        &WELL.replace("url = \"redis://cache\"", &format!("url = \"rediss://one\"\n{key}")),
        &[
            (
                8,
                16,
                "`tls_key_file` without `tls_cert_file`",
                "give the client's certificate and its key, or neither",
            ),
            (8, 16, "can't read /dev/null: it holds nothing in PEM", empty),
        ],
    );
}

#[test]
fn dynamodb() {
    adding(&[
        (
            "endpoint = \"localhost\"\n",
            (10, 12, "\"localhost\" isn't an http or https url", "such as http://127.0.0.1:8000"),
        ),
        (
            "endpoint = \"dynamodb:8000\"\n",
            (
                10,
                12,
                "\"dynamodb:8000\" isn't an http or https url",
                "such as http://127.0.0.1:8000",
            ),
        ),
        (
            "access_key_id = \"a\"\n",
            (
                10,
                17,
                "`access_key_id` without `secret_access_key`",
                "give both, or none for the SDK's credential chain",
            ),
        ),
        (
            "secret_access_key = \"a\"\n",
            (
                10,
                21,
                "`secret_access_key` without `access_key_id`",
                "give both, or none for the SDK's credential chain",
            ),
        ),
        // The other is there: only its own mistake counts.
        (
            "access_key_id = 5\nsecret_access_key = \"a\"\n",
            (
                10,
                17,
                "`access_key_id` is an integer",
                "`access_key_id` must be a string or a table",
            ),
        ),
        (
            "table_prefix = \"prod/\"\n",
            (
                10,
                16,
                "\"prod/\" can't begin the name of a table in DynamoDB",
                "these names have letters, digits, _, - and .",
            ),
        ),
    ]);
}

#[test]
fn two_stores_in_one_place() {
    adding(&[(
        "[stores.one]\nkind = \"memory\"\nsnapshot = \"rows\"\n[stores.two]\nkind = \"memory\"\nsnapshot = \"rows\"\n",
        (
            15,
            12,
            "stores \"one\" and \"two\" keep their data in the same place",
            "give each a place of its own",
        ),
    )]);
}
