//! The gateway is killed while a table is dropped or made. When it is back, or another one is at
//! work, the store has what PostgreSQL has.

use flywheel_tests::gate::{COMMIT, Gate, Stop};
use flywheel_tests::world::{Servers, column, connect, dynoxide, until};
use flywheel_tests::{Home, Setup, Told, World};

const CREATE: &str = "CREATE TABLE carts (id int PRIMARY KEY, n int)";
const ALL: &str = "SELECT id || ':' || n FROM carts ORDER BY id";

/// A world in which everything goes through gates.
struct Guarded {
    world: World,
    postgres: Gate,
    store: Gate,
}

struct Step {
    name: &'static str,
    /// Otherwise before PostgreSQL.
    at_store: bool,
    stop: Stop,
    words: &'static [&'static str],
    dropped: bool,
    /// What was stopped is delivered only when another gateway is at work.
    late: bool,
}

/// A Query of its own, not a part of the text that is sent as a whole to be read.
const DROP_IN_POSTGRES: &str = "Q\0\0\0\x15DROP TABLE carts\0";
const DROP_IN_DYNAMODB: &[&str] = &["DynamoDB_20120810.DeleteTable"];
const DROP_IN_REDIS: &[&str] = &["UNLINK"];

/// A DROP's steps in the order in which they come.
#[rustfmt::skip]
const fn steps(drop: &'static [&'static str]) -> [Step; 8] {
    [
        Step { name: "before it is noted", at_store: false, stop: Stop::Request, words: &["flywheel.dropping("], dropped: false, late: false },
        Step { name: "noted", at_store: false, stop: Stop::Answer, words: &["flywheel.dropping("], dropped: false, late: false },
        Step { name: "dropped", at_store: false, stop: Stop::Answer, words: &[DROP_IN_POSTGRES], dropped: false, late: false },
        Step { name: "COMMIT arrives late", at_store: false, stop: Stop::Request, words: &[COMMIT], dropped: true, late: true },
        Step { name: "committed", at_store: false, stop: Stop::Answer, words: &[COMMIT], dropped: true, late: false },
        Step { name: "before the store", at_store: true, stop: Stop::Request, words: drop, dropped: true, late: false },
        Step { name: "in the store", at_store: true, stop: Stop::Answer, words: drop, dropped: true, late: false },
        Step { name: "before the note is deleted", at_store: false, stop: Stop::Request, words: &["DELETE FROM flywheel.definitions"], dropped: true, late: false },
    ]
}

fn address(url: &str) -> &str {
    let (_, rest) = url.split_once("://").expect("a URL");
    let rest = rest.split('/').next().expect("an address");
    rest.rsplit('@').next().expect("an address")
}

impl Guarded {
    async fn start(home: Home) -> Option<Self> {
        let servers = Servers::from_environment()?;
        let postgres = Gate::to(address(&servers.postgres)).await;
        let setup = Setup::default().primary_through(postgres.address()).table_with(
            "public.carts",
            home,
            &["allow_drop = true", "allow_scan = true"],
        );
        let (setup, store) = match home {
            Home::Redis => {
                let store = Gate::to(address(servers.redis.as_ref()?)).await;
                (setup.redis_at(&format!("redis://{}", store.address())), store)
            }
            _ => {
                let endpoint = match home {
                    Home::DynamoDb => servers.dynamodb.first()?.clone(),
                    _ => dynoxide().to_owned(),
                };
                let store = Gate::to(address(&endpoint)).await;
                let setup = setup.dynamo_at(home, &format!("http://{}", store.address()));
                (setup, store)
            }
        };
        let world = setup.start().await?;
        let guarded = Self { world, postgres, store };
        // What is kept in PostgreSQL has its tables.
        let client = guarded.world.gateway().await;
        for sql in [CREATE, "DROP TABLE carts"] {
            client.batch_execute(sql).await.expect(sql);
        }
        Some(guarded)
    }

