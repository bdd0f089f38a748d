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
                "`invalidate` is one of: \"writes\", \"none\"",
            ),
        ),
        ("[limits]\ncache_memory = 0\n", (11, 16, "not a size of at least one byte", size)),
    ]);
}
