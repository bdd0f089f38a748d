//! `[[routes]]`

use flywheel_cli::KINDS;

use super::{WELL, adding, has};

#[test]
fn conditions() {
    let condition = "give at least one of user, kind, tables; statements that no route matches go to the primary";
    adding(&[
        (
            "[[routes]]\nwhen = { }\nto = \"main\"\n",
            (11, 8, "a route without a condition", condition),
        ),
        (
            "[[routes]]\nwhen = { kind = \"delete\" }\nto = \"main\"\n",
            (11, 17, "`kind` can't be \"delete\"", "`kind` is one of: \"read\", \"write\""),
        ),
        (
            "[[routes]]\nwhen = { tables = [] }\nto = \"main\"\n",
            (11, 19, "a route for no tables", "name at least one, or leave the key out: any"),
        ),
        (
            "[[routes]]\nwhen = { tables = [\"words\", \"a.b.c\"] }\nto = \"main\"\n",
            (11, 29, "\"a.b.c\" isn't a table's name", "write schema.table, …"),
        ),
        (
            "[[tables]]\nname = \"sessions\"\nstore = \"fast\"\n[[routes]]\nwhen = { tables = [\"public.sessions\"] }\nto = \"main\"\n",
            (
                14,
                20,
                "table \"public.sessions\" is in store \"fast\"",
                "routes are for PostgreSQL's own tables: leave it out",
            ),
        ),
    ]);
}

#[test]
fn targets() {
    let targets = "targets are \"main\" and \"main.replicas\"";
    let near = format!("did you mean \"main.replicas\"? {targets}");
    let route = |to: &str| format!("[[routes]]\nwhen = {{ user = \"x\" }}\nto = \"{to}\"\n");
    adding(&[
        (&route("replicas"), (12, 6, "\"replicas\" isn't a target", targets)),
        (&route("main.replica"), (12, 6, "\"main.replica\" isn't a target", &near)),
        // It is a store, but not PostgreSQL.
        (&route("fast"), (12, 6, "\"fast\" isn't a target", targets)),
        (
            &route("main.replicas"),
            (
                12,
                6,
                "store \"main\" has no replicas",
                "add replicas = [\"postgres://…\"] to stores.main",
            ),
        ),
    ]);
    has(
        &format!(
            "auth = \"trust\"\n[stores.main]\nkind = \"embedded-postgres\"\n{}",
            route("main.replicas")
        ),
        &[(
            6,
            6,
            "store \"main\" has no replicas",
            "an embedded PostgreSQL has none: use to = \"main\", or leave the route out",
        )],
    );
    let url = "url = \"postgres://app@db/app\"\n";
    let with_replica =
        WELL.replace(url, &format!("{url}replicas = [\"postgres://app@one/app\"]\n"));
    has(
        &format!(
            "{with_replica}[[routes]]\nwhen = {{ kind = \"write\" }}\nto = \"main.replicas\"\n"
        ),
        &[(13, 6, "writes can't go to replicas", "use kind = \"read\", or to = \"main\"")],
    );
    // A replica with a mistake is one: only its own mistake is told.
    let with_mistake = WELL.replace(url, &format!("{url}replicas = [5]\n"));
    has(
        &format!("{with_mistake}{}", route("main.replicas")),
        &[(
            5,
            13,
            "an entry of `replicas` is an integer",
            "an entry of `replicas` must be a string or a table",
        )],
    );
}

#[test]
fn users() {
    let file = format!(
        "{}[[users]]\nname = \"app\"\npassword = \"x\"\n[[routes]]\nwhen = {{ user = \"ap\" }}\nto = \"main\"\n",
        WELL.replace("trust", "scram-sha-256")
    );
    has(&file, &[(14, 17, "there is no user \"ap\"", "users that can log in: app")]);
    // With trust, users that are listed are the only ones too.
    has(
        &file.replace("scram-sha-256", "trust"),
        &[(14, 17, "there is no user \"ap\"", "users that can log in: app")],
    );
}

#[test]
fn routes_that_are_never_reached() {
    let two = |first: &str, second: &str| {
        format!(
            "{WELL}[[routes]]\nwhen = {{ {first} }}\nto = \"main\"\n[[routes]]\nwhen = {{ {second} }}\nto = \"main\"\n"
        )
    };
    for (first, second) in [
        ("user = \"a\"", "user = \"a\""),
        ("user = \"a\"", "user = \"a\", kind = \"read\""),
        ("kind = \"read\"", "user = \"a\", kind = \"read\""),
        ("tables = [\"public.words\", \"users\"]", "tables = [\"words\"]"),
    ] {
        has(
            &two(first, second),
            &[(
                14,
                8,
                "this route is never reached: route 1 before it matches all of its statements",
                "the first route that matches decides: put the narrower one first",
            )],
        );
    }
    for (first, second) in [
        ("user = \"a\"", "user = \"b\""),
        ("user = \"a\", kind = \"read\"", "user = \"a\""),
        ("tables = [\"words\"]", "tables = [\"words\", \"users\"]"),
        ("tables = [\"words\"]", "kind = \"read\""),
    ] {
        flywheel_config::parse("app.toml", &two(first, second), &|_| None, KINDS)
            .expect("no mistake");
    }
    // Of a condition with a mistake nothing follows.
    has(
        &two("user = \"a\", kind = \"delete\"", "user = \"a\""),
        &[(11, 29, "`kind` can't be \"delete\"", "`kind` is one of: \"read\", \"write\"")],
    );
}
