//! Rights belong to the role that executes a statement, at the moment at which it does.

use flywheel_tests::raw::{Bind, Client, Event, Format, Message};
use flywheel_tests::world::until;
use flywheel_tests::{Home, Setup, World};

/// What a client got: its rows' first values, or the SQLSTATE.
async fn got(client: &mut Client, sql: &str) -> String {
    told(&client.query(sql).await.expect("an answer"))
}

fn told(said: &[Event]) -> String {
    for event in said {
        match event {
            Event::Error(report) => return report.state().to_owned(),
            Event::Row(row) => {
                let value = row.last().and_then(Option::as_deref).unwrap_or_default();
                return String::from_utf8_lossy(value).into_owned();
            }
            _ => {}
        }
    }
    String::new()
}

/// The same by the extended protocol, with a statement that is prepared already.
async fn executed(client: &mut Client, statement: &str) -> String {
    let batch = [bound("", statement), Message::execute("", 0), Message::sync()];
    client.send(&batch).await.expect("sent");
    told(&client.until_ready().await.expect("an answer"))
}

fn bound(portal: &str, statement: &str) -> Message {
    Message::bind(&Bind {
        portal,
        statement,
        parameter_format: Format::Text,
        parameters: &[],
        result_format: Format::Text,
    })
}

/// A world with the store tables `people`, which has a secret, and `others`; and roles of its own.
struct Rights {
    world: World,
    alice: String,
    readers: String,
}

impl Rights {
    async fn start(setup: Setup) -> Option<Self> {
        let setup = setup.table("public.people", Home::Memory).table("public.others", Home::Memory);
        let world = setup.start().await?;
        let [alice, readers] =
            ["alice", "readers"].map(|role| format!("{}_{role}", world.primary().name()));
        let behind = world.behind().await;
        behind
            .batch_execute(&format!("CREATE ROLE {alice}; CREATE ROLE {readers}"))
            .await
            .expect("roles");
        let gateway = world.gateway().await;
        for sql in [
            "CREATE TABLE people (id int PRIMARY KEY, name text, secret text)",
            "CREATE TABLE others (id int PRIMARY KEY, name text)",
            "INSERT INTO people VALUES (1, 'one', 'hidden'), (2, 'two', 'hidden')",
        ] {
            gateway.batch_execute(sql).await.expect("tables");
        }
        Some(Self { world, alice, readers })
    }

    async fn behind(&self, sql: &str) {
        self.world.behind().await.batch_execute(sql).await.expect(sql);
    }

    async fn end(self) {
        let Self { alice, readers, .. } = &self;
        for role in [alice, readers] {
            self.behind(&format!(
                "REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}"
            ))
            .await;
        }
    }
}

const SECRET: &str = "SELECT secret FROM people WHERE id = 1";
/// Computed by PostgreSQL over the rows of the store.
const SECRETS: &str = "SELECT max(secret || '') FROM people";
const WRITE: &str = "INSERT INTO people VALUES (3, 'three', 'hidden') ON CONFLICT DO NOTHING";

#[tokio::test]
async fn a_plan_is_its_roles() {
    for keys in ["pool_mode = \"session\"", "pool_mode = \"transaction\"\npool_size = 3"] {
        let Some(rights) = Rights::start(Setup::default().main(keys)).await else {
            return;
        };
        let alice = &rights.alice;
        rights.behind(&format!("GRANT SELECT (id, name) ON people TO {alice}")).await;
        for pin in ["SELECT 1", "LISTEN x", "SELECT pg_advisory_lock(1)"] {
            let (mut owner, mut limited) = (rights.world.raw().await, rights.world.raw().await);
            got(&mut owner, pin).await;
            for become_alice in [
                format!("SET ROLE {alice}"),
                format!("SET SESSION AUTHORIZATION {alice}"),
                format!("SELECT set_config('role', '{alice}', false)"),
            ] {
                let is_second = !pin.contains("advisory");
                if is_second {
                    got(&mut limited, pin).await;
                }
                let why = format!("{keys}, {pin}, {become_alice}");
                for sql in [SECRET, SECRETS] {
                    assert_eq!(got(&mut owner, sql).await, "hidden", "{why}");
                }
                assert_eq!(got(&mut owner, WRITE).await, "", "{why}");
                got(&mut limited, &become_alice).await;
                for sql in [SECRET, SECRETS, WRITE] {
                    assert_eq!(got(&mut limited, sql).await, "42501", "{why}: {sql}");
                }
                assert_eq!(
                    got(&mut limited, "SELECT name FROM people WHERE id = 1").await,
                    "one",
                    "{why}"
                );
                got(&mut limited, "RESET SESSION AUTHORIZATION").await;
                got(&mut limited, "DISCARD ALL").await;
            }
        }
        rights.end().await;
    }
}

