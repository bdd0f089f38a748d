//! Tables in DynamoDB that another application has made or writes.

use flywheel_tests::child::run;
use flywheel_tests::endpoint::send;
use flywheel_tests::world::{column, dynoxide, flywheel};
use flywheel_tests::{Home, Setup, Told, World};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio_postgres::Client;

/// A world with a table `t` in this home, and where the home is.
async fn world(home: Home, keys: &[&str]) -> Option<(World, Client, String, String)> {
    let keys: Vec<_> = keys.iter().copied().chain(["allow_scan = true"]).collect();
    let world = Setup::default().table_with("public.t", home, &keys).start().await?;
    if !home.is_available(world.servers()) {
        return None;
    }
    let url = match home {
        Home::Dynoxide => dynoxide().to_owned(),
        _ => world.servers().dynamodb[0].clone(),
    };
    let unique = world.primary().name().strip_suffix("_flywheel").expect("a world's database");
    let name = format!("{unique}-public.t");
    let client = world.gateway().await;
    Some((world, client, url, name))
}

async fn put(url: &str, table: &str, item: Value) {
    send(url, "PutItem", &json!({ "TableName": table, "Item": item })).await;
}

#[tokio::test]
async fn attributes_that_are_missing_or_of_another_type() {
    for home in Home::DYNAMODBS {
        for is_null in [false, true] {
            let keys: &[&str] = if is_null { &["on_type_mismatch = \"null\""] } else { &[] };
            let Some((_world, client, url, table)) = world(home, keys).await else {
                continue;
            };
            client
                .batch_execute("CREATE TABLE t (a text, b int, name text NOT NULL, n bigint, price numeric(8,2), at timestamptz, ok bool, doc jsonb, PRIMARY KEY (a, b))")
                .await
                .expect("a table");
            put(
                &url,
                &table,
                json!({ "a": { "S": "bare" }, "b": { "N": "1" }, "name": { "S": "x" } }),
            )
            .await;
            put(
                &url,
                &table,
                json!({ "a": { "S": "nulls" }, "b": { "N": "1" }, "name": { "S": "x" }, "n": { "NULL": true }, "extra": { "SS": ["y"] } }),
            )
            .await;
            put(
                &url,
                &table,
                json!({ "a": { "S": "odd" }, "b": { "N": "1e0" }, "name": { "S": "x" }, "n": { "N": "7.0" }, "price": { "N": "1.5" },
                        "at": { "S": "2026-01-02 03:04:05+00" }, "ok": { "BOOL": true }, "doc": { "M": { "k": { "L": [{ "N": "1" }, { "NULL": true }] } } } }),
            )
            .await;
            let row = "SELECT concat_ws('|', name, n, price, at AT TIME ZONE 'UTC', ok, doc) FROM t WHERE a =";
            assert_eq!(column(&client, &format!("{row} 'bare'")).await, ["x"]);
            assert_eq!(column(&client, &format!("{row} 'nulls'")).await, ["x"]);
            assert_eq!(
                column(&client, &format!("{row} 'odd'")).await,
                ["x|7|1.50|2026-01-02 03:04:05|t|{\"k\": [1, null]}"]
            );
            assert_eq!(column(&client, "SELECT n FROM t WHERE a = 'odd' AND b = 1").await, ["7"]);

            for (b, attribute, value) in [
                (1, "n", json!({ "S": "12" })),
                (2, "n", json!({ "N": "1.5" })),
                (3, "price", json!({ "BOOL": true })),
                (4, "at", json!({ "N": "1767323045" })),
                (5, "ok", json!({ "N": "1" })),
            ] {
                let mut item = json!({ "a": { "S": "wrong" }, "b": { "N": b.to_string() }, "name": { "S": "x" } });
                item[attribute] = value;
                put(&url, &table, item).await;
                for sql in [
                    format!("SELECT * FROM t WHERE a = 'wrong' AND b = {b}"),
                    format!(
                        "SELECT count(*) FROM t WHERE a = 'wrong' AND b = {b} AND {attribute} IS NULL"
                    ),
                ] {
                    if is_null {
                        client.simple_query(&sql).await.expect("a row with NULL");
                        continue;
                    }
                    let attribute = format!("\"{attribute}\"");
                    let key = format!("wrong, {b}");
                    Told::of(&client, &sql).await.is(
                        "58000",
                        &["public.t", &key, &attribute, "on_type_mismatch = \"null\""],
                    );
                }
                // What isn't read doesn't matter.
                assert_eq!(
                    column(&client, &format!("SELECT name FROM t WHERE a = 'wrong' AND b = {b}"))
                        .await,
                    ["x"]
                );
            }
            if is_null {
                let count = "SELECT count(*) FROM t WHERE a = 'wrong' AND n IS NULL AND price IS NULL AND at IS NULL AND ok IS NULL";
                assert_eq!(column(&client, count).await, ["5"]);
            }
            put(&url, &table, json!({ "a": { "S": "nameless" }, "b": { "N": "1" } })).await;
            put(
                &url,
                &table,
                json!({ "a": { "S": "nameless" }, "b": { "N": "2" }, "name": { "N": "1" } }),
            )
            .await;
            Told::of(&client, "SELECT * FROM t WHERE a = 'nameless' AND b = 1")
                .await
                .is("58000", &["public.t", "nameless, 1", "\"name\"", "NOT NULL"]);
            Told::of(&client, "SELECT * FROM t WHERE a = 'nameless' AND b = 2")
                .await
                .is("58000", &["public.t", "nameless, 2", "\"name\""]);
        }
    }
}