    async fn crash(&mut self, step: &Step, at_once: bool) {
        let client = self.world.gateway().await;
        for sql in [CREATE, "INSERT INTO carts VALUES (1, 10), (2, 20)"] {
            client
                .batch_execute(sql)
                .await
                .unwrap_or_else(|error| panic!("{}: {error:?}", step.name));
        }
        let gate = if step.at_store { &self.store } else { &self.postgres };
        gate.stop(step.stop, step.words);
        let dropping =
            tokio::spawn(
                async move { client.batch_execute("BEGIN; DROP TABLE carts; COMMIT").await },
            );
        gate.stopped().await;
        self.world.process_mut().kill().await;
        let _ = dropping.await.expect("a task");
        let gate = if step.at_store { &self.store } else { &self.postgres };
        if step.late {
            self.world.start_again().await;
            gate.open();
        } else {
            gate.open();
            self.world.start_again().await;
        }
        let behind = self.world.behind().await;
        let is_there = "SELECT to_regclass('carts') IS NOT NULL";
        let expected = if step.dropped { "f" } else { "t" };
        until(step.name, async || column(&behind, is_there).await == [expected]).await;
        let client = self.world.gateway().await;
        if !step.dropped {
            assert_eq!(column(&client, ALL).await, ["1:10", "2:20"], "{}", step.name);
            client.batch_execute("DROP TABLE carts").await.expect(step.name);
            return;
        }
        Told::of(&client, ALL).await.is("42P01", &["carts"]);
        if !at_once {
            self.nothing_left(step.name).await;
        }
        client.batch_execute(CREATE).await.expect(step.name);
        assert_eq!(column(&client, ALL).await, [""; 0], "{}", step.name);
        client.batch_execute("INSERT INTO carts VALUES (2, 21), (3, 30)").await.expect(step.name);
        self.nothing_left(step.name).await;
        assert_eq!(column(&client, ALL).await, ["2:21", "3:30"], "{}", step.name);
        client.batch_execute("DROP TABLE carts").await.expect(step.name);
    }

    /// Waits until all that was noted is done.
    async fn nothing_left(&self, when: &str) {
        let behind = self.world.behind().await;
        let left = "SELECT count(*) FROM flywheel.definitions";
        until(when, async || column(&behind, left).await == ["0"]).await;
    }
}

async fn each_step(home: Home, drop: &'static [&'static str]) {
    let Some(mut guarded) = Guarded::start(home).await else { return };
    for step in steps(drop) {
        for at_once in [true, false] {
            guarded.crash(&step, at_once).await;
        }
    }
}

#[tokio::test]
async fn at_each_step_with_redis() {
    each_step(Home::Redis, DROP_IN_REDIS).await;
}

#[tokio::test]
async fn at_each_step_with_dynamodb() {
    each_step(Home::DynamoDb, DROP_IN_DYNAMODB).await;
}

#[tokio::test]
async fn at_each_step_with_dynoxide() {
    each_step(Home::Dynoxide, DROP_IN_DYNAMODB).await;
}

/// One gateway dies between PostgreSQL's COMMIT and the store; another, at work all the time, makes
/// the table anew.
#[tokio::test]
async fn another_gateway_goes_on() {
    for (home, drop) in [(Home::Redis, DROP_IN_REDIS), (Home::Dynoxide, DROP_IN_DYNAMODB)] {
        let Some(mut guarded) = Guarded::start(home).await else { continue };
        let other = guarded.world.another_gateway().await;
        let other = connect(&format!("postgres://postgres@{}/app", other.address())).await;
        let client = guarded.world.gateway().await;
        for sql in [CREATE, "INSERT INTO carts VALUES (1, 10)"] {
            client.batch_execute(sql).await.expect(sql);
        }
        assert_eq!(column(&other, ALL).await, ["1:10"]);
        guarded.store.stop(Stop::Request, drop);
        let dropping = tokio::spawn(async move { client.batch_execute("DROP TABLE carts").await });
        guarded.store.stopped().await;
        guarded.world.process_mut().kill().await;
        let _ = dropping.await.expect("a task");
        guarded.store.open();
        other.batch_execute(CREATE).await.expect("the table anew");
        assert_eq!(column(&other, ALL).await, [""; 0], "{home:?}");
    }
}

/// A table that was made in the store, and nowhere else, is in nobody's way.
#[tokio::test]
async fn a_table_that_was_only_begun() {
    for home in Home::DYNAMODBS {
        let Some(mut guarded) = Guarded::start(home).await else { continue };
        let client = guarded.world.gateway().await;
        guarded.store.stop(Stop::Answer, &["DynamoDB_20120810.CreateTable"]);
        let creating = tokio::spawn(async move { client.batch_execute(CREATE).await });
        guarded.store.stopped().await;
        guarded.world.process_mut().kill().await;
        let _ = creating.await.expect("a task");
        guarded.store.open();
        guarded.world.start_again().await;
        guarded.nothing_left("only begun").await;
        let client = guarded.world.gateway().await;
        client
            .batch_execute("CREATE TABLE carts (id text PRIMARY KEY, n int)")
            .await
            .unwrap_or_else(|error| panic!("{home:?}: {error:?}"));
        client.batch_execute("INSERT INTO carts VALUES ('a', 1)").await.expect("a row");
    }
}
