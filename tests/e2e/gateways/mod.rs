//! Several gateways in front of one database: each hears what the others' clients write, and what
//! one has read serves all.

mod race;

use std::time::Duration;

use flywheel_tests::cache::{count, shown};
use flywheel_tests::child::run;
use flywheel_tests::proxy::{Network, Proxy};
use flywheel_tests::scrape::Scrape;
use flywheel_tests::world::{Process, column, connect, until};
use flywheel_tests::{Home, Setup, World};
use tokio_postgres::Client;

const RULE: &str = "[[cache]]\nwhen = { tables = [\"t\", \"s\"] }\nttl = \"1h\"";
const MAX_LAG: Duration = Duration::from_secs(1);

async fn bypasses(client: &Client) -> String {
    shown(client, "bypasses").await
}

/// Asks until the answer comes from memory.
async fn kept(client: &Client, read: &str) {
    until("the answer is kept", async || {
        let hits = count(client, "hits").await;
        column(client, read).await;
        count(client, "hits").await > hits
    })
    .await;
}

fn setup(answers: bool) -> Setup {
    Setup::default().main("pool_size = 20").table("public.s", Home::Redis).section(RULE).section(
        &format!(
            "[sharing]\nstore = \"redis\"\nname = \"g\"\nmax_lag = \"1s\"\nanswers = {answers}"
        ),
    )
}

const TABLES: &str = "
    CREATE TABLE t (id int PRIMARY KEY, n bigint NOT NULL); INSERT INTO t SELECT i, 0 FROM generate_series(0, 15) i;
    CREATE TABLE s (id int PRIMARY KEY, n bigint NOT NULL); INSERT INTO s SELECT i, 0 FROM generate_series(0, 15) i";

/// A gateway of its own process and a client of it.
struct Gateway {
    process: Process,
    client: Client,
}

impl Gateway {
    async fn of(process: Process) -> Self {
        let client = connect(&url(&process)).await;
        Self { process, client }
    }

    /// Ends it, so that the others know.
    async fn end(mut self) {
        self.process.terminate().await;
    }

    /// Answers are given from memory: it hears the others.
    async fn hears(&self) {
        kept(&self.client, "SELECT count(*) FROM t").await;
    }
}

fn url(process: &Process) -> String {
    format!("postgres://postgres@{}/app", process.address())
}

async fn two(setup: Setup) -> Option<(World, Client, Gateway)> {
    let world = setup.start().await?;
    let client = world.gateway().await;
    client.batch_execute(TABLES).await.expect("tables");
    let other = Gateway::of(world.another_gateway().await).await;
    Some((world, client, other))
}

#[tokio::test]
async fn writes_through_one_end_the_answers_of_the_other() {
    let Some((_world, one, other)) = two(setup(false)).await else {
        return;
    };
    other.hears().await;
    let client = &other.client;
    // What is written through one, and the answers that the other had kept before.
    let writes = [
        ("UPDATE t SET n = 1 WHERE id = 1", "SELECT n FROM t WHERE id = 1", "1"),
        ("UPDATE t SET n = 2 WHERE id + 0 = 1", "SELECT n FROM t WHERE id = 1", "2"),
        ("UPDATE s SET n = 3 WHERE id = 1", "SELECT n FROM s WHERE id = 1", "3"),
        ("DELETE FROM s WHERE id = 2", "SELECT count(*) FROM s", "15"),
        (
            "BEGIN; UPDATE t SET n = 4 WHERE id = 2; UPDATE s SET n = 4 WHERE id = 4; COMMIT",
            "SELECT t.n + s.n FROM t JOIN s ON s.id = t.id + 2 WHERE t.id = 2",
            "8",
        ),
        (
            "ALTER TABLE t ADD COLUMN m text DEFAULT 'new'",
            "SELECT (t.*)::text FROM t WHERE id = 2",
            "(2,4,new)",
        ),
        ("TRUNCATE t", "SELECT count(*) FROM t", "0"),
    ];
    for (write, read, then) in writes {
        kept(client, read).await;
        one.batch_execute(write).await.expect(write);
        until(write, async || column(client, read).await == [then]).await;
    }

    // A row that isn't written stays.
    one.batch_execute("INSERT INTO t VALUES (1, 1), (2, 2)").await.expect("rows");
    until("the rows are seen", async || {
        column(client, "SELECT n FROM t WHERE id = 2").await == ["2"]
    })
    .await;
    let other_row = "SELECT n FROM t WHERE id = 1";
    kept(client, other_row).await;
    one.batch_execute("UPDATE t SET n = 5 WHERE id = 2").await.expect("a write");
    until("the write is seen", async || {
        column(client, "SELECT n FROM t WHERE id = 2").await == ["5"]
    })
    .await;
    let hits = count(client, "hits").await;
    column(client, other_row).await;
    assert_eq!(count(client, "hits").await, hits + 1);

    // FLUSH CACHE is for all.
    one.batch_execute("FLUSH CACHE t").await.expect("a flush");
    let fills = count(client, "fills").await;
    until("it is forgotten", async || {
        column(client, other_row).await;
        count(client, "fills").await > fills
    })
    .await;
}