#[tokio::test]
async fn what_isnt_a_column_stays_when_a_row_changes() {
    for home in Home::DYNAMODBS {
        let Some((_world, client, url, table)) = world(home, &[]).await else {
            continue;
        };
        client
            .batch_execute("CREATE TABLE t (id int PRIMARY KEY, name text, n int)")
            .await
            .expect("a table");
        let item = |id: i32, n: i32, name: &str| json!({ "id": { "N": id.to_string() }, "n": { "N": n.to_string() }, "name": { "S": name }, "tags": { "SS": ["a", "b"] } });
        for id in 1..=2 {
            put(&url, &table, item(id, 1, "x")).await;
        }
        let stored = async |id: i32| {
            let key = json!({ "id": { "N": id.to_string() } });
            send(
                &url,
                "GetItem",
                &json!({ "TableName": table, "Key": key, "ConsistentRead": true }),
            )
            .await["Item"]
                .clone()
        };
        client
            .batch_execute("UPDATE t SET name = upper(name) WHERE id = 1")
            .await
            .expect("a computed update");
        client
            .batch_execute("BEGIN; UPDATE t SET n = n * 2 WHERE id IN (1, 2); UPDATE t SET name = 'y' WHERE id = 2; COMMIT")
            .await
            .expect("a block");
        assert_eq!([stored(1).await, stored(2).await], [item(1, 2, "X"), item(2, 2, "y")]);
        // An error would say that the row is still there.
        put(&url, &table, json!({ "id": { "N": "3" }, "name": { "BOOL": true } })).await;
        assert_eq!(client.execute("DELETE FROM t WHERE id = 3", &[]).await.expect("a deletion"), 1);
    }
}

