//! Blocks whose clients die: what they have locked is free at once, whatever they were waiting for.

use flywheel_tests::raw::{Client as Raw, Event, Message};
use flywheel_tests::world::{column, until};
use flywheel_tests::{Home, Setup};
use tokio_postgres::Client;

/// Each waits for what the holder has.
const WAITING: [&str; 4] = [
    "UPDATE kv SET v = v + 1 WHERE k = 2",
    "UPDATE kv SET v = v + ascii(chr(1)) WHERE k = 2",
    "SELECT v FROM kv WHERE k = 2 FOR UPDATE",
    "UPDATE things SET v = v + 1 WHERE k = 2",
];

const WAITS: &str = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                     WHERE NOT l.granted AND a.datname = current_database()";

/// Those who wait for a block's rows are served while what the block itself has waited for is still
/// held: nobody has to outlast that.
#[tokio::test]
async fn the_locks_of_a_client_that_dies_are_free() {
    for home in Home::KINDS {
        let setup = Setup::default().main("pool_size = 8").table("public.kv", home);
        let Some(world) = setup.start().await else { continue };
        let (client, holder, behind) =
            (world.gateway().await, world.gateway().await, world.behind().await);
        let tables = "CREATE TABLE kv (k int PRIMARY KEY, v int); CREATE TABLE things (k int PRIMARY KEY, v int);
                      INSERT INTO kv VALUES (1, 0), (2, 0); INSERT INTO things VALUES (1, 0), (2, 0); SET lock_timeout = '50s'";
        client.batch_execute(tables).await.expect("tables");
        let held =
            "BEGIN; UPDATE kv SET v = v + 1 WHERE k = 2; UPDATE things SET v = v + 1 WHERE k = 2";
        holder.batch_execute(held).await.expect("locks");
        let mut expected = 0;
        for round in 0..4 {
            for waiting in WAITING {
                let mut dies = world.raw().await;
                let block =
                    "BEGIN; UPDATE kv SET v = 7 WHERE k = 1; UPDATE things SET v = 7 WHERE k = 1";
                dies.query(block).await.expect("a block");
                dies.send(&[Message::query(waiting)]).await.expect("sent");
                // It dies while it waits, and before it does.
                if round % 2 == 0 {
                    let waits = async || column(&behind, WAITS).await != ["0"];
                    until(waiting, waits).await;
                }
                drop(dies);
                for table in ["kv", "things"] {
                    let update = format!("UPDATE {table} SET v = v + 1 WHERE k = 1");
                    client.batch_execute(&update).await.unwrap_or_else(|error| {
                        panic!("{home:?}, {table} after {waiting}: {error:?}")
                    });
                }
                expected += 1;
            }
        }
        holder.batch_execute("ROLLBACK").await.expect("ROLLBACK");
        for table in ["kv", "things"] {
            let values = column(&client, &format!("SELECT v FROM {table} ORDER BY k")).await;
            assert_eq!(values, [expected.to_string(), "0".to_owned()], "{home:?}, {table}");
        }
    }
}

const WRITTEN: &str = "CREATE TABLE kv (k int PRIMARY KEY, v int); CREATE TABLE things (k int PRIMARY KEY, v int);
                       INSERT INTO kv VALUES (1, 0); INSERT INTO things VALUES (1, 0); SET lock_timeout = '50s'";

/// A client writes in a batch, is told that it is done, and dies before its Sync: what another one
/// then makes of the row.
async fn after_a_batch(client: &Client, mut dies: Raw, begin: &str, table: &str) -> Vec<String> {
    dies.query(begin).await.expect("a block, or none");
    let write = format!("UPDATE {table} SET v = 7 WHERE k = 1");
    let [parse, bind, execute, _] = Message::batch_of(&write);
    dies.send(&[parse, bind, execute, Message::new(b'H', &[])]).await.expect("sent");
    while !matches!(dies.next().await.expect("an answer"), Event::Done(_)) {}
    drop(dies);
    column(client, &format!("UPDATE {table} SET v = v + 1 WHERE k = 1 RETURNING v")).await
}

/// PostgreSQL commits a batch with its Sync. Where a client goes before that, nothing of it is
/// done, however much of it was answered, and its locks are free.
#[tokio::test]
async fn a_batch_without_its_sync_is_undone() {
    for home in [None, Some(Home::Redis), Some(Home::Memory), Some(Home::Dynoxide)] {
        let setup = Setup::default().main("pool_size = 2");
        let setup = home.into_iter().fold(setup, |setup, home| setup.table("public.kv", home));
        let Some(world) = setup.start().await else { continue };
        let (client, oracle) = (world.gateway().await, world.oracle().await);
        client.batch_execute(WRITTEN).await.expect("tables");
        oracle.batch_execute(WRITTEN).await.expect("tables");
        for begin in ["", "BEGIN"] {
            for table in ["things", "kv"] {
                let told = after_a_batch(&client, world.raw().await, begin, table).await;
                let expected = after_a_batch(&oracle, world.raw_oracle().await, begin, table).await;
                assert_eq!(told, expected, "{home:?}, {table} after {begin:?}");
            }
        }
    }
}
