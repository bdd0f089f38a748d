//! What a store answers alone, it answers alone: once a text has been prepared, or one that differs
//! in its constants and comments only, PostgreSQL isn't asked any more by its statements.

use std::time::Duration;

use flywheel_tests::proxy::{Network, Proxy};
use flywheel_tests::world::{column, connect};
use flywheel_tests::{Home, Setup};

const PATIENCE: Duration = Duration::from_secs(20);

/// Statements whose texts differ in their constants and comments.
fn texts_like_others(number: i32) -> [String; 6] {
    [
        format!(
            "INSERT INTO items VALUES ({number}, 'it''s {number}', -{number}) ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n"
        ),
        format!(
            "INSERT INTO visits VALUES ({number}, '2026-02-02 00:00:00+00') ON CONFLICT DO NOTHING -- trace {number}"
        ),
        format!("UPDATE items SET n = {number} /* trace {number} */ WHERE id = {number}"),
        format!("/* trace {number} */ DELETE FROM items WHERE id = -{number};"),
        format!("SELECT name FROM items WHERE id IN ({number}, 2, 3) -- id={number}"),
        format!(
            "SELECT who FROM visits WHERE who = {number} AND at > '2024-01-01 00:00:00+00' ORDER BY at DESC LIMIT {number}"
        ),
    ]
}

/// The same in the extended protocol, beside parameters of the client's; with a value of that.
fn parsed_like_others(number: i32) -> [String; 5] {
    [
        format!("SELECT name FROM items WHERE id = $1 LIMIT {number} /* trace {number} */"),
        format!(
            "/* trace {number} */ UPDATE items SET n = $1, name = 'it''s {number}' WHERE id = {number}"
        ),
        format!("INSERT INTO items VALUES ({number}0, 'x{number}', $1) ON CONFLICT DO NOTHING"),
        format!(
            "SELECT who FROM visits WHERE who = $1 AND at > '2024-01-01 00:00:0{number}+00' ORDER BY at LIMIT {number}"
        ),
        format!("DELETE FROM items WHERE id = $1 -- trace {number}"),
    ]
}

/// As a driver does that prepares each text, asks what it is, and runs it.
async fn parsed(client: &tokio_postgres::Client, number: i32) {
    for sql in parsed_like_others(number) {
        client.execute(&sql, &[&number]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

/// PostgreSQL falls silent; its connections stand, and nothing comes of what is asked on them.
#[tokio::test]
async fn native_statements_go_on_while_postgresql_is_silent() {
    let Some(servers) = flywheel_tests::world::Servers::from_environment() else {
        return;
    };
    let address = servers
        .postgres
        .split('@')
        .nth(1)
        .and_then(|rest| rest.split('/').next())
        .expect("an address");
    for home in Home::STORES {
        if !home.is_available(&servers) {
            continue;
        }
        let proxy = Proxy::to(address).await;
        // The world's own database can't be reached through a proxy that is there before it.
        let database = format!("native_{}_{}", std::process::id(), home.name());
        let behind = connect(&servers.postgres).await;
        behind.batch_execute(&format!("CREATE DATABASE {database}")).await.expect("a database");
        let url = format!("postgres://postgres@{}/{database}", proxy.address());
        let setup = Setup::default().table("public.items", home).table("public.visits", home);
        let Some(world) = setup.primary_at(&url).start().await else {
            return;
        };
        let client = world.gateway().await;
        for table in [
            "CREATE TABLE items (id int PRIMARY KEY, name text, n int)",
            "CREATE TABLE visits (who int, at timestamptz, PRIMARY KEY (who, at))",
        ] {
            client.batch_execute(table).await.expect("a table");
        }
        let statements = [
            "INSERT INTO items VALUES (1, 'one', 1) ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n",
            "INSERT INTO visits VALUES (1, '2026-01-01 00:00:00+00') ON CONFLICT DO NOTHING",
            "UPDATE items SET n = 2 WHERE id = 1",
            "DELETE FROM items WHERE id = 2",
            "SELECT name FROM items WHERE id IN (1, 2, 3)",
            "SELECT who FROM visits WHERE who = 1 AND at > '2025-01-01 00:00:00+00' ORDER BY at DESC LIMIT 3",
        ];
        // The first of them makes the table flywheel.gateways: a definition, which is noticed
        // within a second, and plans are made anew.
        for pause in [Duration::from_secs(3), Duration::ZERO] {
            for sql in statements {
                client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            }
            tokio::time::sleep(pause).await;
        }
        for sql in texts_like_others(7) {
            client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
        parsed(&client, 7).await;
        let by_key =
            client.prepare("SELECT name, n FROM items WHERE id = $1").await.expect("prepared");
        client.query(&by_key, &[&1]).await.expect("a row");

        let other = world.gateway().await;
        proxy.becomes(Network::Silent);
        let all = async {
            // Not for long: a gateway that doesn't hear from PostgreSQL can't know of definitions.
            for _ in 0..2 {
                for sql in statements {
                    client
                        .batch_execute(sql)
                        .await
                        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
                }
                let row = client.query_one(&by_key, &[&1]).await.expect("a row");
                assert_eq!((row.get::<_, &str>(0), row.get::<_, i32>(1)), ("one", 2));
            }
            // Another session, to which the text isn't new.
            assert_eq!(column(&other, statements[4]).await, ["one"]);
            // Its texts are new to everybody.
            for sql in texts_like_others(8) {
                other.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            }
            assert_eq!(
                column(&other, "SELECT name FROM items WHERE id IN (0, 8, 9)").await,
                ["it's 8"]
            );
            parsed(&other, 8).await;
            parsed(&client, 9).await;
        };
        tokio::time::timeout(PATIENCE, all)
            .await
            .unwrap_or_else(|_| panic!("{}: PostgreSQL is asked", home.name()));
        // It was silent indeed: what it must say isn't said.
        let unknown = client.query("SELECT name || '?' FROM items WHERE id = 1", &[]);
        let answer = tokio::time::timeout(Duration::from_secs(1), unknown).await;
        assert!(!matches!(answer, Ok(Ok(_))), "PostgreSQL wasn't silent");
        drop(world);
        let gone = format!("DROP DATABASE {database} WITH (FORCE)");
        behind.batch_execute(&gone).await.expect("no database");
    }
}
