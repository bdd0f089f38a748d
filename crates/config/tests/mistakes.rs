//! Every mistake is reported where it stands, with what is allowed instead.

use flywheel_config::{Report, parse};

const WELL: &str = r#"auth = "trust"
[stores.main]
kind = "postgres"
url = "postgres://app@db/app"
[stores.fast]
kind = "memory"
[stores.dyn]
kind = "dynamodb"
region = "eu-central-1"
"#;

fn environment(name: &str) -> Option<String> {
    (name != "UNSET").then(|| format!("value of {name}"))
}

fn report(text: &str) -> Report {
    match parse("app.toml", text, &environment) {
        Err(report) => report,
        Ok(_) => panic!("no mistake in\n{text}"),
    }
}

/// Line and column, a part of the message, a part of the help.
type Mistake<'a> = (usize, usize, &'a str, &'a str);

/// The text has exactly these mistakes.
#[track_caller]
fn has(text: &str, expected: &[Mistake<'_>]) {
    let report = report(text);
    let found: Vec<_> = report
        .diagnostics()
        .iter()
        .map(|mistake| (report.position(mistake), mistake.message.as_str(), mistake.help.as_str()))
        .collect();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((place, message, help), (line, column, message_part, help_part)) in found.iter().zip(expected) {
        assert_eq!(*place, (*line, *column), "{message}");
        assert!(message.contains(message_part), "{message_part:?} in {message:?}");
        assert!(help.contains(help_part), "{help_part:?} in {help:?}");
    }
}

/// A well-formed file with this at its end (from line 10 on) has this mistake.
#[track_caller]
fn adds(text: &str, expected: Mistake<'_>) {
    has(&format!("{WELL}{text}"), &[expected]);
}

#[test]
fn a_file_without_mistakes_is_read() {
    assert!(parse("app.toml", WELL, &environment).is_ok());
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
            (1, 10, "\"nowhere\" isn't a socket address", "127.0.0.1:6432"),
            (2, 1, "unknown key `auht`", "did you mean `auth`?"),
            (3, 19, "`max_connections` can't be 0", "from 1 to"),
            (5, 17, "\"10 parsecs\" isn't a duration", "500ms"),
            (8, 12, "environment variable UNSET isn't set", "set UNSET"),
            (11, 7, "its scheme is mysql", "postgres://user:password@host"),
        ],
    );
}

#[test]
fn what_is_not_toml() {
    has("listen = \"127.0.0.1:6432\"\n[stores.main\n", &[(2, 13, "unclosed table", "TOML")]);
    has(&format!("{WELL}[stores.fast]\n"), &[(10, 9, "duplicate key", "TOML")]);
}

#[test]
fn keys_and_types() {
    has("", &[(1, 1, "has no `stores`", "add `stores")]);
    adds("[limits]\nmax_fetch_rows = \"many\"\n", (11, 18, "is a string", "integer"));
    adds("[limits]\nmax_fetch_rows = 0\n", (11, 18, "can't be 0", "from 1 to"));
    adds("[limits]\nmax_message_size = \"64 quarks\"\n", (11, 20, "not a size", "64MB"));
    adds("[tables]\nname = \"t\"\n", (10, 1, "`tables` is a table", "array"));
    adds(
        "\"ü\" = 1 # after an umlaut\n",
        (10, 1, "unknown key `ü`", "allowed here: access_key_id, "),
    );
    adds(
        "[stores.more]\nkind = \"memory\"\npool_size = 3\n",
        (12, 1, "unknown key `pool_size`", "allowed here: kind, snapshot"),
    );
    adds("[stores.more]\nkind = \"redsi\"\n", (11, 8, "unknown kind \"redsi\"", "redis"));
    adds("[stores.more]\nurl = \"redis://cache\"\n", (10, 1, "has no `kind`", "redis"));
    has(
        &WELL.replace("\"trust\"", "\"md5\""),
        &[(1, 8, "`auth` can't be \"md5\"", "scram-sha-256")],
    );
}

#[test]
fn stores() {
    let second = "[stores.other]\nkind = \"embedded-postgres\"\n";
    let report = report(&format!("{WELL}{second}"));
    assert!(report.diagnostics()[0].message.contains("PostgreSQL"), "{report:?}");
    has(
        "auth = \"trust\"\n[stores.fast]\nkind = \"memory\"\n",
        &[(2, 2, "no store is PostgreSQL", "kind")],
    );
    let url = |url: &str| WELL.replace("postgres://app@db/app", url);
    has(
        &url("postgres://app@db/app?sslmode=require"),
        &[(4, 7, "TLS to PostgreSQL servers isn't supported", "postgres://")],
    );
    has(&url("postgres://app@one,two/app"), &[(4, 7, "one host", "postgres://")]);
    has(
        &url("postgres://app@db/app?target=x"),
        &[(4, 7, "`target` isn't known", "postgres://")],
    );
    has(
        &WELL.replace("region = \"eu-central-1\"", "access_key_id = \"a\""),
        &[(7, 1, "one half of the credentials", "secret_access_key")],
    );
    has(
        &WELL.replace("region = \"eu-central-1\"", "endpoint = \"localhost\""),
        &[(9, 12, "localhost", "http")],
    );
}

