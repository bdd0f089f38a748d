//! Writes that are carried out later than they are said, or bit by bit: prepared transactions,
//! cursors, suspended portals.

use flywheel_tests::raw::{Bind, Event, Format, Message};
use flywheel_tests::world::column;
use flywheel_tests::{Cluster, Setup, World};

const ALL: &str = "[[cache]]\nwhen = { database = \"app\" }\nttl = \"1h\"";

const TABLES: &str = "
    CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 5) i;
    CREATE TABLE source (id int); INSERT INTO source SELECT generate_series(1, 5);
    CREATE TABLE log (id int);
    CREATE FUNCTION writes(int) RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO log VALUES ($1); SELECT $1';
    CREATE FUNCTION hides(int) RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN EXECUTE ''INSERT INTO log VALUES (1)''; RETURN $1; END'";

/// What these ask for is kept, and must be what PostgreSQL says.
const READS: [&str; 4] = [
    "SELECT count(*) FROM log",
    "SELECT n FROM t WHERE id = 1",
    "SELECT sum(n) FROM t",
    "SELECT count(*) FROM t WHERE id <= (SELECT count(*) FROM log)",
];

/// Readers in front of the gateway, and behind it.
struct Readers {
    ours: tokio_postgres::Client,
    behind: tokio_postgres::Client,
}

impl Readers {
    /// Twice, so that the second answer is from memory.
    async fn agree(&self, when: &str) {
        for read in READS {
            let wanted = column(&self.behind, read).await;
            for _ in 0..2 {
                assert_eq!(column(&self.ours, read).await, wanted, "{read}, {when}");
            }
        }
    }
}

async fn world() -> Option<(World, Readers)> {
    let world = Setup::default().section(ALL).start().await?;
    let (ours, behind) = (world.gateway().await, world.behind().await);
    behind.batch_execute(TABLES).await.expect("tables");
    let readers = Readers { ours, behind };
    readers.agree("at the beginning").await;
    Some((world, readers))
}

/// A transaction that one session prepares and another one ends.
#[tokio::test]
async fn prepared_transactions() {
    let Some(cluster) = Cluster::start(0).await else { return };
    let setup = Setup::default().primary_at(&cluster.url(0)).section(ALL);
    let Some(world) = setup.start().await else { return };
    let readers = Readers { ours: world.gateway().await, behind: cluster.client(0).await };
    readers.behind.batch_execute(TABLES).await.expect("tables");
    let (one, other) = (world.gateway().await, world.gateway().await);
    readers.agree("at the beginning").await;
    for (name, end) in [("a", "COMMIT"), ("b", "ROLLBACK"), ("c", "COMMIT")] {
        for sql in ["BEGIN", "UPDATE t SET n = n + 1 WHERE id = 1", "INSERT INTO log VALUES (1)"] {
            one.batch_execute(sql).await.expect(sql);
            readers.agree(sql).await;
        }
        one.batch_execute(&format!("PREPARE TRANSACTION '{name}'"))
            .await
            .expect("a prepared transaction");
        readers.agree("prepared").await;
        let end = format!("{end} PREPARED '{name}'");
        if name == "c" {
            other.execute(&end, &[]).await.expect("its end");
        } else {
            other.batch_execute(&end).await.expect("its end");
        }
        readers.agree(&end).await;
    }
    assert_eq!(column(&readers.ours, "SELECT n FROM t WHERE id = 1").await, ["2"]);
}

