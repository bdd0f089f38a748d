//! tokio-postgres, as an application in Rust uses it. Every story is told to plain PostgreSQL too.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flywheel_tests::child::in_time;
use flywheel_tests::world::{Home, column};
use flywheel_tests::{Setup, Told, World};
use futures_util::{SinkExt, StreamExt, TryStreamExt, future};
use tokio_postgres::types::{Json, ToSql, Type};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// A gateway whose table `notes` has this home, or `None` when it isn't there.
async fn world(home: Home) -> Option<World> {
    let world = Setup::default().table("public.notes", home).start().await?;
    home.is_available(world.servers()).then_some(world)
}

/// A client of the gateway and one of PostgreSQL, each with an empty table `notes` and a relational
/// one, `words`.
async fn clients(world: &World) -> [Client; 2] {
    let clients = [world.oracle().await, world.gateway().await];
    for client in &clients {
        client
            .batch_execute(
                "CREATE TABLE notes (id int PRIMARY KEY, body text NOT NULL, stars bigint, score float8, tags jsonb, owner uuid, raw bytea,
                                     at timestamptz, done boolean);
                 CREATE TABLE words (id int PRIMARY KEY, word text)",
            )
            .await
            .expect("tables");
    }
    clients
}

#[tokio::test]
async fn values_come_back_as_they_went() {
    for home in Home::ALL {
        let Some(world) = world(home).await else { continue };
        for client in clients(&world).await {
            let (tags, owner) = (serde_json::json!({"a": [1, null, "ü"]}), Uuid::from_u128(7));
            let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_790_000_000_123_456);
            let insert = "INSERT INTO notes VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
            let inserted = client
                .execute(
                    insert,
                    &[
                        &1_i32,
                        &"naïve ☃",
                        &i64::MAX,
                        &0.1_f64,
                        &Json(&tags),
                        &owner,
                        &&b"\0\xff\\"[..],
                        &at,
                        &true,
                    ],
                )
                .await
                .expect("a row");
            assert_eq!(inserted, 1);
            let sparse = "INSERT INTO notes (id, body, stars) VALUES ($1, $2, $3)";
            assert_eq!(
                client.execute(sparse, &[&2_i32, &"", &None::<i64>]).await.expect("a row"),
                1,
                "{home:?}"
            );

            let row = client
                .query_one("SELECT * FROM notes WHERE id = $1", &[&1_i32])
                .await
                .expect("the row");
            assert_eq!(row.get::<_, &str>("body"), "naïve ☃");
            assert_eq!(row.get::<_, i64>("stars"), i64::MAX);
            assert_eq!(row.get::<_, f64>("score"), 0.1);
            assert_eq!(row.get::<_, Json<serde_json::Value>>("tags").0, tags);
            assert_eq!(row.get::<_, Uuid>("owner"), owner);
            assert_eq!(row.get::<_, &[u8]>("raw"), b"\0\xff\\");
            assert_eq!(row.get::<_, SystemTime>("at"), at);
            assert!(row.get::<_, bool>("done"));
            let row = client
                .query_one("SELECT * FROM notes WHERE id = $1", &[&2_i32])
                .await
                .expect("the row");
            assert_eq!(
                (row.get::<_, &str>("body"), row.get::<_, Option<i64>>("stars")),
                ("", None)
            );
            assert!(
                client
                    .query_opt("SELECT * FROM notes WHERE id = $1", &[&3_i32])
                    .await
                    .expect("an answer")
                    .is_none()
            );
        }
    }
}

