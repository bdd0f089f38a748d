//! Syntax, keys, types and units.

use flywheel_cli::KINDS;
use flywheel_config::parse;

use super::{WELL, adding, environment, has, replacing};

#[test]
fn syntax() {
    let toml = "the file is TOML 1.1: https://toml.io";
    has(
        "listen = \"127.0.0.1:6432\"\n[stores.main\n",
        &[(2, 13, "unclosed table, expected `]`", toml)],
    );
    adding(&[
        ("[stores.fast]\n", (10, 9, "duplicate key", toml)),
        ("region = eu\n", (10, 10, "string values must be quoted, expected literal string", toml)),
    ]);
    has("auth = \n", &[(1, 8, "string values must be quoted, expected literal string", toml)]);
}

#[test]
fn a_byte_order_mark_is_no_column() {
    has(
        &format!("\u{feff}{}", WELL.replace("trust", "md5")),
        &[(1, 8, "`auth` can't be \"md5\"", "`auth` is one of: \"scram-sha-256\", \"trust\"")],
    );
}

#[test]
fn unknown_keys() {
    adding(&[
        (
            "[limits]\nmax_fetch_row = 5\n",
            (
                11,
                1,
                "unknown key `max_fetch_row`",
                "did you mean `max_fetch_rows`? Allowed here: busy_poll, cache_memory, client_idle_timeout, drain_delay, drain_timeout, idle_transaction_timeout, login_timeout, max_connections_per_address, max_fetch_rows, max_message_size, statement_memory, statement_timeout, tcp_user_timeout",
            ),
        ),
        (
            "\"ü\" = 1 # after an umlaut\n",
            (10, 1, "unknown key `ü`", "allowed here: access_key_id, consistent_read, endpoint, …"),
        ),
        ("x.y.z = 1\n", (10, 1, "unknown key `x`", "allowed here: access_key_id, …")),
        // A key of another kind of store.
        (
            "[stores.more]\nkind = \"memory\"\npool_size = 3\n",
            (12, 1, "unknown key `pool_size`", "allowed here: kind, snapshot"),
        ),
        (
            "max_connections = 5\n",
            (
                10,
                1,
                "unknown key `max_connections`",
                "it stands at the head of the file, before the first [table]. Allowed here: access_key_id, …",
            ),
        ),
        (
            "users = []\n",
            (10, 1, "unknown key `users`", "write [[users]]. Allowed here: access_key_id, …"),
        ),
        (
            "[[users]]\nname = \"a\"\npasswrod = \"x\"\n",
            (
                12,
                1,
                "unknown key `passwrod`",
                "did you mean `password`? Allowed here: admin, client_idle_timeout, common_names, idle_transaction_timeout, max_connections, name, password, pool_mode, pool_size, replication, server_password, server_user, statement_timeout, stats",
            ),
        ),
        (
            "[[users]]\nname = \"a\"\npassword = { fiel = \"x\" }\n",
            (12, 14, "unknown key `fiel`", "did you mean `file`? Allowed here: file"),
        ),
        (
            "[[routes]]\nwhen = { usr = \"x\" }\nto = \"main\"\n",
            (11, 10, "unknown key `usr`", "did you mean `user`? Allowed here: kind, tables, user"),
        ),
        // What was meant isn't missed as well.
        (
            "[[tables]]\nname = \"t\"\nstroe = \"fast\"\n",
            (12, 1, "unknown key `stroe`", "did you mean `store`? Allowed here: allow_drop, …"),
        ),
    ]);
}

#[test]
fn missing_keys() {
    let nobody = (
        1,
        1,
        "nobody can log in: there are no users",
        "add [[users]] with name and password, or set auth = \"trust\"",
    );
    has("", &[(1, 1, "the file has no `stores`", "add [stores.a_name_of_yours]"), nobody]);
    adding(&[
        ("[[users]]\n", (10, 1, "an entry of `users` has no `name`", "add `name = …`")),
        (
            "[[tables]]\nname = \"t\"\n",
            (10, 1, "an entry of `tables` has no `store`", "add `store = …`"),
        ),
        (
            "[[tables]]\nstore = \"fast\"\n",
            (10, 1, "an entry of `tables` has no `name`", "add `name = …`"),
        ),
        (
            "[[routes]]\nto = \"main\"\n",
            (10, 1, "an entry of `routes` has no `when`", "add `when = { … }`"),
        ),
        (
            "[[routes]]\nwhen = { kind = \"read\" }\n",
            (10, 1, "an entry of `routes` has no `to`", "add `to = …`"),
        ),
        ("[stores.more]\nkind = \"redis\"\n", (10, 1, "`more` has no `url`", "add `url = …`")),
        (
            "[[users]]\nname = \"a\"\npassword = {}\n",
            (12, 12, "`password` has no `file`", "add `file = …`"),
        ),
    ]);
}

