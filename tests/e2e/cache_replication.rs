//! Answers that are ended by whoever writes, as logical replication tells.

use std::process::Command;

use flywheel_tests::cache::{count, shown};
use flywheel_tests::world::{column, flywheel, until};
use flywheel_tests::{Cluster, Setup, World};
use tokio_postgres::Client;

/// Long, so that a busy machine has its hits, too.
const RULE: &str = "[[cache]]\nwhen = { tables = [\"t\", \"texts\", \"whole\", \"other\", \"parts\"] }\nttl = \"1h\"\ninvalidate = \"replication\"\nmax_lag = \"10s\"";

const TABLES: &str = "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 20) i;
    CREATE TABLE texts (a text, b uuid, n int, PRIMARY KEY (b, a));
    INSERT INTO texts VALUES ('one', '00000000-0000-0000-0000-00000000000A', 0), ('two', '00000000-0000-0000-0000-00000000000A', 0);
    CREATE TABLE whole (id int PRIMARY KEY, n int); ALTER TABLE whole REPLICA IDENTITY FULL; INSERT INTO whole SELECT * FROM t;
    CREATE TABLE other (id int PRIMARY KEY, u int NOT NULL UNIQUE); ALTER TABLE other REPLICA IDENTITY USING INDEX other_u_key;
    INSERT INTO other SELECT i, i FROM generate_series(1, 20) i;
    CREATE TABLE parts (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
    CREATE TABLE part PARTITION OF parts FOR VALUES FROM (1) TO (100); INSERT INTO parts SELECT * FROM t;
    CREATE TABLE unfollowed (id int); CREATE VIEW view AS SELECT * FROM t";

async fn world(rule: &str, tables: &str) -> Option<World> {
    let world = Setup::default().section(rule).start().await?;
    world.behind().await.batch_execute(tables).await.expect("tables");
    Some(world)
}

/// A column of SHOW CACHE's first row.
/// Waits until the stream is there.
pub(super) async fn followed(client: &Client) {
    until("a lag", async || !shown(client, "lag_ms").await.is_empty()).await;
}

#[tokio::test]
async fn a_write_elsewhere_ends_what_it_concerns() {
    let Some(world) = world(RULE, TABLES).await else { return };
    let (client, behind) = (world.gateway().await, world.behind().await);
    followed(&client).await;
    let key = "b = '00000000-0000-0000-0000-00000000000a'";
    let one = format!("SELECT n FROM texts WHERE a = 'one' AND {key}");
    let two = format!("SELECT n FROM texts WHERE a = 'two' AND {key}");
    // What is written elsewhere, which answer it ends, and which it doesn't.
    let changes: [(&str, &str, Option<&str>); 17] = [
        (
            "UPDATE t SET n = 1 WHERE id = 3",
            "SELECT n FROM t WHERE id = 3",
            Some("SELECT n FROM t WHERE id = 4"),
        ),
        (
            "DELETE FROM t WHERE id = 5",
            "SELECT n FROM t WHERE id = 5",
            Some("SELECT n FROM t WHERE id = 4"),
        ),
        (
            "INSERT INTO t VALUES (50, 5)",
            "SELECT n FROM t WHERE id = 50",
            Some("SELECT n FROM t WHERE id = 4"),
        ),
        (
            "UPDATE t SET id = 60 WHERE id = 6",
            "SELECT n FROM t WHERE id = 6",
            Some("SELECT n FROM t WHERE id = 4"),
        ),
        (
            "UPDATE t SET id = 70 WHERE id = 7",
            "SELECT n FROM t WHERE id = 70",
            Some("SELECT n FROM t WHERE id = 4"),
        ),
        (
            "UPDATE t SET n = 2 WHERE id = 8",
            "SELECT sum(n) FROM t",
            Some("SELECT n FROM t WHERE id = 4"),
        ),
        (
            "BEGIN; UPDATE t SET n = 9 WHERE id = 9; UPDATE t SET n = 9 WHERE id = 10; COMMIT",
            "SELECT n FROM t WHERE id = 9",
            Some("SELECT n FROM t WHERE id = 4"),
        ),
        ("UPDATE texts SET n = 1 WHERE a = 'one'", &one, Some(&two)),
        (
            "UPDATE whole SET n = 1 WHERE id = 3",
            "SELECT n FROM whole WHERE id = 3",
            Some("SELECT n FROM whole WHERE id = 4"),
        ),
        (
            "UPDATE whole SET id = 60 WHERE id = 6",
            "SELECT n FROM whole WHERE id = 6",
            Some("SELECT n FROM whole WHERE id = 4"),
        ),
        // The stream doesn't tell the old key.
        (
            "UPDATE other SET id = 60 WHERE id = 6",
            "SELECT u FROM other WHERE id = 6",
            Some("SELECT n FROM t WHERE id = 4"),
        ),
        (
            "UPDATE parts SET n = 1 WHERE id = 3",
            "SELECT n FROM parts WHERE id = 3",
            Some("SELECT n FROM t WHERE id = 4"),
        ),
        (
            "UPDATE part SET n = 2 WHERE id = 3",
            "SELECT sum(n) FROM parts",
            Some("SELECT n FROM t WHERE id = 4"),
        ),
        ("TRUNCATE part", "SELECT count(*) FROM parts", Some("SELECT n FROM t WHERE id = 4")),
        ("TRUNCATE t", "SELECT n FROM t WHERE id = 4", None),
        // Tables that change places: other rows under the same name.
        (
            "DROP TABLE other; CREATE TABLE other (id int PRIMARY KEY, u int); INSERT INTO other VALUES (1, 11)",
            "SELECT sum(u) FROM other",
            None,
        ),
        ("UPDATE other SET u = 12", "SELECT sum(u) FROM other", None),
    ];
    for (change, ended, kept) in changes {
        followed(&client).await;
        until(&format!("a hit for {ended}"), async || {
            let hits = count(&client, "hits").await;
            column(&client, ended).await;
            if let Some(kept) = kept {
                column(&client, kept).await;
            }
            count(&client, "hits").await == hits + 1 + i64::from(kept.is_some())
        })
        .await;
        behind.batch_execute(change).await.expect(change);
        let wanted = column(&behind, ended).await;
        until(&format!("{wanted:?} after {change}"), async || {
            column(&client, ended).await == wanted
        })
        .await;
        if let Some(kept) = kept {
            let hits = count(&client, "hits").await;
            column(&client, kept).await;
            assert_eq!(
                count(&client, "hits").await,
                hits + 1,
                "{kept} isn't concerned by {change}"
            );
        }
    }
    // What is written here is seen at once.
    for n in 100..120 {
        client.batch_execute(&format!("UPDATE other SET u = {n}")).await.expect("a write");
        assert_eq!(column(&client, "SELECT u FROM other WHERE id = 1").await, [n.to_string()]);
    }
    let explained = column(&client, "EXPLAIN SELECT sum(u) FROM other").await;
    assert!(
        explained.last().is_some_and(|line| line.contains("its store tells within 10s")),
        "{explained:?}"
    );
    assert!(count(&client, "retained_wal").await >= 0);
}

async fn end_streams(behind: &Client) -> i64 {
    let sql = "SELECT count(pg_terminate_backend(active_pid)) FROM pg_replication_slots WHERE database = current_database()";
    behind.query_one(sql, &[]).await.expect("a count").get(0)
}

/// How often statements went past the cache for this reason.
pub(super) async fn past(client: &Client, reason: &str) -> i64 {
    let all = shown(client, "bypasses").await;
    let number =
        all.split(", ").find_map(|one| one.strip_prefix(&format!("{reason}: ")).map(str::to_owned));
    number.map_or(0, |number| number.parse().expect("a number"))
}

#[tokio::test]
async fn without_news_nothing_is_answered_from_memory() {
    let rule = RULE.replace("10s", "1s");
    let Some(world) = world(&rule, TABLES).await else { return };
    let (client, behind) = (world.gateway().await, world.behind().await);
    let read = "SELECT n FROM t WHERE id = 1";
    let hit = async || {
        let hits = count(&client, "hits").await;
        column(&client, read).await;
        count(&client, "hits").await > hits
    };
    until("a hit", hit).await;
    // Whoever holds this holds the proofs up; the stream itself goes on.
    behind.batch_execute("BEGIN; LOCK TABLE pg_inherits").await.expect("a lock");
    until("a lag", async || {
        let before = past(&client, "lag").await;
        column(&client, read).await;
        past(&client, "lag").await > before
    })
    .await;
    let hits = count(&client, "hits").await;
    behind.batch_execute("UPDATE t SET n = 7 WHERE id = 1").await.expect("a write");
    column(&client, read).await;
    assert_eq!(count(&client, "hits").await, hits);
    behind.batch_execute("COMMIT").await.expect("the lock's end");
    until("a hit again", hit).await;
    assert_eq!(column(&client, read).await, ["7"]);
    // A stream that ends.
    assert_eq!(end_streams(&behind).await, 1);
    behind.batch_execute("UPDATE t SET n = 8 WHERE id = 1").await.expect("a write");
    until("what was written meanwhile", async || column(&client, read).await == ["8"]).await;
    until("a hit after the end", hit).await;
    assert_eq!(column(&client, read).await, ["8"]);
    // The slot goes with the gateway.
    drop(client);
    let ended = Command::new("kill").arg(world.process().id().to_string()).status();
    assert!(ended.is_ok_and(|status| status.success()));
    let slots = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()";
    until("no slot", async || column(&behind, slots).await == ["0"]).await;
    assert_eq!(column(&behind, "SELECT pubname FROM pg_publication").await, ["flywheel"]);
}

#[tokio::test]
async fn what_cannot_be_followed_is_told() {
    let rule = "[[cache]]\nwhen = { tables = [\"bare\", \"view\"] }\nttl = \"1h\"\ninvalidate = \"replication\"";
    let tables = "CREATE TABLE bare (id int); INSERT INTO bare VALUES (1); CREATE VIEW view AS SELECT * FROM bare";
    let Some(world) = world(rule, tables).await else { return };
    let (client, behind) = (world.gateway().await, world.behind().await);
    let check = || {
        let mut command = Command::new(flywheel());
        command.args(["check".as_ref(), "--connect".as_ref(), world.config().as_os_str()]);
        let checked = command.output().expect("flywheel check");
        (checked.status.success(), String::from_utf8_lossy(&checked.stdout).into_owned())
    };
    let (well, told) = check();
    assert!(!well, "{told}");
    for line in [
        "cache rule 1: changes of \"public.view\" can't be followed: it isn't a table",
        "table bare has no replica identity; give it a primary key",
    ] {
        assert!(told.contains(line), "{line} isn't in\n{told}");
    }
    for _ in 0..3 {
        column(&client, "SELECT id FROM bare").await;
    }
    assert_eq!((past(&client, "lag").await, count(&client, "hits").await), (3, 0));
    until("the log", async || {
        world.process().log().iter().any(|line| line.contains("table bare has no replica identity"))
    })
    .await;
    // It isn't published, so it can be written as before.
    behind.batch_execute("UPDATE bare SET id = 2").await.expect("a write");
    // Mended, all but the view is kept.
    behind
        .batch_execute("ALTER TABLE bare ADD PRIMARY KEY (id); DROP VIEW view; CREATE TABLE view (id int PRIMARY KEY)")
        .await
        .expect("a key");
    until("a hit", async || {
        let hits = count(&client, "hits").await;
        column(&client, "SELECT id FROM bare").await;
        count(&client, "hits").await > hits
    })
    .await;
    let (well, told) = check();
    assert!(well, "{told}");
}

/// A replica that lags doesn't bring back what was written on the primary, past the gateway.
#[tokio::test]
async fn a_fill_from_a_replica_has_what_was_told() {
    let Some(cluster) = Cluster::start(1).await else { return };
    let setup = Setup::default()
        .primary_at(&cluster.url(0))
        .main(&format!("replicas = [{:?}]\ncheck_interval = \"50ms\"", cluster.url(1)))
        .section("[[routes]]\nwhen = { kind = \"read\" }\nto = \"main.replicas\"")
        .section(RULE);
    let Some(world) = setup.start().await else { return };
    let (client, behind) = (world.gateway().await, cluster.client(0).await);
    behind.batch_execute(TABLES).await.expect("tables");
    cluster.catch_up(0, 1).await;
    followed(&client).await;
    let (one, all) = ("SELECT n FROM t WHERE id = 1", "SELECT max(n) FROM t");
    until("a hit", async || {
        let hits = count(&client, "hits").await;
        assert_eq!(column(&client, one).await, ["0"]);
        assert_eq!(column(&client, all).await, ["0"]);
        count(&client, "hits").await >= hits + 2
    })
    .await;
    // As long as nothing is written, it is asked.
    until("a fill from the replica", async || {
        let sql = format!(
            "SELECT n + inet_server_port() FROM t WHERE id = 1 AND n <> {}",
            rand::random_range(1..i32::MAX)
        );
        column(&client, &sql).await == [cluster.port(1)]
    })
    .await;
    cluster.pause_replay(1).await;
    for n in 1..5 {
        behind.batch_execute(&format!("UPDATE t SET n = {n} WHERE id = 1")).await.expect("a write");
        let wanted = [n.to_string()];
        until("what was written", async || column(&client, one).await == wanted).await;
        // Whoever is asked from now on, and whatever for, knows of it.
        for turn in 0..5 {
            let other = world.gateway().await;
            for sql in
                [one, all, &format!("SELECT n FROM t WHERE id = 1 AND n <> {}", 100 * n + turn)]
            {
                assert_eq!(column(&other, sql).await, wanted, "{sql}");
            }
        }
    }
    let hits = count(&client, "hits").await;
    assert_eq!(column(&client, one).await, ["4"]);
    assert_eq!(count(&client, "hits").await, hits + 1);
    cluster.resume_replay(1).await;
    assert_eq!(column(&client, all).await, ["4"]);
}
