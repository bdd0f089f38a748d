//! What others write to DynamoDB.

use flywheel_tests::cache::{count, shown};
use flywheel_tests::endpoint::send;
use flywheel_tests::world::{column, dynoxide, until};
use flywheel_tests::{Home, Setup};
use serde_json::{Value, json};

use super::{check, ends, rule, unique};
use crate::cache_replication::past;

#[tokio::test]
async fn what_others_write_to_dynamodb() {
    for home in Home::DYNAMODBS {
        let setup = Setup::default()
            .section(&rule(&["public.visits", "public.bare"], "10s"))
            .section(&rule(&["public.bare"], "10s"))
            .table("public.visits", home)
            .table("public.bare", home);
        let Some(world) = setup.start().await else { return };
        if !home.is_available(world.servers()) {
            continue;
        }
        let client = world.gateway().await;
        client
            .batch_execute(
                "CREATE TABLE visits (who text, day int, n int, PRIMARY KEY (who, day)); CREATE TABLE bare (id int PRIMARY KEY);
                 INSERT INTO visits VALUES ('ann', 1, 1), ('ann', 2, 1)",
            )
            .await
            .expect("tables");
        let url = match home {
            Home::Dynoxide => dynoxide().to_owned(),
            _ => world.servers().dynamodb[0].clone(),
        };
        let name = |table: &str| format!("{}-public.{table}", unique(&world));
        let words = |table: &str| {
            [
                format!("\"public.{table}\" in store \"{}\" can't be followed", home.name()),
                "switch DynamoDB Streams on for it".to_owned(),
            ]
        };
        until("the problems", async || {
            let problems = shown(&client, "problems").await;
            words("visits").iter().chain(&words("bare")).all(|word| problems.contains(word))
        })
        .await;
        let (well, told) = check(&world).await;
        assert!(
            !well && words("visits").iter().chain(&words("bare")).all(|word| told.contains(word)),
            "{told}"
        );
        let visit = |day: i32| format!("SELECT n FROM visits WHERE who = 'ann' AND day = {day}");
        column(&client, &visit(1)).await;
        assert_eq!((past(&client, "lag").await, count(&client, "hits").await), (1, 0));
        // Of two tables of a rule, one isn't enough.
        let stream = json!({ "StreamEnabled": true, "StreamViewType": "KEYS_ONLY" });
        let switch = async |table: &str| {
            send(
                &url,
                "UpdateTable",
                &json!({ "TableName": name(table), "StreamSpecification": stream }),
            )
            .await;
        };
        let item = |day: &str, n: &str| json!({ "who": { "S": "ann" }, "day": { "N": day }, "n": { "N": n } });
        let put = async |item: Value| {
            send(&url, "PutItem", &json!({ "TableName": name("visits"), "Item": item })).await;
        };
        switch("visits").await;
        until("one problem", async || {
            let problems = shown(&client, "problems").await;
            !problems.contains("public.visits") && problems.contains("public.bare")
        })
        .await;
        column(&client, &visit(1)).await;
        assert_eq!((past(&client, "lag").await, count(&client, "hits").await), (2, 0));
        switch("bare").await;
        let days = "SELECT n FROM visits WHERE who = 'ann' ORDER BY day";
        // DynamoDB Local can't read on from where there was no record yet: so much has been missed.
        for n in ["5", "6"] {
            ends(&client, &visit(1), &[n], None, put(item("1", n))).await;
        }
        ends(&client, &visit(1), &["7"], Some(&visit(2)), put(item("1", "7"))).await;
        ends(&client, &visit(3), &["1"], Some(&visit(2)), put(item("3", "1"))).await;
        ends(&client, days, &["8", "1", "1"], Some(&visit(2)), put(item("1", "8"))).await;
        ends(&client, &visit(3), &[], Some(&visit(2)), async {
            let key = json!({ "who": { "S": "ann" }, "day": { "N": "3" } });
            send(&url, "DeleteItem", &json!({ "TableName": name("visits"), "Key": key })).await;
        })
        .await;
        for n in 100..120 {
            client
                .batch_execute(&format!("UPDATE visits SET n = {n} WHERE who = 'ann' AND day = 1"))
                .await
                .expect("a write");
            assert_eq!(column(&client, &visit(1)).await, [n.to_string()]);
        }
        let (well, told) = check(&world).await;
        assert!(well, "{told}");
    }
}