#[tokio::test]
async fn a_prepared_statement_is_executed_with_the_rights_of_its_executor() {
    for keys in ["pool_mode = \"session\"", "pool_mode = \"transaction\"\npool_size = 3"] {
        let Some(rights) = Rights::start(Setup::default().main(keys)).await else {
            return;
        };
        let alice = &rights.alice;
        rights.behind(&format!("GRANT SELECT (id, name) ON people TO {alice}")).await;
        let mut client = rights.world.raw().await;
        for (name, sql) in [("by_sql", SECRET), ("by_sql_too", SECRETS), ("writes", WRITE)] {
            got(&mut client, &format!("PREPARE {name} AS {sql}")).await;
            let parse = [Message::parse(&format!("p_{name}"), sql, &[]), Message::sync()];
            client.send(&parse).await.expect("sent");
            client.until_ready().await.expect("an answer");
        }
        let names = [("by_sql", "hidden"), ("by_sql_too", "hidden"), ("writes", "")];
        for (become_alice, and_back) in [
            (format!("SET ROLE {alice}"), "RESET ROLE"),
            (format!("BEGIN; SET LOCAL ROLE {alice}"), "ROLLBACK"),
            (format!("SET SESSION AUTHORIZATION {alice}"), "RESET SESSION AUTHORIZATION"),
        ] {
            for (name, expected) in names {
                assert_eq!(
                    got(&mut client, &format!("EXECUTE {name}")).await,
                    expected,
                    "{keys}, {name}"
                );
                assert_eq!(
                    executed(&mut client, &format!("p_{name}")).await,
                    expected,
                    "{keys}, {name}"
                );
            }
            for (name, _) in names {
                for is_sql in [true, false] {
                    got(&mut client, &become_alice).await;
                    let found = if is_sql {
                        got(&mut client, &format!("EXECUTE {name}")).await
                    } else {
                        executed(&mut client, &format!("p_{name}")).await
                    };
                    assert_eq!(found, "42501", "{keys}, {become_alice}, {name}");
                    got(&mut client, and_back).await;
                }
            }
        }
        // A portal that was bound before the role was another one.
        got(&mut client, "BEGIN").await;
        client.send(&[bound("portal", "p_writes"), Message::sync()]).await.expect("sent");
        client.until_ready().await.expect("an answer");
        got(&mut client, &format!("SET LOCAL ROLE {alice}")).await;
        client.send(&[Message::execute("portal", 0), Message::sync()]).await.expect("sent");
        let said = client.until_ready().await.expect("an answer");
        assert_eq!(told(&said), "42501", "{keys}");
        assert_eq!(said.last(), Some(&Event::Ready('E')), "{keys}");
        got(&mut client, "ROLLBACK").await;
        drop(client);
        rights.end().await;
    }
}

