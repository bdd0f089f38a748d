//! Rows of flywheel.outbox that no gateway has written: anybody may put some there.

use flywheel_tests::scrape::Scrape;
use flywheel_tests::world::{column, until};
use flywheel_tests::{Home, Setup};

const FOREIGN: [&str; 6] = [
    "{}",
    "[]",
    "[1]",
    "[{\"store\": \"memory\"}]",
    "[{\"store\": \"memory\", \"schema\": \"public\", \"table\": \"kv\", \"key\": [], \"new\": true, \"row\": null}]",
    "[{\"store\": \"memory\", \"schema\": \"public\", \"table\": \"kv\", \"key\": [\"1\"], \"new\": true, \"row\": {\"k\": 1}}]",
];

#[tokio::test]
async fn are_put_aside_once_and_counted() {
    let setup = Setup::default()
        .table("public.kv", Home::Memory)
        .section("[metrics]\nlisten = \"127.0.0.1:0\"");
    let Some(world) = setup.start().await else { return };
    let client = world.gateway().await;
    client
        .batch_execute("CREATE TABLE kv (k int PRIMARY KEY, v text); CREATE TABLE beside (k int)")
        .await
        .expect("tables");
    // Makes the outbox.
    let both = "BEGIN; INSERT INTO kv VALUES (1, 'a'); INSERT INTO beside VALUES (1); COMMIT";
    client.batch_execute(both).await.expect("a transaction");
    let behind = world.behind().await;
    for changes in FOREIGN {
        let insert = format!(
            "INSERT INTO flywheel.outbox (id, changes, written_at) SELECT gen_random_uuid(), '{changes}', now() - interval '1 minute' \
             FROM generate_series(1, 50)"
        );
        behind.batch_execute(&insert).await.expect("records");
    }
    // The last of all by its id, and of no transaction.
    let last = "INSERT INTO flywheel.outbox (id, xid, changes, written_at) \
                VALUES ('ffffffff-ffff-ffff-ffff-ffffffffffff', -1, '[]', now() - interval '1 minute')";
    behind.batch_execute(last).await.expect("a record");
    let figure = async |name: &str| Scrape::of(&world).await.value(name);
    until("all are put aside", async || figure("flywheel_foreign_records").await == 301.0).await;
    // They are looked through again, and nothing more is said.
    let warned =
        || world.process().log().iter().filter(|line| line.contains("flywheel.outbox")).count();
    let said = warned();
    assert!(said <= 6, "{said} lines");
    let again = "BEGIN; INSERT INTO kv VALUES (2, 'b'); INSERT INTO beside VALUES (2); COMMIT";
    client.batch_execute(again).await.expect("a transaction");
    let left = "SELECT count(*) FROM flywheel.outbox";
    until("what a gateway has written is deleted", async || column(&behind, left).await == ["301"])
        .await;
    assert_eq!(figure("flywheel_unfinished_transactions").await, 0.0);
    assert_eq!(warned(), said);
}
