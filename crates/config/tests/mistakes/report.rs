//! How mistakes are shown.

use flywheel_cli::KINDS;

use super::{WELL, report};

#[test]
fn a_report_shows_the_lines() {
    let text = r#"auth = "trust"
listne = "127.0.0.1:6432"
[stores.main]
kind = "postgres"
url = "postgres://app@db/app"
replicas = ["postgres://größe@db/app", "db"]
[[tables]]
name = "t"
store = "main"
"#;
    let expected = r#"app.toml:2:1: unknown key `listne`
  × unknown key `listne`
   ╭─[app.toml:2:1]
 1 │ auth = "trust"
 2 │ listne = "127.0.0.1:6432"
   · ──────
 3 │ [stores.main]
   ╰────
  help: did you mean `listen`? Allowed here: auth, cache, database, databases, limits, listen, log, max_connections,
        metrics, routes, sharing, stores, tables, tls, users

app.toml:6:40: not a PostgreSQL url: relative URL without a base
  × not a PostgreSQL url: relative URL without a base
   ╭─[app.toml:6:40]
 5 │ url = "postgres://app@db/app"
 6 │ replicas = ["postgres://größe@db/app", "db"]
   ·                                        ────
 7 │ [[tables]]
   ╰────
  help: write postgres://user:password@host:port/database, with %2F for / in a password; for a Unix socket postgres://
        user@/database?host=/folder

app.toml:9:9: store "main" is PostgreSQL
  × store "main" is PostgreSQL
   ╭─[app.toml:9:9]
 8 │ name = "t"
 9 │ store = "main"
   ·         ──────
   ╰────
  help: tables that aren't listed live in PostgreSQL by themselves: leave this entry out

3 mistakes in app.toml
"#;
    let report = report(text);
    assert_eq!(report.render(false), expected);
    assert_eq!(report.to_string(), expected);
    assert!(report.render(true).contains("\u{1b}["));
}

#[test]
fn one_mistake_is_no_plural() {
    let rendered = report(&WELL.replace("trust", "md5")).render(false);
    assert!(rendered.ends_with("\n1 mistake in app.toml\n"), "{rendered}");
}

#[test]
fn a_report_does_not_show_secrets_that_are_not_in_the_file() {
    for query in ["?sslmode=always", "?target=x", ":many", "#"] {
        let text = WELL.replace(
            "postgres://app@db/app",
            &format!("postgres://app:${{PASSWORD}}@db/app{query}"),
        );
        let report =
            match flywheel_config::parse("app.toml", &text, &|_| Some("1?hunter2".into()), KINDS) {
                Err(report) => report,
                Ok(config) => panic!("{config:?}"),
            };
        let shown = format!("{report:?}{}", report.render(false));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
