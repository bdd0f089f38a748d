//! `[[cache]]`

use super::{WELL, adding, has};

#[test]
fn conditions() {
    let rule = |when: &str| format!("[[cache]]\nttl = \"1s\"\nwhen = {{ {when} }}\n");
    adding(&[
        (
            &rule(""),
            (
                12,
                8,
                "a cache rule without a condition",
                "give at least one of tables, user, database, pattern, fingerprint, hint",
            ),
        ),
        (
            &rule("tables = []"),
            (12, 19, "a cache rule for no tables", "name at least one, or leave the key out: any"),
        ),
        (
            &rule("tables = [\"words\", \"a.b.c\"]"),
            (12, 29, "\"a.b.c\" isn't a table's name", "write schema.table, …"),
        ),
        (
            &rule("database = \"nowhere\""),
            (
                12,
                21,
                "there is no database \"nowhere\"",
                "databases to which clients can connect: app",
            ),
        ),
        (
            &rule("fingerprint = \"12\""),
            (
                12,
                24,
                "\"12\" isn't a fingerprint",
                "write the 16 digits that EXPLAIN of the statement tells through Flywheel",
            ),
        ),
    ]);
    has(
        &format!("{WELL}[[users]]\nname = \"app\"\npassword = \"x\"\n{}", rule("user = \"ap\"")),
        &[(15, 17, "there is no user \"ap\"", "users that can log in: app")],
    );
}

#[test]
fn times_and_sizes() {
    let rule = |keys: &str| format!("[[cache]]\nwhen = {{ hint = true }}\n{keys}\n");
    let unit = "write a number with its unit, such as 500ms, 5s or 1m";
    let size = "write a number of bytes, or one with its unit such as \"16MB\" (kB, MB or GB)";
    adding(&[
        (&rule(""), (10, 1, "an entry of `cache` has no `ttl`", "add `ttl = …`…")),
        (&rule("ttl = \"soon\""), (12, 7, "\"soon\" isn't a duration", unit)),
        (
            &rule("ttl = \"1s\"\nstale_if_error = \"long\""),
            (13, 18, "\"long\" isn't a duration", unit),
        ),
        (
            &rule("ttl = \"1s\"\nstale_while_revalidate = \"long\""),
            (13, 26, "\"long\" isn't a duration", unit),
        ),
        (
            &rule("ttl = \"1s\"\nmax_result_size = \"huge\""),
            (13, 19, "not a size of at least one byte", size),
        ),
        (
            &rule("ttl = \"1s\"\ninvalidate = \"write\""),
            (
                13,
                14,
                "`invalidate` can't be \"write\"",
                "`invalidate` is one of: \"writes\", \"replication\", \"none\"",
            ),
        ),
        ("[limits]\ncache_memory = 0\n", (11, 16, "not a size of at least one byte", size)),
        ("[limits]\nstatement_memory = 0\n", (11, 20, "not a size of at least one byte", size)),
    ]);
}

#[test]
fn replication() {
    let rule =
        |keys: &str| format!("[[cache]]\nttl = \"1s\"\nwhen = {{ tables = [\"a\"] }}\n{keys}\n");
    let followed = |keys: &str| rule(&format!("invalidate = \"replication\"\n{keys}"));
    adding(&[
        (
            &rule("max_lag = \"1s\""),
            (
                13,
                11,
                "`max_lag` without replication",
                "leave it out, or write invalidate = \"replication\"",
            ),
        ),
        (
            &followed("max_lag = \"soon\""),
            (
                14,
                11,
                "\"soon\" isn't a duration",
                "write a number with its unit, such as 500ms, 5s or 1m",
            ),
        ),
        (
            &followed("stale_if_error = \"1m\""),
            (
                14,
                18,
                "`stale_if_error` with replication",
                "leave it out: when a server can't be reached it isn't known what has been written there",
            ),
        ),
        (
            "[[cache]]\nttl = \"1s\"\nwhen = { hint = true }\ninvalidate = \"replication\"\n",
            (
                13,
                14,
                "replication of no tables",
                "name the tables in when.tables: their changes are followed",
            ),
        ),
        (
            "[[cache]]\nttl = \"1s\"\nwhen = { tables = [\"a\", \"pg_catalog.pg_class\"] }\ninvalidate = \"replication\"\n",
            (
                12,
                25,
                "replication doesn't tell of the system's catalogue",
                "leave it out, or write invalidate = \"writes\", by which definitions end its answers, or \"none\"",
            ),
        ),
        (
            "[[databases]]\nname = \"more\"\n[[cache]]\nttl = \"1s\"\nwhen = { tables = [\"a\"], database = \"more\" }\ninvalidate = \"replication\"\n",
            (
                14,
                37,
                "replication is of the main database, not of \"more\"",
                "leave `database` out, or write invalidate = \"writes\"",
            ),
        ),
    ]);
    has(
        "auth = \"trust\"\n[stores.main]\nkind = \"embedded-postgres\"\n[[cache]]\nttl = \"1s\"\nwhen = { tables = [\"a\"] }\ninvalidate = \"replication\"\n",
        &[(
            7,
            14,
            "replication of an embedded PostgreSQL, which serves one connection",
            "write invalidate = \"writes\"",
        )],
    );
    // Of tables that are all in stores PostgreSQL needn't tell.
    let in_stores = |max_lag: &str| {
        format!(
            "[stores.fast]\nkind = \"memory\"\n[[tables]]\nname = \"a\"\nstore = \"fast\"\n[[cache]]\nttl = \"1s\"\nwhen = {{ tables = [\"public.a\"] }}\n\
             invalidate = \"replication\"\nmax_lag = \"{max_lag}\"\n"
        )
    };
    has(
        &format!(
            "auth = \"trust\"\n[stores.main]\nkind = \"embedded-postgres\"\n{}",
            in_stores("soon")
        ),
        &[(
            13,
            11,
            "\"soon\" isn't a duration",
            "write a number with its unit, such as 500ms, 5s or 1m",
        )],
    );
    let main = |key: &str| {
        format!("[stores.main]\nkind = \"postgres\"\nurl = \"postgres://app@db/app\"\n{key}\n")
    };
    let help = "leave it out, or write invalidate = \"replication\" in a [[cache]] rule";
    has(
        &format!("auth = \"trust\"\n{}", main("publication = \"x\"")),
        &[(5, 15, "`publication` without a cache rule that needs it", help)],
    );
    has(
        &format!("auth = \"trust\"\n{}{}", main("publication = \"x\""), in_stores("1s")),
        &[(5, 15, "`publication` without a cache rule that needs it", help)],
    );
    has(
        &format!("auth = \"trust\"\n{}", main("max_retained_wal = \"1GB\"")),
        &[(5, 20, "`max_retained_wal` without a cache rule that needs it", help)],
    );
    has(
        &format!("auth = \"trust\"\n{}{}", main("max_retained_wal = 0"), followed("")),
        &[(
            5,
            20,
            "not a size of at least one byte",
            "write a number of bytes, or one with its unit such as \"16MB\" (kB, MB or GB)",
        )],
    );
}
