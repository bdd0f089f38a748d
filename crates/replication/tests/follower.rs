//! A follower of a real PostgreSQL, named by `FLYWHEEL_TEST_POSTGRES` (a libpq URL, its `wal_level`
//! logical); without it nothing is tested.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flywheel_postgres::{Host, Pool, PoolOptions, ServerOptions};
use flywheel_replication::pgoutput::{Field, Tuple};
use flywheel_replication::{Follower, Listener, Options, Relation};
use flywheel_types::TableName;
use tokio_postgres::{Client, Config, NoTls, config};

/// Keeps what it is told, as lines.
#[derive(Default)]
struct Notebook(Mutex<Vec<String>>);

impl Notebook {
    fn add(&self, line: String) {
        self.0.lock().expect("not poisoned").push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("not poisoned"))
    }

    /// What has been told since the last time, once there are that many lines.
    async fn lines(&self, count: usize) -> Vec<String> {
        for _ in 0..600 {
            if self.0.lock().expect("not poisoned").len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.take()
    }
}

fn names(relation: &Relation) -> String {
    let names: Vec<_> = relation.tables.iter().map(|table| table.name.clone()).collect();
    names.join("<")
}

fn values(tuple: Option<&Tuple>) -> String {
    let value = |field: &Field| match field {
        Field::Null => "null".to_owned(),
        Field::Unchanged => "unchanged".to_owned(),
        Field::Text(text) => String::from_utf8_lossy(text).into_owned(),
    };
    tuple.map_or_else(
        || "-".to_owned(),
        |tuple| tuple.iter().map(value).collect::<Vec<_>>().join(","),
    )
}

impl Listener for Notebook {
    fn row_changed(&self, relation: &Relation, old: Option<&Tuple>, new: Option<&Tuple>) {
        self.add(format!(
            "{}({}): {} => {}",
            names(relation),
            relation.columns.join(","),
            values(old),
            values(new)
        ));
    }

    fn table_changed(&self, relation: &Relation) {
        self.add(format!("{} emptied", names(relation)));
    }

    fn missed(&self) {
        self.add("missed".to_owned());
    }
}

/// A schema of its own with these tables, and a follower of some of them.
struct World {
    client: Client,
    schema: String,
    follower: Arc<Follower>,
    notebook: Arc<Notebook>,
}

impl World {
    async fn start(name: &str, tables: &str, followed: &[&str], max_retained: u64) -> Option<Self> {
        let url = std::env::var("FLYWHEEL_TEST_POSTGRES")
            .expect("FLYWHEEL_TEST_POSTGRES: ./test starts the server and sets it");
        let (client, connection) =
            tokio_postgres::connect(&url, NoTls).await.expect("PostgreSQL is reachable");
        tokio::spawn(connection);
        let schema = format!("replication_{name}");
        client
            .batch_execute(&format!(
                "DROP SCHEMA IF EXISTS {schema} CASCADE; DROP PUBLICATION IF EXISTS {schema}; CREATE SCHEMA {schema}; SET search_path = {schema}; {tables}"
            ))
            .await
            .expect("tables");
        let config: Config = url.parse().expect("a URL");
        let [config::Host::Tcp(host)] = config.get_hosts() else { panic!("one host") };
        let server = ServerOptions {
            host: Host::Tcp(host.clone(), config.get_ports()[0]),
            encryption: flywheel_postgres::Encryption::Never,
            user: config.get_user().expect("a user").to_owned(),
            password: None,
            database: config.get_dbname().expect("a database").to_owned(),
            connect_timeout: Duration::from_secs(5),
        };
        let options = Options {
            tables: followed.iter().map(|table| TableName::new(&schema, *table)).collect(),
            publication: schema.clone(),
            heartbeat: Duration::from_millis(50),
            max_retained,
        };
        let pool = PoolOptions {
            size: 2,
            shared: 0,
            acquire_timeout: Duration::from_secs(5),
            login_retry: Duration::from_secs(1),
            lifetimes: None,
            sized_by: "the test".to_owned(),
        };
        let follower = Follower::new(Pool::new(server, pool), options);
        let notebook = Arc::<Notebook>::default();
        let (running, listener) = (follower.clone(), notebook.clone());
        tokio::spawn(async move { running.run(&*listener).await });
        Some(Self { client, schema, follower, notebook })
    }