/// What takes a right away, and what gives it.
fn changes(alice: &str, readers: &str) -> Vec<(String, String)> {
    let granted = |what: &str, to: &str| {
        (format!("REVOKE {what} FROM {to}"), format!("GRANT {what} TO {to}"))
    };
    vec![
        granted(readers, alice),
        granted("SELECT ON people", readers),
        (
            format!(
                "REVOKE SELECT ON people FROM {readers}; GRANT SELECT (id, name) ON people TO {readers}"
            ),
            format!("GRANT SELECT ON people TO {readers}"),
        ),
        (format!("ALTER ROLE {alice} NOINHERIT"), format!("ALTER ROLE {alice} INHERIT")),
        (
            format!("REVOKE SELECT ON people FROM {readers}; ALTER ROLE {alice} NOSUPERUSER"),
            format!("ALTER ROLE {alice} SUPERUSER"),
        ),
    ]
}

#[tokio::test]
async fn rights_that_change_are_noticed() {
    for keys in ["pool_mode = \"session\"", "pool_size = 4"] {
        let Some(rights) = Rights::start(Setup::default().main(keys)).await else {
            return;
        };
        let Rights { world, alice, readers } = &rights;
        rights
            .behind(&format!("GRANT SELECT ON people TO {readers}; GRANT {readers} TO {alice}"))
            .await;
        let (mut client, mut administrator) = (world.raw().await, world.raw().await);
        got(&mut client, &format!("SET ROLE {alice}")).await;
        client.send(&[Message::parse("p", SECRET, &[]), Message::sync()]).await.expect("sent");
        client.until_ready().await.expect("an answer");
        for (take, give) in changes(alice, readers) {
            // Through the gateway: at once.
            for (sql, expected) in [(&give, "hidden"), (&take, "42501")] {
                got(&mut administrator, sql).await;
                assert_eq!(got(&mut client, SECRET).await, expected, "{keys}: {sql}");
                assert_eq!(got(&mut client, SECRETS).await, expected, "{keys}: {sql}");
                assert_eq!(executed(&mut client, "p").await, expected, "{keys}: {sql}");
            }
            // In a block, for others when it commits.
            got(&mut administrator, &give).await;
            got(&mut administrator, "BEGIN").await;
            got(&mut administrator, &take).await;
            got(&mut administrator, "SELECT count(*) FROM people").await;
            assert_eq!(got(&mut client, SECRET).await, "hidden", "{keys}: {take}");
            got(&mut administrator, "COMMIT").await;
            assert_eq!(got(&mut client, SECRET).await, "42501", "{keys}: {take}");
            assert_eq!(executed(&mut client, "p").await, "42501", "{keys}: {take}");
            // Past the gateway: soon.
            for (sql, expected) in [(&give, "hidden"), (&take, "42501")] {
                rights.behind(sql).await;
                until("what was changed past the gateway", async || {
                    got(&mut client, SECRET).await == expected
                })
                .await;
                assert_eq!(executed(&mut client, "p").await, expected, "{keys}: {sql}");
            }
            rights.behind(&give).await;
            until("the right is back", async || got(&mut client, SECRET).await == "hidden").await;
        }
        drop((client, administrator));
        rights.end().await;
    }
}

#[tokio::test]
async fn a_role_that_is_new_has_its_rights() {
    for keys in ["pool_size = 2", "pool_size = 1"] {
        let Some(rights) = Rights::start(Setup::default().main(keys)).await else {
            return;
        };
        let Rights { world, alice, readers } = &rights;
        rights
            .behind(&format!(
                "GRANT SELECT ON people TO {alice}; GRANT SELECT ON others TO {readers}"
            ))
            .await;
        for (role, sql, expected) in [
            (alice, SECRET, "hidden"),
            (alice, "SELECT name FROM others WHERE id = 1", "42501"),
            (readers, "SELECT count(*) FROM others", "0"),
            (readers, SECRETS, "42501"),
        ] {
            let mut client = world.raw().await;
            got(&mut client, &format!("SET ROLE {role}")).await;
            let said = client.query(sql).await.expect("an answer");
            assert_eq!(told(&said), expected, "{keys}, {sql}: {said:?}");
            let named = if sql.contains("others") { "others" } else { "people" };
            for event in &said {
                if let Event::Error(report) = event {
                    let message = format!("permission denied for table {named}");
                    assert_eq!(report.field('M'), Some(message.as_str()), "{keys}, {sql}");
                }
            }
            // The definition is another one for whoever looks first.
            rights.behind(&format!("GRANT UPDATE ON people TO {role}")).await;
        }
        // In a block that has made one itself.
        let mut client = world.raw().await;
        got(&mut client, "BEGIN").await;
        got(&mut client, &format!("GRANT SELECT ON others TO {alice}")).await;
        got(&mut client, &format!("SET LOCAL ROLE {alice}")).await;
        assert_eq!(got(&mut client, "SELECT count(*) FROM others").await, "0", "{keys}");
        got(&mut client, "ROLLBACK").await;
        got(&mut client, &format!("SET ROLE {alice}")).await;
        assert_eq!(got(&mut client, "SELECT count(*) FROM others").await, "42501", "{keys}");
        drop(client);
        rights.end().await;
    }
}