/// What the rows of a cursor write is written as they are fetched, and seen when the block is over.
#[tokio::test]
async fn cursors() {
    let Some((world, readers)) = world().await else { return };
    let client = world.gateway().await;
    for function in ["writes", "hides"] {
        let block = [
            "BEGIN".to_owned(),
            format!("DECLARE c CURSOR FOR SELECT {function}(id) FROM source"),
            "FETCH 1 FROM c".to_owned(),
            "FETCH ALL FROM c".to_owned(),
            "COMMIT".to_owned(),
            "BEGIN".to_owned(),
            format!("DECLARE c CURSOR WITH HOLD FOR SELECT {function}(id) FROM source"),
            "COMMIT".to_owned(),
            "FETCH 2 FROM c".to_owned(),
            "CLOSE c".to_owned(),
            format!(
                "BEGIN; DECLARE c CURSOR FOR SELECT {function}(id) FROM source; MOVE 3 IN c; COMMIT"
            ),
            "BEGIN".to_owned(),
            format!("DECLARE c CURSOR FOR SELECT {function}(id) FROM source"),
            "FETCH 3 FROM c".to_owned(),
            "ROLLBACK".to_owned(),
        ];
        for sql in &block {
            client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            readers.agree(sql).await;
        }
    }
    // A cursor's rows are those of its own time, whatever is kept meanwhile.
    client
        .batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT n FROM t ORDER BY id")
        .await
        .expect("a cursor");
    assert_eq!(column(&client, "FETCH 1 FROM c").await, ["0"]);
    world.gateway().await.batch_execute("UPDATE t SET n = 7").await.expect("a write");
    readers.agree("a write beside the cursor").await;
    assert_eq!(column(&client, "FETCH 1 FROM c").await, ["0"]);
    client.batch_execute("COMMIT").await.expect("COMMIT");
    // One that updates through it.
    for sql in [
        "BEGIN",
        "DECLARE c CURSOR FOR SELECT n FROM t FOR UPDATE",
        "FETCH 2 FROM c",
        "UPDATE t SET n = 8 WHERE CURRENT OF c",
        "COMMIT",
    ] {
        client.batch_execute(sql).await.expect(sql);
        readers.agree(sql).await;
    }
}

fn bind(portal: &str) -> Message {
    Message::bind(&Bind {
        portal,
        statement: "",
        parameter_format: Format::Text,
        parameters: &[],
        result_format: Format::Text,
    })
}

/// Portals that a row limit suspends write bit by bit, too.
#[tokio::test]
async fn suspended_portals() {
    let Some((world, readers)) = world().await else { return };
    let mut client = world.raw().await;
    let suspended = Event::Bare('s');
    for sql in [
        "SELECT writes(id) FROM source",
        "SELECT hides(id) FROM source",
        "UPDATE t SET n = n + 1 RETURNING id",
    ] {
        // In one batch, whose transaction is over with its Sync: flushed in between, so that others
        // read meanwhile.
        client
            .send(&[
                Message::parse("", sql, &[]),
                bind(""),
                Message::execute("", 1),
                Message::new(b'H', &[]),
            ])
            .await
            .expect("sent");
        while client.next().await.expect("an answer") != suspended {}
        readers.agree(sql).await;
        client.send(&[Message::execute("", 2), Message::new(b'H', &[])]).await.expect("sent");
        while client.next().await.expect("an answer") != suspended {}
        readers.agree(sql).await;
        client.send(&[Message::execute("", 0), Message::sync()]).await.expect("sent");
        client.until_ready().await.expect("an answer");
        readers.agree(sql).await;
        // Given up halfway: what was done is committed.
        client
            .send(&[
                Message::parse("", sql, &[]),
                bind(""),
                Message::execute("", 1),
                Message::sync(),
            ])
            .await
            .expect("sent");
        let told = client.until_ready().await.expect("an answer");
        assert!(told.contains(&suspended), "{told:?}");
        readers.agree(sql).await;
        // In a block, over several batches.
        client.query("BEGIN").await.expect("a block");
        client
            .send(&[
                Message::parse("", sql, &[]),
                bind("p"),
                Message::execute("p", 1),
                Message::sync(),
            ])
            .await
            .expect("sent");
        client.until_ready().await.expect("an answer");
        readers.agree(sql).await;
        client.send(&[Message::execute("p", 0), Message::sync()]).await.expect("sent");
        client.until_ready().await.expect("an answer");
        readers.agree(sql).await;
        client.query("COMMIT").await.expect("its end");
        readers.agree(sql).await;
    }
    // What is read bit by bit neither comes from memory nor is kept there.
    let sql = "SELECT id FROM t ORDER BY id";
    for rows in [2, 0, 2, 0] {
        client
            .send(&[
                Message::parse("", sql, &[]),
                bind(""),
                Message::execute("", rows),
                Message::sync(),
            ])
            .await
            .expect("sent");
        let told = client.until_ready().await.expect("an answer");
        let number = told.iter().filter(|event| matches!(event, Event::Row(_))).count();
        assert_eq!(number, if rows == 0 { 5 } else { 2 });
        assert_eq!(told.contains(&suspended), rows != 0);
    }
}