    /// Until the follower knows what has happened so far.
    async fn followed(&self) {
        while self.follower.lag().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.expect(sql);
    }
}

#[tokio::test]
async fn each_change_is_told_with_its_table() {
    let tables = "CREATE TABLE words (id int PRIMARY KEY, word text); CREATE TABLE unfollowed (id int PRIMARY KEY);
        CREATE TABLE parts (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE part PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')";
    let Some(world) = World::start("changes", tables, &["words", "parts"], u64::MAX).await else {
        return;
    };
    world.followed().await;
    assert_eq!(world.notebook.take(), ["missed"], "what was before the slot isn't told");
    world
        .run(
            "BEGIN; INSERT INTO words VALUES (1, 'one'), (2, NULL); INSERT INTO unfollowed VALUES (1); COMMIT;
            BEGIN; INSERT INTO words VALUES (3, 'three'); ROLLBACK;
            UPDATE words SET word = 'eins' WHERE id = 1; UPDATE words SET id = 5 WHERE id = 2; DELETE FROM words WHERE id = 1;
            INSERT INTO parts VALUES (7, '2026-11-25'); TRUNCATE words",
        )
        .await;
    let lines = world.notebook.lines(7).await;
    assert_eq!(
        lines,
        [
            "words(id,word): - => 1,one",
            "words(id,word): - => 2,null",
            "words(id,word): - => 1,eins",
            "words(id,word): 2,null => 5,null",
            "words(id,word): 1,null => -",
            "part<parts(id,at): - => 7,2026-11-25",
            "words emptied",
        ]
    );
    // A changed definition is described anew.
    world
        .run("ALTER TABLE words ADD COLUMN more int; INSERT INTO words VALUES (1, 'one', 2)")
        .await;
    assert_eq!(world.notebook.lines(1).await, ["words(id,word,more): - => 1,one,2"]);
}

#[tokio::test]
async fn a_stream_that_breaks_is_followed_by_another() {
    let Some(world) =
        World::start("broken", "CREATE TABLE words (id int PRIMARY KEY)", &["words"], u64::MAX)
            .await
    else {
        return;
    };
    world.followed().await;
    world.notebook.take();
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_replication_slots JOIN pg_replication_slots USING (slot_name)
        JOIN pg_stat_activity ON pid = active_pid WHERE application_name = 'flywheel' AND query LIKE '%' || $1 || '%'";
    let ended: i64 = world.client.query_one(sql, &[&world.schema]).await.expect("a count").get(0);
    assert_eq!(ended, 1, "one stream");
    // Once for what is missed while there is none, once when there is one again.
    assert_eq!(world.notebook.lines(2).await, ["missed", "missed"]);
    world.followed().await;
    world.run("INSERT INTO words VALUES (1)").await;
    assert_eq!(world.notebook.lines(1).await, ["words(id): - => 1"]);
}

/// A table without an identity couldn't be updated any more if it were published.
#[tokio::test]
async fn a_table_without_an_identity_is_not_published() {
    let tables = "CREATE TABLE words (id int); INSERT INTO words VALUES (1)";
    let Some(world) = World::start("identity", tables, &["words"], u64::MAX).await else {
        return;
    };
    assert_eq!(world.notebook.lines(2).await.first().map(String::as_str), Some("missed"));
    assert_eq!(world.follower.lag(), None, "nothing is known");
    world.run("UPDATE words SET id = 2").await;
    // Mended, it is followed.
    world.run("ALTER TABLE words REPLICA IDENTITY FULL").await;
    world.followed().await;
    world.notebook.take();
    world.run("UPDATE words SET id = 3").await;
    assert_eq!(world.notebook.lines(1).await, ["words(id): 2 => 3"]);
}

/// A slot that keeps too much of the log is given up rather than kept.
#[tokio::test]
async fn a_slot_that_keeps_too_much_is_given_up() {
    let Some(world) =
        World::start("kept", "CREATE TABLE words (id int PRIMARY KEY)", &["words"], 0).await
    else {
        return;
    };
    // It begins and ends again and again: each time all that it knew is void.
    assert!(world.notebook.lines(5).await.len() >= 5);
}