#[test]
fn types() {
    adding(&[
        (
            "[limits]\nmax_fetch_rows = \"many\"\n",
            (11, 18, "`max_fetch_rows` is a string", "`max_fetch_rows` must be an integer"),
        ),
        (
            "[limits]\nmax_fetch_rows = 1e4\n",
            (11, 18, "`max_fetch_rows` is a float", "`max_fetch_rows` must be an integer"),
        ),
        (
            "[limits]\nlogin_timeout = 10\n",
            (
                11,
                17,
                "`login_timeout` is an integer",
                "`login_timeout` must be a string, such as \"10s\"",
            ),
        ),
        (
            "[limits]\nmax_message_size = true\n",
            (
                11,
                20,
                "`max_message_size` is a boolean",
                "`max_message_size` must be an integer or a string",
            ),
        ),
        (
            "[[limits]]\nmax_fetch_rows = 5\n",
            (10, 1, "`limits` is an array", "`limits` must be a table: [limits]"),
        ),
        (
            "[tables]\nname = \"t\"\n",
            (10, 1, "`tables` is a table", "`tables` must be an array: [[tables]] for each entry"),
        ),
        (
            "[[tables]]\nname = 2026-11-23\nstore = \"fast\"\n",
            (11, 8, "`name` is a date", "`name` must be a string"),
        ),
        (
            "[[tables]]\nname = \"t\"\nstore = \"fast\"\nallow_scan = \"yes\"\n",
            (13, 14, "`allow_scan` is a string", "`allow_scan` must be a boolean"),
        ),
        (
            "[[routes]]\nwhen = { tables = \"words\" }\nto = \"main\"\n",
            (11, 19, "`tables` is a string", "`tables` must be an array"),
        ),
        (
            "[[routes]]\nwhen = { tables = [5] }\nto = \"main\"\n",
            (11, 20, "an entry of `tables` is an integer", "an entry of `tables` must be a string"),
        ),
        (
            "[[users]]\nname = \"a\"\npassword = 5\n",
            (12, 12, "`password` is an integer", "`password` must be a string or a table"),
        ),
    ]);
    replacing(&[
        (
            "\"trust\"",
            "\"md5\"",
            (1, 8, "`auth` can't be \"md5\"", "`auth` is one of: \"scram-sha-256\", \"trust\""),
        ),
        (
            "\"trust\"",
            "nan",
            (1, 8, "`auth` is a float", "`auth` is one of: \"scram-sha-256\", \"trust\""),
        ),
    ]);
    has(
        "auth = \"trust\"\nstores = 5\n",
        &[(2, 10, "`stores` is an integer", "`stores` must be a table")],
    );
    has(
        "auth = \"trust\"\n[[stores]]\nname = \"main\"\n",
        &[(2, 1, "`stores` is an array", "`stores` must be a table: [stores.a_name_of_yours]")],
    );
}

#[test]
fn numbers() {
    let rows = |number: &str| format!("{WELL}[limits]\nmax_fetch_rows = {number}\n");
    let range = "`max_fetch_rows` is from 1 to 100000000";
    has(&rows("0"), &[(11, 18, "`max_fetch_rows` can't be 0", range)]);
    has(&rows("-1"), &[(11, 18, "`max_fetch_rows` can't be -1", range)]);
    has(&rows("100_000_001"), &[(11, 18, "`max_fetch_rows` can't be 100000001", range)]);
    has(
        &rows("99999999999999999999"),
        &[(11, 18, "integer 99999999999999999999 is too large", "integers have 64 bits")],
    );
}

#[test]
fn empty_texts() {
    adding(&[
        ("region = \"\"\n", (10, 10, "`region` is empty", "write it, or leave the key out")),
        ("[[users]]\nname = \"\"\n", (11, 8, "`name` is empty", "write it, or leave the key out")),
        (
            "[[tables]]\nname = \"t\"\nstore = \"fast\"\nlayout = \"sorted_set\"\nscore = \"\"\n",
            (14, 9, "`score` is empty", "write it, or leave the key out"),
        ),
        (
            "[stores.more]\nkind = \"memory\"\nsnapshot = \"\"\n",
            (12, 12, "`snapshot` is empty", "write it, or leave the key out"),
        ),
    ]);
}

