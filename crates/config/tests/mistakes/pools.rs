//! Pools, roles, `[[databases]]`.

use flywheel_cli::KINDS;

use super::{Mistake, WELL, adding, has, replacing};

const POSTGRES: &str = "url = \"postgres://app@db/app\"";

#[track_caller]
fn store(keys: &str, expected: Mistake<'_>) {
    replacing(&[(POSTGRES, &format!("{POSTGRES}\n{keys}"), expected)]);
}

#[test]
fn sizes_and_modes() {
    store(
        "pool_size = 4\nmin_idle = 5",
        (
            6,
            12,
            "5 idle connections are more than the 4 that there may be",
            "`min_idle` is at most `pool_size`: from 0 to 4",
        ),
    );
    store(
        "pool_mode = \"transactions\"",
        (
            5,
            13,
            "`pool_mode` can't be \"transactions\"",
            "`pool_mode` is one of: \"transaction\", \"session\", \"statement\"",
        ),
    );
    for key in ["login_retry", "max_lifetime", "idle_timeout", "check_after"] {
        store(
            &format!("{key} = \"soon\""),
            (
                5,
                key.len() + 4,
                "\"soon\" isn't a duration",
                "write a number with its unit, such as 500ms, 5s or 1m",
            ),
        );
    }
}

#[test]
fn roles() {
    adding(&[
        (
            "[[users]]\nname = \"a\"\nserver_password = \"x\"\n",
            (
                12,
                19,
                "`server_password` without `server_user`",
                "name the role that it is the password of, or leave it out: …",
            ),
        ),
        (
            "[[users]]\nname = \"a\"\nserver_user = \"b\"\nserver_password = \"SCRAM-SHA-256$4096:c2FsdA==$a:b\"\n",
            (
                13,
                19,
                "a SCRAM verifier, with which one can't log in to a server",
                "write the password itself",
            ),
        ),
        (
            "[[users]]\nname = \"a\"\nserver_user = \"\"\n",
            (12, 15, "`server_user` is empty", "write it, or leave the key out"),
        ),
        (
            "[[users]]\nname = \"a\"\npool_size = 0\n",
            (12, 13, "`pool_size` can't be 0", "`pool_size` is from 1 to 10000"),
        ),
    ]);
}

#[test]
fn databases() {
    let tables = "[[tables]]\nname = \"t\"\nstore = \"fast\"\n";
    adding(&[
        (
            "[[databases]]\ndbname = \"b\"\n",
            (10, 1, "an entry of `databases` has no `name`", "add `name = …`"),
        ),
        (
            "[[databases]]\nname = \"b\"\npool_size = 0\n",
            (12, 13, "`pool_size` can't be 0", "`pool_size` is from 1 to 10000"),
        ),
        (
            "[[databases]]\nname = \"b\"\n[[databases]]\nname = \"b\"\ndbname = \"c\"\n",
            (
                13,
                8,
                "database \"b\" is listed twice",
                "clients choose a database by its name: each has one of its own",
            ),
        ),
        (
            "[[databases]]\nname = \"app\"\n",
            (
                11,
                8,
                "database \"app\" is the main one",
                "leave it out, or give one of the two another name …",
            ),
        ),
        (
            &format!("[[databases]]\nname = \"b\"\ndbname = \"app\"\n{tables}"),
            (
                12,
                10,
                "\"app\" is the main database, of which [[tables]] live in other stores",
                "by another name they would be empty: clients connect to \"app\"",
            ),
        ),
    ]);
    let well = format!("{WELL}[[databases]]\nname = \"b\"\ndbname = \"app\"\n");
    flywheel_config::parse("app.toml", &well, &|_| None, KINDS)
        .expect("no mistake without tables elsewhere");
}

/// It serves one connection.
#[test]
fn an_embedded_store() {
    let embedded = "auth = \"trust\"\n[stores.main]\nkind = \"embedded-postgres\"\n";
    has(
        &format!("{embedded}[[databases]]\nname = \"b\"\n"),
        &[(
            4,
            1,
            "an embedded PostgreSQL has one database",
            "leave [[databases]] out, or use kind = \"postgres\"",
        )],
    );
    for (key, value) in [("server_user", "\"b\""), ("pool_size", "2"), ("pool_mode", "\"session\"")]
    {
        has(
            &format!("{embedded}[[users]]\nname = \"a\"\n{key} = {value}\n"),
            &[(
                6,
                key.len() + 4,
                "an embedded PostgreSQL serves one connection, which all users share",
                &format!("leave `{key}` out, or use kind = \"postgres\""),
            )],
        );
    }
}

/// A session that keeps its connection never comes to a replica.
#[test]
fn sessions_and_replicas() {
    let with = |store: &str, rest: &str| {
        let keys = format!("{POSTGRES}\nreplicas = [\"postgres://app@one/app\"]\n{store}");
        format!("{}{rest}", WELL.replace(POSTGRES, &keys))
    };
    let message = "with pool_mode = \"session\" a client keeps its connection to the primary";
    let help = "leave the route out, or use pool_mode = \"transaction\" …";
    let route = "[[routes]]\nwhen = { kind = \"read\" }\nto = \"main.replicas\"\n";
    let of_a = "[[routes]]\nwhen = { user = \"a\" }\nto = \"main.replicas\"\n";
    let user = |mode: &str| format!("[[users]]\nname = \"a\"\npool_mode = \"{mode}\"\n");
    let session = "pool_mode = \"session\"\n";
    has(&with(session, route), &[(15, 6, message, help)]);
    has(&with("", &(user("session") + of_a)), &[(17, 6, message, help)]);
    let database = "[[databases]]\nname = \"b\"\npool_mode = \"transaction\"\n";
    for well in [
        with("", route),
        with(session, &(user("transaction") + of_a)),
        with(session, &(user("transaction") + route)),
        with(session, &format!("{database}{route}")),
    ] {
        flywheel_config::parse("app.toml", &well, &|_| None, KINDS)
            .unwrap_or_else(|report| panic!("{report}"));
    }
}