#[tokio::test]
async fn what_one_has_read_serves_the_others() {
    let Some((world, one, other)) = two(setup(true)).await else {
        return;
    };
    other.hears().await;
    let reads = [
        "SELECT n FROM t WHERE id = 7",
        "SELECT sum(n), count(*) FROM s",
        "SELECT repeat('long ', 5000), n FROM t WHERE id = 8",
    ];
    let shared = async |client: &Client, read: &str| {
        let before = (count(client, "shared").await, count(client, "fills").await);
        column(client, read).await;
        (count(client, "shared").await - before.0, count(client, "fills").await - before.1)
    };
    for read in reads {
        until("one keeps it", async || {
            one.batch_execute("FLUSH CACHE").await.expect("a flush");
            tokio::time::sleep(Duration::from_millis(50)).await;
            shared(&one, read).await.1 == 1
        })
        .await;
        // A third gateway, which has kept nothing.
        until("another takes it", async || {
            let third = Gateway::of(world.another_gateway().await).await;
            third.hears().await;
            let (shared, fills) = shared(&third.client, read).await;
            assert_eq!(shared + fills, 1, "{read}");
            third.end().await;
            shared == 1
        })
        .await;
    }
    // After a write it isn't one any more, for anybody.
    one.batch_execute("UPDATE t SET n = 9 WHERE id = 7").await.expect("a write");
    let third = Gateway::of(world.another_gateway().await).await;
    assert_eq!(column(&third.client, reads[0]).await, ["9"]);
    third.end().await;
    assert_eq!(column(&one, reads[0]).await, ["9"]);

    // What is spoilt is a miss.
    let redis = world.servers().redis.clone().expect("Redis");
    let redis = async |words: &[&str]| {
        let mut command = tokio::process::Command::new("redis-cli");
        run(command.args(["-u", &redis]).args(words)).await.stdout
    };
    let kept = async || {
        let names = redis(&["KEYS", "*g:answers:*"]).await;
        names.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    until("answers are kept", async || !kept().await.is_empty()).await;
    for (number, name) in kept().await.iter().enumerate() {
        match number % 3 {
            0 => redis(&["SET", name, "nonsense", "KEEPTTL"]).await,
            1 => redis(&["SETRANGE", name, "4", "xx"]).await,
            _ => redis(&["SET", name, "FWA1", "KEEPTTL"]).await,
        };
    }
    let fourth = Gateway::of(world.another_gateway().await).await;
    fourth.hears().await;
    assert_eq!(shared(&fourth.client, reads[0]).await, (0, 1));
    assert_eq!(column(&fourth.client, reads[0]).await, ["9"]);
}

#[tokio::test]
async fn without_redis_nothing_is_wrong() {
    let Some(servers) = flywheel_tests::world::Servers::from_environment() else {
        return;
    };
    let Some(redis) = servers.redis.clone() else { return };
    let network = Proxy::to(redis.trim_start_matches("redis://")).await;
    let setup = Setup::default()
        .redis_at(&format!("redis://{}", network.address()))
        .section("[[cache]]\nwhen = { tables = [\"t\"] }\nttl = \"1h\"")
        .section("[sharing]\nstore = \"redis\"\nmax_lag = \"1s\"\nanswers = true")
        .section("[metrics]\nlisten = \"127.0.0.1:0\"");
    let Some(world) = setup.start().await else { return };
    let heard = async || Scrape::of(&world).await.find("flywheel_sharing_heard");
    let one = world.gateway().await;
    one.batch_execute(
        "CREATE TABLE t (id int PRIMARY KEY, n bigint NOT NULL); INSERT INTO t VALUES (1, 1)",
    )
    .await
    .expect("a table");
    let other = Gateway::of(world.another_gateway().await).await;
    other.hears().await;
    until("it is known by the other too", async || heard().await == Some(1.0)).await;
    network.becomes(Network::Down);
    for n in 2..20 {
        one.batch_execute(&format!("UPDATE t SET n = {n} WHERE id = 1")).await.expect("a write");
        assert_eq!(column(&one, "SELECT n FROM t WHERE id = 1").await, [n.to_string()]);
        column(&other.client, "SELECT n FROM t WHERE id = 1").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until("it isn't given from memory", async || bypasses(&other.client).await.contains("lag"))
        .await;
    assert_eq!(column(&other.client, "SELECT n FROM t WHERE id = 1").await, ["19"]);
    assert_eq!(shown(&other.client, "lag_ms").await, "");
    assert_eq!(heard().await, Some(0.0));
    network.becomes(Network::Up);
    other.hears().await;
    assert_eq!(column(&other.client, "SELECT n FROM t WHERE id = 1").await, ["19"]);
    one.batch_execute("UPDATE t SET n = 20 WHERE id = 1").await.expect("a write");
    until("it is heard again", async || {
        column(&other.client, "SELECT n FROM t WHERE id = 1").await == ["20"]
    })
    .await;
}

/// One that says goodbye isn't waited for; one that dies is, until it is forgotten.
#[tokio::test]
async fn one_may_go() {
    let Some((world, one, mut other)) = two(setup(false)).await else {
        return;
    };
    other.hears().await;
    other.process.terminate().await;
    let third = Gateway::of(world.another_gateway().await).await;
    third.hears().await;
    let before = bypasses(&one).await;
    for _ in 0..50 {
        column(&one, "SELECT count(*) FROM t").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(bypasses(&one).await, before, "nobody was waited for");
    let Gateway { mut process, client } = third;
    process.kill().await;
    drop(client);
    until("it is missed", async || {
        column(&one, "SELECT count(*) FROM t").await;
        bypasses(&one).await != before
    })
    .await;
    // Then nobody is waited for.
    kept(&one, "SELECT count(*) FROM t").await;
}

/// A right that is taken away past all gateways is gone for the answers that they keep for each
/// other, too.
#[tokio::test]
async fn rights_taken_away_past_the_gateways() {
    let Some((world, one, other)) = two(setup(true)).await else {
        return;
    };
    let role = format!("{}_reader", world.primary().name());
    let behind = world.behind().await;
    behind
        .batch_execute(&format!("CREATE ROLE {role}; GRANT SELECT ON t TO {role}"))
        .await
        .expect("a role");
    other.hears().await;
    let read = "SELECT n FROM t WHERE id = 3";
    let readers = [world.gateway().await, connect(&url(&other.process)).await];
    for reader in &readers {
        reader.batch_execute(&format!("SET ROLE {role}")).await.expect("a role");
    }
    // The role itself may not look into the cache.
    let watcher = connect(&url(&other.process)).await;
    until("one's answer serves the other", async || {
        one.batch_execute("FLUSH CACHE").await.expect("a flush");
        tokio::time::sleep(Duration::from_millis(50)).await;
        column(&readers[0], read).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let shared = count(&watcher, "shared").await;
        column(&readers[1], read).await;
        count(&watcher, "shared").await > shared
    })
    .await;
    behind.batch_execute(&format!("REVOKE SELECT ON t FROM {role}")).await.expect("REVOKE");
    for reader in &readers {
        until("it may not any more", async || reader.simple_query(read).await.is_err()).await;
    }
    behind
        .batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await
        .expect("its end");
}

/// What a gateway has written that dies before it can tell is in no answer that others find, once
/// they don't wait for it any more; nor in one that the first to come finds after all have died.
#[tokio::test]
async fn what_a_dead_one_could_not_tell() {
    let Some(servers) = flywheel_tests::world::Servers::from_environment() else {
        return;
    };
    let Some(redis) = servers.redis.clone() else { return };
    let Some((mut world, one, other)) = two(setup(true)).await else {
        return;
    };
    other.end().await;
    let network = Proxy::to(redis.trim_start_matches("redis://")).await;
    let config = std::fs::read_to_string(world.config()).expect("its configuration");
    let path = world.folder().join("other.toml");
    std::fs::write(&path, config.replace(&redis, &format!("redis://{}", network.address())))
        .expect("a configuration");
    let read = "SELECT n FROM t WHERE id = 7";
    let is_shared = async |client: &Client| {
        let shared = count(client, "shared").await;
        column(client, read).await;
        count(client, "shared").await > shared
    };
    let kept_for_all = async || {
        until("it is kept for all", async || {
            // An answer that was filled while a gateway was forgotten is kept in memory only.
            one.batch_execute("FLUSH CACHE").await.expect("a flush");
            tokio::time::sleep(Duration::from_millis(50)).await;
            column(&one, read).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let third = Gateway::of(world.another_gateway().await).await;
            third.hears().await;
            let is_shared = is_shared(&third.client).await;
            third.end().await;
            is_shared
        })
        .await;
    };
    // Writes, can't tell, and dies.
    let writes_and_dies = async |n: i32| {
        network.becomes(Network::Up);
        let mut other =
            Gateway::of(Process::start(["--config".as_ref(), path.as_os_str()]).await).await;
        other.hears().await;
        kept_for_all().await;
        network.becomes(Network::Down);
        other
            .client
            .batch_execute(&format!("UPDATE t SET n = {n} WHERE id = 7"))
            .await
            .expect("a write");
        other.process.kill().await;
    };
    writes_and_dies(1).await;
    tokio::time::sleep(MAX_LAG).await;
    until("it isn't waited for any more", async || {
        let hits = count(&one, "hits").await;
        assert_eq!(column(&one, read).await, ["1"]);
        count(&one, "hits").await > hits
    })
    .await;

    writes_and_dies(2).await;
    drop(one);
    world.process_mut().kill().await;
    // So long a gateway is waited for.
    tokio::time::sleep(Duration::from_secs(17)).await;
    let last = Gateway::of(world.another_gateway().await).await;
    last.hears().await;
    assert_eq!(column(&last.client, read).await, ["2"]);
}