#[test]
fn tables() {
    let table = |rest: &str| format!("[[tables]]\nname = \"t\"\nstore = \"fast\"\n{rest}");
    adds(
        "[[tables]]\nname = \"t\"\nstore = \"fsat\"\n",
        (12, 9, "there is no store \"fsat\"", "dyn, fast"),
    );
    adds(
        "[[tables]]\nname = \"t\"\nstore = \"main\"\n",
        (12, 9, "main", "leave this entry out"),
    );
    adds(
        "[[tables]]\nname = \"a.b.c\"\nstore = \"fast\"\n",
        (11, 8, "isn't a table's name", "schema.table"),
    );
    adds(
        &format!("{}[[tables]]\nname = \"public.t\"\nstore = \"dyn\"\n", table("")),
        (14, 8, "listed twice", "one home"),
    );
    adds(&table("layout = \"sorted_set\"\n"), (10, 1, "without `score`", "score ="));
    adds(&table("score = \"points\"\n"), (13, 9, "`score` without layout", ""));
    adds(&table("consistent_read = true\n"), (13, 19, "means nothing", "DynamoDB"));
    adds(
        "[[tables]]\nname = \"t\"\nstore = \"dyn\"\nlayout = \"sorted_set\"\nscore = \"s\"\n",
        (13, 10, "no layout sorted_set", "Redis"),
    );
}

#[test]
fn routes() {
    adds(
        "[[routes]]\nwhen = { }\nto = \"main\"\n",
        (11, 8, "without a condition", "user, kind, tables"),
    );
    adds(
        "[[routes]]\nwhen = { user = \"x\" }\nto = \"replicas\"\n",
        (12, 6, "isn't a target", "main.replicas"),
    );
    adds(
        "[[routes]]\nwhen = { user = \"x\" }\nto = \"main.replicas\"\n",
        (12, 6, "replicas", "replicas"),
    );
    adds(
        "[[routes]]\nwhen = { kind = \"delete\" }\nto = \"main\"\n",
        (11, 17, "can't be \"delete\"", "read"),
    );
}

#[test]
fn users_and_secrets() {
    let with = |users: &str| WELL.replace("auth = \"trust\"\n", "") + users;
    has(&with(""), &[(1, 1, "nobody can log in", "[[users]]")]);
    has(&with("[[users]]\nname = \"a\"\n"), &[(9, 1, "has no password", "password =")]);
    has(
        &with("[[users]]\nname = \"a\"\npassword = \"\"\n"),
        &[(11, 12, "empty password", "no client")],
    );
    has(
        &with("[[users]]\nname = \"a\"\npassword = \"SCRAM-SHA-256$broken\"\n"),
        &[(11, 12, "verifier", "pg_authid")],
    );
    let twice = "[[users]]\nname = \"a\"\npassword = \"x\"\n".repeat(2);
    has(&with(&twice), &[(13, 8, "listed twice", "one entry")]);
    let missing = "[[users]]\nname = \"a\"\npassword = { file = \"nowhere\" }\n";
    has(
        &with(missing),
        &[(11, 12, "can't read the secret in", "relative to the configuration")],
    );
    has(
        &with("[[users]]\nname = \"a\"\npassword = \"${UNSET\"\n"),
        &[(11, 12, "without `}`", "$${")],
    );
}

#[test]
fn a_report_shows_the_line() {
    let text = format!("{WELL}[[tables]]\nname = \"t\"\nstore = \"fsat\"\n");
    let rendered = report(&text).render(false);
    let expected = r#"app.toml:12:9: there is no store "fsat"
  × there is no store "fsat"
    ╭─[app.toml:12:9]
 11 │ name = "t"
 12 │ store = "fsat"
    ·         ──────
    ╰────
  help: stores that can be home to a table: dyn, fast

1 mistake in app.toml
"#;
    assert_eq!(rendered, expected);
}

#[test]
fn a_report_does_not_show_secrets_that_are_not_in_the_file() {
    let text = WELL.replace("postgres://app@db/app", "postgres://app:${PASSWORD}@db/app?sslmode=require");
    let report = report(&text);
    assert!(!format!("{report:?}{}", report.render(false)).contains("value of PASSWORD"));
}
