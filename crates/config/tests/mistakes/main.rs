//! Every mistake is reported where it stands, with what is allowed instead.
//!
//! A test is a table: one mistake in an otherwise right file, then line, column, the message and
//! the help. A help that ends in … goes on.

mod cache;
mod form;
mod pools;
mod report;
mod routes;
mod sharing;
mod stores;
mod tables;
mod tls;
mod users;

use flywheel_cli::KINDS;
use flywheel_config::{Report, parse};

/// A file without mistakes, of nine lines. It ends in a store, where keys can be added.
const WELL: &str = r#"auth = "trust"
[stores.main]
kind = "postgres"
url = "postgres://app@db/app"
[stores.fast]
kind = "redis"
url = "redis://cache"
[stores.dyn]
kind = "dynamodb"
"#;

/// Every variable is set, to `value of ` and its name, but UNSET and those like UNSET_2.
fn environment(name: &str) -> Option<String> {
    (!name.starts_with("UNSET")).then(|| format!("value of {name}"))
}

#[track_caller]
fn report(text: &str) -> Report {
    match parse("app.toml", text, &environment, KINDS) {
        Err(report) => report,
        Ok(_) => panic!("no mistake in\n{text}"),
    }
}

/// Line and column, the message, the help.
type Mistake<'a> = (usize, usize, &'a str, &'a str);

/// The text has exactly these mistakes, in this order.
#[track_caller]
fn has(text: &str, expected: &[Mistake<'_>]) {
    let report = report(text);
    let found: Vec<Mistake<'_>> = report
        .diagnostics()
        .iter()
        .map(|mistake| {
            let (line, column) = report.position(mistake);
            (line, column, mistake.message.as_str(), mistake.help.as_str())
        })
        .collect();
    let is_same = |(found, expected): (&Mistake<'_>, &Mistake<'_>)| {
        let is_help = match expected.3.strip_suffix('…') {
            Some(start) => found.3.starts_with(start),
            None => found.3 == expected.3,
        };
        (found.0, found.1, found.2) == (expected.0, expected.1, expected.2) && is_help
    };
    let is_right = found.len() == expected.len() && found.iter().zip(expected).all(is_same);
    assert!(is_right, "{text}\nfound: {found:#?}\nexpected: {expected:#?}");
}

/// [`WELL`] with each of these at its end, from line 10 on, has this mistake alone.
#[track_caller]
fn adding(cases: &[(&str, Mistake<'_>)]) {
    for (text, expected) in cases {
        has(&format!("{WELL}{text}"), &[*expected]);
    }
}

/// [`WELL`] with the first text replaced by the second has this mistake alone.
#[track_caller]
fn replacing(cases: &[(&str, &str, Mistake<'_>)]) {
    for (text, with, expected) in cases {
        assert!(WELL.contains(text), "{text}");
        has(&WELL.replace(text, with), &[*expected]);
    }
}

#[test]
fn a_file_without_mistakes_is_read() {
    parse("app.toml", WELL, &environment, KINDS).expect("no mistake");
}

#[test]
fn six_mistakes_are_told_at_once() {
    let text = r#"listen = "nowhere"
auht = "trust"
max_connections = 0
[limits]
login_timeout = "10 parsecs"
[[users]]
name = "app"
password = "${UNSET}"
[stores.main]
kind = "postgres"
url = "mysql://db/app"
"#;
    has(
        text,
        &[
            (
                1,
                10,
                "\"nowhere\" isn't a socket address",
                "write an address and a port, such as 127.0.0.1:6432 or [::]:6432",
            ),
            (
                2,
                1,
                "unknown key `auht`",
                "did you mean `auth`? Allowed here: auth, cache, database, databases, …",
            ),
            (3, 19, "`max_connections` can't be 0", "`max_connections` is from 1 to 1000000"),
            (
                5,
                17,
                "\"10 parsecs\" isn't a duration",
                "write a number with its unit, such as 500ms, 5s or 1m",
            ),
            (
                8,
                12,
                "environment variable UNSET isn't set",
                "set UNSET, or write $${ for the characters ${",
            ),
            (
                11,
                7,
                "not a PostgreSQL url: its scheme is mysql",
                "write postgres://user:password@host:port/database, …",
            ),
        ],
    );
}

/// Whatever is wrong with an entry, mistakes of others are told.
#[test]
fn no_mistake_hides_another() {
    let text = r#"listen = "nowhere"
users = 5
[stores.main]
kind = "postgres"
url = 5
[stores.other]
kind = "sqlite"
[stores.fast]
kind = "redis"
timeout = "soon"
[[tables]]
[[tables]]
name = "t"
store = "fsat"
[[tables]]
name = "t"
store = "other"
score = 5
[[routes]]
to = "main.replicas"
[[routes]]
when = { kind = "delete", tables = ["1"] }
to = "nowhere"
"#;
    has(
        text,
        &[
            (1, 10, "\"nowhere\" isn't a socket address", "write…"),
            (2, 9, "`users` is an integer", "`users` must be an array"),
            (5, 7, "`url` is an integer", "`url` must be a string or a table"),
            (7, 8, "unknown kind \"sqlite\"", "`kind` is one of: postgres, dynamodb, …"),
            (8, 1, "`fast` has no `url`", "add `url = …`"),
            (11, 1, "an entry of `tables` has no `name`", "add `name = …`"),
            (11, 1, "an entry of `tables` has no `store`", "add `store = …`"),
            (14, 9, "there is no store \"fsat\"", "add [stores.fsat] with its kind: …"),
            (16, 8, "table \"public.t\" is listed twice", "a table has one home"),
            (18, 9, "`score` is an integer", "`score` must be a string"),
            (19, 1, "an entry of `routes` has no `when`", "add `when = { … }`"),
            (22, 17, "`kind` can't be \"delete\"", "`kind` is one of: \"read\", \"write\""),
            (22, 37, "\"1\" isn't a table's name", "write schema.table, …"),
        ],
    );
}