#[tokio::test]
async fn prepared_statements_know_their_types() {
    for home in Home::ONE_OF_EACH {
        let Some(world) = world(home).await else { continue };
        for client in clients(&world).await {
            let put = client
                .prepare("INSERT INTO notes (id, body, stars) VALUES ($1, $2, $3)")
                .await
                .expect("a statement");
            assert_eq!(put.params(), [Type::INT4, Type::TEXT, Type::INT8], "{home:?}");
            for id in 1..=5_i32 {
                client
                    .execute(&put, &[&id, &format!("note {id}"), &i64::from(id)])
                    .await
                    .expect("a row");
            }
            let get = client
                .prepare("SELECT body, stars + $2 AS more FROM notes WHERE id = $1")
                .await
                .expect("a statement");
            let columns: Vec<_> = get
                .columns()
                .iter()
                .map(|column| (column.name(), column.type_().clone()))
                .collect();
            assert_eq!(columns, [("body", Type::TEXT), ("more", Type::INT8)], "{home:?}");
            for id in 1..=5_i32 {
                let row = client.query_one(&get, &[&id, &10_i64]).await.expect("the row");
                assert_eq!(
                    (row.get::<_, &str>(0), row.get::<_, i64>(1)),
                    (&*format!("note {id}"), i64::from(id) + 10)
                );
            }
            let change = client
                .prepare("UPDATE notes SET stars = $1 WHERE id = ANY ($2) RETURNING id, stars")
                .await
                .expect("a statement");
            let mut changed: Vec<(i32, i64)> = client
                .query(&change, &[&0_i64, &vec![1_i32, 3, 9]])
                .await
                .expect("rows")
                .iter()
                .map(|row| (row.get(0), row.get(1)))
                .collect();
            changed.sort_unstable();
            assert_eq!(changed, [(1, 0), (3, 0)], "{home:?}");
            let named =
                client.prepare_typed("SELECT $1", &[Type::TEXT_ARRAY]).await.expect("a statement");
            assert_eq!(named.params(), [Type::TEXT_ARRAY]);
        }
    }
}

#[tokio::test]
async fn rows_are_streamed() {
    for home in [Home::Relational, Home::Redis] {
        let Some(world) = world(home).await else { continue };
        for client in clients(&world).await {
            let fill = "INSERT INTO notes (id, body) SELECT i, repeat('x', 100) FROM generate_series(1, 2000) i";
            assert_eq!(client.execute(fill, &[]).await.expect("rows"), 2000, "{home:?}");
            let none: [&(dyn ToSql + Sync); 0] = [];
            let rows = client
                .query_raw("SELECT id FROM notes ORDER BY id", none)
                .await
                .expect("an answer");
            let ids: Vec<i32> =
                rows.map_ok(|row| row.get::<_, i32>(0)).try_collect().await.expect("rows");
            assert_eq!(ids, (1..=2000).collect::<Vec<_>>(), "{home:?}");
            // One that isn't read to its end doesn't stand in the next one's way.
            let rows = client.query_raw("SELECT body FROM notes", none).await.expect("an answer");
            let mut rows = Box::pin(rows);
            assert!(rows.next().await.expect("a row").is_ok());
            drop(rows);
            assert_eq!(column(&client, "SELECT count(*) FROM notes").await, ["2000"], "{home:?}");
        }
    }
}

#[tokio::test]
async fn statements_of_one_client_are_pipelined() {
    for home in Home::ONE_OF_EACH {
        let Some(world) = world(home).await else { continue };
        for client in clients(&world).await {
            let put = client
                .prepare("INSERT INTO notes (id, body) VALUES ($1, $2)")
                .await
                .expect("a statement");
            let ids: Vec<i32> = (0..40).collect();
            let written = future::join_all(ids.iter().map(|id| {
                let (client, put) = (&client, &put);
                async move { client.execute(put, &[id, &format!("note {id}")]).await }
            }));
            assert!(written.await.into_iter().all(|done| matches!(done, Ok(1))), "{home:?}");

            let get =
                client.prepare("SELECT body FROM notes WHERE id = $1").await.expect("a statement");
            let word = client.prepare("SELECT 'word ' || $1::int").await.expect("a statement");
            let asked = future::join_all(ids.iter().map(|id| {
                let statement = if id % 3 == 0 { &word } else { &get };
                let client = &client;
                async move {
                    client.query_one(statement, &[id]).await.map(|row| row.get::<_, String>(0))
                }
            }));
            for (id, answer) in ids.iter().zip(asked.await) {
                let kind = if id % 3 == 0 { "word" } else { "note" };
                assert_eq!(answer.expect("a row"), format!("{kind} {id}"), "{home:?}");
            }

            // An error in the middle is its statement's alone.
            let (before, duplicate, after) = future::join3(
                client.execute(&put, &[&100_i32, &"new"]),
                client.execute(&put, &[&1_i32, &"again"]),
                client.query_one(&get, &[&100_i32]),
            )
            .await;
            assert_eq!(before.expect("a row"), 1);
            Told::by(duplicate).is("23505", &["notes_pkey"]);
            assert_eq!(after.expect("the row").get::<_, &str>(0), "new", "{home:?}");
        }
    }
}