#[tokio::test]
async fn indexes_are_found_in_a_table_that_is_there() {
    for home in Home::DYNAMODBS {
        let Some((world, client, url, table)) = world(home, &["consistent_read = false"]).await
        else {
            continue;
        };
        let key = |name: &str, ty: &str| json!({ "AttributeName": name, "KeyType": ty });
        let definition =
            |name: &str, ty: &str| json!({ "AttributeName": name, "AttributeType": ty });
        let all = json!({ "ProjectionType": "ALL" });
        send(
            &url,
            "CreateTable",
            &json!({
                "TableName": table,
                "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [key("a", "HASH"), key("b", "RANGE")],
                "AttributeDefinitions": [definition("a", "S"), definition("b", "N"), definition("n", "N"), definition("name", "S"), definition("foreign", "S")],
                "GlobalSecondaryIndexes": [
                    { "IndexName": "named", "KeySchema": [key("name", "HASH"), key("n", "RANGE")], "Projection": { "ProjectionType": "KEYS_ONLY" } },
                    { "IndexName": "foreign", "KeySchema": [key("foreign", "HASH")], "Projection": all },
                ],
                "LocalSecondaryIndexes": [{ "IndexName": "local", "KeySchema": [key("a", "HASH"), key("n", "RANGE")], "Projection": all }],
            }),
        )
        .await;
        for (a, b, n) in [("x", 1, 30), ("x", 2, 20), ("y", 1, 10), ("x", 3, 10)] {
            let number = |number: i32| json!({ "N": number.to_string() });
            put(
                &url,
                &table,
                json!({ "a": { "S": a }, "b": number(b), "name": { "S": "ann" }, "n": number(n), "note": { "S": format!("{a}{b}") } }),
            )
            .await;
        }
        client
            .batch_execute("CREATE TABLE t (a text, b int, name text NOT NULL, n int, note text, PRIMARY KEY (a, b))")
            .await
            .expect("the definition of a table that is there");
        let uses = async |sql: &str, index: &str| {
            let plan = column(&client, &format!("EXPLAIN {sql}")).await.join("\n");
            assert!(plan.contains(&format!("index {index}")), "{index} for {sql}\n{plan}");
            column(&client, sql).await
        };
        assert_eq!(
            uses("SELECT note FROM t WHERE name = 'ann' AND n > 10 ORDER BY n", "named").await,
            ["x2", "x1"]
        );
        assert_eq!(
            uses("SELECT b FROM t WHERE name = 'ann' AND n <= 20 ORDER BY n DESC LIMIT 1", "named")
                .await,
            ["2"]
        );
        assert_eq!(
            uses("SELECT note FROM t WHERE a = 'x' AND n < 30 ORDER BY n", "local").await,
            ["x3", "x2"]
        );
        drop(client);
        let mut command = Command::new(flywheel());
        let checked =
            run(command.args(["check".as_ref(), "--connect".as_ref(), world.config().as_os_str()]))
                .await;
        assert!(checked.stdout.contains("fits its home"), "{}", checked.stdout);
    }
}

#[tokio::test]
async fn what_differs_from_the_configuration_is_told_by_check() {
    let Some((world, client, url, table)) = world(
        Home::Dynoxide,
        &[
            "expires_at = \"gone_at\"",
            "indexes = [{ name = \"by_name\", columns = [\"name\", \"n\"] }, { name = \"by_n\", columns = [\"n\"] }]",
        ],
    )
    .await
    else {
        return;
    };
    client
        .batch_execute("CREATE TABLE t (id int PRIMARY KEY, name text, n int, gone_at timestamptz)")
        .await
        .expect("a table");
    let check = async || {
        let mut command = Command::new(flywheel());
        run(command.args(["check".as_ref(), "--connect".as_ref(), world.config().as_os_str()]))
            .await
            .stdout
    };
    let told = check().await;
    assert!(told.contains("fits its home"), "{told}");
    let definition = |name: &str, ty: &str| json!({ "AttributeName": name, "AttributeType": ty });
    send(&url, "DeleteTable", &json!({ "TableName": table })).await;
    send(
        &url,
        "CreateTable",
        &json!({
            "TableName": table,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
            "AttributeDefinitions": [definition("id", "N"), definition("name", "S")],
            "GlobalSecondaryIndexes": [{
                "IndexName": "by_name",
                "KeySchema": [{ "AttributeName": "name", "KeyType": "HASH" }],
                "Projection": { "ProjectionType": "ALL" },
            }],
        }),
    )
    .await;
    let told = check().await;
    for words in [
        "index \"by_name\" is over \"name\" (S), where the configuration and the definition have \"name\" (S), \"n\" (N)",
        "no index \"by_n\"",
        "time to live isn't enabled on \"flywheel_ttl\"",
    ] {
        assert!(told.contains(words), "{words} in {told}");
    }
}