#[test]
fn durations_and_sizes() {
    let unit = "write a number with its unit, such as 500ms, 5s or 1m";
    let size = "not a size of at least 10000 bytes and less than 1GB";
    let bytes = "write a number of bytes, or one with its unit such as \"64MB\" (kB, MB or GB)";
    adding(&[
        ("timeout = \"5\"\n", (10, 11, "\"5\" isn't a duration", unit)),
        ("timeout = \"\"\n", (10, 11, "\"\" isn't a duration", unit)),
        ("timeout = \"soon\"\n", (10, 11, "\"soon\" isn't a duration", unit)),
        ("timeout = \"-5s\"\n", (10, 11, "\"-5s\" isn't a duration", unit)),
        (
            "timeout = \"0s\"\n",
            (
                10,
                11,
                "\"0s\" is too short or too long a time",
                "write a duration from 1ms to 1year",
            ),
        ),
        (
            "timeout = \"100000000years\"\n",
            (
                10,
                11,
                "\"100000000years\" is too short or too long a time",
                "write a duration from 1ms to 1year",
            ),
        ),
        ("[limits]\nmax_message_size = \"64 quarks\"\n", (11, 20, size, bytes)),
        ("[limits]\nmax_message_size = 9999\n", (11, 20, size, bytes)),
        ("[limits]\nmax_message_size = -1\n", (11, 20, size, bytes)),
        ("[limits]\nmax_message_size = \"1GB\"\n", (11, 20, size, bytes)),
    ]);
}

#[test]
fn addresses() {
    let help = "write an address and a port, such as 127.0.0.1:6432 or [::]:6432";
    for address in ["localhost:6432", "127.0.0.1", "127.0.0.1:65536", ""] {
        let message = format!("\"{address}\" isn't a socket address");
        has(&format!("listen = \"{address}\"\n{WELL}"), &[(1, 10, &message, help)]);
    }
    adding(&[
        ("[metrics]\n", (10, 1, "`metrics` has no `listen`", "add `listen = …`…")),
        (
            "[metrics]\nlisten = \"9930\"\n",
            (
                11,
                10,
                "\"9930\" isn't a socket address",
                "write an address and a port, such as 127.0.0.1:9930 or [::]:9930",
            ),
        ),
        (
            "[metrics]\nlisten = \"127.0.0.1:6432\"\n",
            (
                11,
                10,
                "this is the address that clients connect to",
                "give metrics a port of their own",
            ),
        ),
        (
            "[metrics]\nlisten = \"127.0.0.1:9930\"\npath = \"/m\"\n",
            (12, 1, "unknown key `path`", "allowed here: listen"),
        ),
    ]);
}

#[test]
fn environment_variables() {
    let brace = "write ${NAME} for an environment variable, $${ for the characters ${";
    adding(&[
        (
            "region = \"${UNSET}\"\n",
            (
                10,
                10,
                "environment variable UNSET isn't set",
                "set UNSET, or write $${ for the characters ${",
            ),
        ),
        ("region = \"${UNSET\"\n", (10, 10, "`${` without `}`", brace)),
        (
            "region = \"${}\"\n",
            (
                10,
                10,
                "\"\" isn't the name of an environment variable",
                "write ${NAME} with letters, digits and _, or $${ for the characters ${",
            ),
        ),
        (
            "region = \"${A:-b}\"\n",
            (
                10,
                10,
                "\"A:-b\" isn't the name of an environment variable",
                "write ${NAME} with letters, digits and _, or $${ for the characters ${",
            ),
        ),
        // Only the cause is told: what is missing can't be judged.
        (
            "timeout = \"${UNSET}\"\n",
            (10, 11, "environment variable UNSET isn't set", "set UNSET, …"),
        ),
        (
            "[stores.more]\nkind = \"${UNSET}\"\n",
            (11, 8, "environment variable UNSET isn't set", "set UNSET, …"),
        ),
    ]);
    has(
        &format!("{WELL}region = \"${{UNSET}} ${{UNSET_2}}\"\n"),
        &[
            (10, 10, "environment variable UNSET isn't set", "set UNSET, …"),
            (10, 10, "environment variable UNSET_2 isn't set", "set UNSET_2, …"),
        ],
    );
}

#[test]
fn levels_of_the_log() {
    let help = "write one of off, error, warn, info, debug, trace, or levels by crates: \"warn,flywheel_gateway=debug\"";
    adding(&[
        ("[log]\nlevel = \"inof\"\n", (11, 9, "\"inof\" isn't a level of the log", help)),
        (
            "[log]\nlevel = \"warn, flywheel=loud\"\n",
            (11, 9, "\"flywheel=loud\" isn't a level of the log", help),
        ),
        ("[log]\nlevel = \"=info\"\n", (11, 9, "\"=info\" isn't a level of the log", help)),
        ("[log]\nlevel = \"warn,\"\n", (11, 9, "\"\" isn't a level of the log", help)),
    ]);
    for level in ["off", "WARN", "warn, flywheel=info", "warn,flywheel::x=trace,aws_config=off"] {
        let text = format!("{WELL}[log]\nlevel = \"{level}\"\n");
        parse("app.toml", &text, &environment, KINDS).expect("no mistake");
    }
}