#[tokio::test]
async fn transactions_and_savepoints() {
    for home in Home::ONE_OF_EACH {
        let Some(world) = world(home).await else { continue };
        for mut client in clients(&world).await {
            let mut transaction = client.transaction().await.expect("BEGIN");
            transaction
                .execute("INSERT INTO notes (id, body) VALUES ($1, 'kept')", &[&1_i32])
                .await
                .expect("a row");
            transaction.execute("INSERT INTO words VALUES (1, 'kept')", &[]).await.expect("a row");
            let savepoint = transaction.savepoint("here").await.expect("SAVEPOINT");
            savepoint
                .execute("INSERT INTO notes (id, body) VALUES ($1, 'gone')", &[&2_i32])
                .await
                .expect("a row");
            Told::by(
                savepoint
                    .execute("INSERT INTO notes (id, body) VALUES ($1, 'again')", &[&1_i32])
                    .await,
            )
            .is("23505", &["notes_pkey"]);
            savepoint.rollback().await.expect("ROLLBACK TO");
            let seen =
                transaction.query("SELECT id FROM notes ORDER BY id", &[]).await.expect("rows");
            assert_eq!(seen.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [1], "{home:?}");
            transaction.commit().await.expect("COMMIT");

            let transaction = client.transaction().await.expect("BEGIN");
            transaction.execute("DELETE FROM notes WHERE id = 1", &[]).await.expect("a row");
            transaction.execute("DELETE FROM words", &[]).await.expect("a row");
            transaction.rollback().await.expect("ROLLBACK");

            // Dropped, it is rolled back.
            let transaction = client.transaction().await.expect("BEGIN");
            transaction
                .execute("UPDATE notes SET body = 'lost' WHERE id = 1", &[])
                .await
                .expect("a row");
            drop(transaction);
            assert_eq!(
                column(&client, "SELECT body FROM notes; SELECT word FROM words").await,
                ["kept", "kept"],
                "{home:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_portal_gives_some_rows_at_a_time() {
    for home in Home::ONE_OF_EACH {
        let Some(world) = world(home).await else { continue };
        for mut client in clients(&world).await {
            client
                .batch_execute(
                    "INSERT INTO notes (id, body) SELECT i, 'note' FROM generate_series(1, 10) i",
                )
                .await
                .expect("rows");
            let transaction = client.transaction().await.expect("BEGIN");
            let portal =
                transaction.bind("SELECT id FROM notes ORDER BY id", &[]).await.expect("a portal");
            let mut pieces: Vec<Vec<i32>> = Vec::new();
            for _ in 0..4 {
                let rows = transaction.query_portal(&portal, 4).await.expect("rows");
                pieces.push(rows.iter().map(|row| row.get(0)).collect());
                // Another statement between two pieces.
                transaction
                    .query_one("SELECT body FROM notes WHERE id = 1", &[])
                    .await
                    .expect("a row");
            }
            let expected = [&[1, 2, 3, 4][..], &[5, 6, 7, 8], &[9, 10], &[]];
            assert_eq!(pieces, expected, "{home:?}");
            transaction.commit().await.expect("COMMIT");
        }
    }
}

async fn copied_in(client: &Client, rows: &[&'static str]) -> Result<u64, tokio_postgres::Error> {
    let sink = client.copy_in("COPY words FROM STDIN (FORMAT csv)").await?;
    let mut sink = std::pin::pin!(sink);
    for row in rows {
        sink.send(Bytes::from_static(row.as_bytes())).await?;
    }
    in_time(sink.finish()).await
}

async fn copied_out(client: &Client, sql: &str) -> String {
    let pieces: Vec<Bytes> =
        client.copy_out(sql).await.expect("COPY").try_collect().await.expect("rows");
    String::from_utf8(pieces.concat()).expect("text")
}

#[tokio::test]
async fn copy_out() {
    let Some(world) = world(Home::Redis).await else { return };
    for client in clients(&world).await {
        client
            .batch_execute("INSERT INTO words SELECT i, 'word ' || i FROM generate_series(0, 999) i; INSERT INTO notes (id, body) VALUES (1, 'a,b'), (2, 'c')")
            .await
            .expect("rows");
        let some = "COPY (SELECT * FROM words WHERE id < 2 ORDER BY id) TO STDOUT";
        assert_eq!(copied_out(&client, some).await, "0\tword 0\n1\tword 1\n");
        assert_eq!(copied_out(&client, "COPY words TO STDOUT").await.lines().count(), 1000);
        let notes = "COPY (SELECT id, body FROM notes ORDER BY id) TO STDOUT (FORMAT csv, HEADER)";
        assert_eq!(copied_out(&client, notes).await, "id,body\n1,\"a,b\"\n2,c\n");
        assert_eq!(copied_out(&client, "COPY notes (body) TO STDOUT").await.lines().count(), 2);
    }
}

#[tokio::test]
async fn copy_in() {
    let Some(world) = world(Home::Redis).await else { return };
    for client in clients(&world).await {
        assert_eq!(copied_in(&client, &["1,one\n2,two\n", "3,three\n"]).await.expect("a copy"), 3);
        Told::by(copied_in(&client, &["4,four\n", "1,again\n"]).await).is("23505", &["words_pkey"]);
        Told::by(copied_in(&client, &["four\n"]).await).is("22P02", &["integer"]);
        assert_eq!(column(&client, "SELECT count(*) FROM words").await, ["3"]);
        // One that is given up.
        drop(client.copy_in::<_, Bytes>("COPY words FROM STDIN").await.expect("COPY"));
        assert_eq!(in_time(column(&client, "SELECT count(*) FROM words")).await, ["3"]);
    }
}

#[tokio::test]
async fn copy_in_of_much() {
    let Some(world) = world(Home::Redis).await else { return };
    for mut client in clients(&world).await {
        let transaction = client.transaction().await.expect("BEGIN");
        let sink = transaction.copy_in("COPY words FROM STDIN").await.expect("COPY");
        let mut sink = std::pin::pin!(sink);
        for id in 0..20_000 {
            sink.send(Bytes::from(format!("{id}\tword {id}\n"))).await.expect("a row");
        }
        assert_eq!(in_time(sink.finish()).await.expect("the end"), 20_000);
        transaction.commit().await.expect("COMMIT");
        assert_eq!(column(&client, "SELECT count(*) FROM words").await, ["20000"]);
    }
}

#[tokio::test]
async fn a_cancelled_statement_leaves_the_session_usable() {
    let Some(world) = world(Home::Redis).await else { return };
    for client in clients(&world).await {
        let token = client.cancel_token();
        let sleep = client.batch_execute("SELECT pg_sleep(30)");
        let cancel = async {
            let other = world.behind().await;
            // Where it runs isn't known to the test: it is seen, or it is plain PostgreSQL, where
            // it is seen likewise.
            let asleep = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)' AND state = 'active'";
            while column(&other, asleep).await == ["0"] {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            token.cancel_query(NoTls).await.expect("a cancel request");
        };
        let (slept, ()) = future::join(sleep, cancel).await;
        Told::by(slept).is("57014", &["canceling statement due to user request"]);
        assert_eq!(column(&client, "SELECT 1").await, ["1"]);
        // With nothing to cancel, nothing happens. The driver doesn't wait until the request has
        // been read, so it may still reach a statement that follows at once.
        token.cancel_query(NoTls).await.expect("a cancel request");
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(column(&client, "SELECT 1").await, ["1"]);
    }
}

#[tokio::test]
async fn errors_name_what_they_are_about() {
    for home in Home::ONE_OF_EACH {
        let Some(world) = world(home).await else { continue };
        for client in clients(&world).await {
            client
                .batch_execute("INSERT INTO notes (id, body) VALUES (1, 'a')")
                .await
                .expect("a row");
            let duplicate =
                client.execute("INSERT INTO notes (id, body) VALUES ($1, 'b')", &[&1_i32]).await;
            let error = duplicate.expect_err("a duplicate");
            let error = error.as_db_error().expect("the server's");
            assert_eq!(error.detail(), Some("Key (id)=(1) already exists."), "{home:?}");
            assert_eq!(
                (error.schema(), error.table(), error.constraint()),
                (Some("public"), Some("notes"), Some("notes_pkey")),
                "{home:?}"
            );
            let missing = client.execute("INSERT INTO notes (id) VALUES ($1)", &[&2_i32]).await;
            let error = missing.expect_err("a missing value");
            let error = error.as_db_error().expect("the server's");
            assert_eq!(
                (error.code().code(), error.table(), error.column()),
                ("23502", Some("notes"), Some("body")),
                "{home:?}"
            );
            Told::by(client.query("SELECT nothing FROM notes", &[]).await)
                .is("42703", &["nothing"]);
            Told::by(client.query("SELECT * FROM nowhere", &[]).await).is("42P01", &["nowhere"]);
        }
    }
}