#[tokio::test]
async fn a_view_is_read_with_its_owners_rights() {
    let Some(rights) = Rights::start(Setup::default()).await else {
        return;
    };
    let Rights { world, alice, .. } = &rights;
    let mut owner = world.raw().await;
    for sql in [
        "CREATE VIEW named AS SELECT id, name FROM people",
        "CREATE VIEW asked WITH (security_invoker = true) AS SELECT id, name FROM people",
        &format!("GRANT SELECT ON named, asked TO {alice}"),
    ] {
        assert_eq!(got(&mut owner, sql).await, "", "{sql}");
    }
    let mut client = world.raw().await;
    got(&mut client, &format!("SET ROLE {alice}")).await;
    for (sql, expected) in [
        ("SELECT name FROM named WHERE id = 1", "one"),
        ("SELECT count(*) FROM named", "2"),
        ("TABLE named", "one"),
        ("SELECT secret FROM named", "42703"),
        ("SELECT name FROM asked WHERE id = 1", "42501"),
        (SECRET, "42501"),
        ("EXPLAIN SELECT secret FROM people WHERE id = 1", "42501"),
        ("EXPLAIN DELETE FROM people WHERE id = 1", "42501"),
        ("EXPLAIN ANALYZE SELECT secret FROM people WHERE id = 1", "42501"),
        ("EXPLAIN SELECT name FROM asked WHERE id = 1", "42501"),
        ("UPDATE named SET name = 'x' WHERE id = 1", "42501"),
    ] {
        assert_eq!(got(&mut client, sql).await, expected, "{sql}");
        client.send(&Message::batch_of(sql)).await.expect("sent");
        assert_eq!(told(&client.until_ready().await.expect("an answer")), expected, "{sql}");
    }
    let explained = got(&mut client, "EXPLAIN SELECT name FROM named WHERE id = 1").await;
    assert!(explained.len() > 5, "{explained}");
    drop((client, owner));
    rights.end().await;
}

#[tokio::test]
async fn the_cache_is_for_those_who_may_administer() {
    let rule = "[[cache]]\nwhen = { tables = [\"public.words\"] }\nttl = \"1m\"";
    let Some(rights) = Rights::start(Setup::default().section(rule)).await else {
        return;
    };
    let Rights { world, alice, .. } = &rights;
    let mut client = world.raw().await;
    assert_eq!(got(&mut client, "FLUSH CACHE").await, "");
    assert_ne!(got(&mut client, "SHOW CACHE").await, "42501");
    got(&mut client, &format!("SET ROLE {alice}")).await;
    assert_eq!(got(&mut client, "FLUSH CACHE").await, "42501");
    assert_eq!(got(&mut client, "SHOW CACHE").await, "42501");
    rights.behind(&format!("GRANT pg_monitor TO {alice}")).await;
    assert_eq!(got(&mut client, "FLUSH CACHE").await, "42501");
    assert_ne!(got(&mut client, "SHOW CACHE").await, "42501");
    got(&mut client, "RESET ROLE").await;
    assert_eq!(got(&mut client, "FLUSH CACHE").await, "");
    drop(client);
    rights.end().await;
}
