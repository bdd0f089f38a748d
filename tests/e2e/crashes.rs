//! The gateway is killed at each step of a COMMIT that concerns PostgreSQL and two stores. When it
//! is back, what the block has written is in all of them or in none.

use std::time::Duration;

use flywheel_tests::child::in_time;
use flywheel_tests::endpoint::send;
use flywheel_tests::gate::{COMMIT, Gate, Stop};
use flywheel_tests::world::{Servers, column, dynoxide, flywheel, until};
use flywheel_tests::{Home, Setup, World};
use serde_json::json;

const PREPARE_IN_DYNAMODB: &[&str] = &["\"Update\":{", "flywheel_lock"];
const COMMIT_IN_DYNAMODB: &[&str] = &["\"Put\":{", "flywheel_lock"];
const PREPARE_IN_REDIS: &[&str] = &["\r\nprepare\r\n"];
const COMMIT_IN_REDIS: &[&str] = &["\r\ncommit\r\n"];

/// By then PostgreSQL has noted what a block is about to lock.
const NOTED: Duration = Duration::from_millis(500);

/// A world in which everything goes through gates.
struct Guarded {
    world: World,
    postgres: Gate,
    dynamo: Gate,
    redis: Gate,
}

/// What a step stops, and what has become of the transaction when the gateway is back.
struct Step {
    name: &'static str,
    gate: fn(&Guarded) -> &Gate,
    stop: Stop,
    words: &'static [&'static str],
    committed: bool,
    /// What was stopped is delivered only when another gateway is at work.
    late: bool,
}

const fn postgres(guarded: &Guarded) -> &Gate {
    &guarded.postgres
}

const fn dynamo(guarded: &Guarded) -> &Gate {
    &guarded.dynamo
}

const fn redis(guarded: &Guarded) -> &Gate {
    &guarded.redis
}

#[rustfmt::skip]
const STEPS: &[Step] = &[
    Step { name: "before the outbox", gate: postgres, stop: Stop::Request, words: &["INSERT INTO flywheel.outbox"], committed: false, late: false },
    Step { name: "recorded", gate: postgres, stop: Stop::Answer, words: &["INSERT INTO flywheel.outbox"], committed: false, late: false },
    Step { name: "before the first is prepared", gate: dynamo, stop: Stop::Request, words: PREPARE_IN_DYNAMODB, committed: false, late: false },
    Step { name: "the first is prepared late", gate: dynamo, stop: Stop::Request, words: PREPARE_IN_DYNAMODB, committed: false, late: true },
    Step { name: "the first is prepared", gate: dynamo, stop: Stop::Answer, words: PREPARE_IN_DYNAMODB, committed: false, late: false },
    Step { name: "before the second is prepared", gate: redis, stop: Stop::Request, words: PREPARE_IN_REDIS, committed: false, late: true },
    Step { name: "both are prepared", gate: redis, stop: Stop::Answer, words: PREPARE_IN_REDIS, committed: false, late: false },
    Step { name: "COMMIT arrives late", gate: postgres, stop: Stop::Request, words: &[COMMIT], committed: true, late: true },
    Step { name: "PostgreSQL has committed", gate: postgres, stop: Stop::Answer, words: &[COMMIT], committed: true, late: false },
    Step { name: "before the first is carried out", gate: dynamo, stop: Stop::Request, words: COMMIT_IN_DYNAMODB, committed: true, late: false },
    Step { name: "the first is carried out late", gate: dynamo, stop: Stop::Request, words: COMMIT_IN_DYNAMODB, committed: true, late: true },
    Step { name: "the first is carried out", gate: dynamo, stop: Stop::Answer, words: COMMIT_IN_DYNAMODB, committed: true, late: false },
    Step { name: "before the second is carried out", gate: redis, stop: Stop::Request, words: COMMIT_IN_REDIS, committed: true, late: false },
    Step { name: "both are carried out", gate: redis, stop: Stop::Answer, words: COMMIT_IN_REDIS, committed: true, late: false },
];

fn address(url: &str) -> &str {
    let (_, rest) = url.split_once("://").expect("a URL");
    let rest = rest.split('/').next().expect("an address");
    rest.rsplit('@').next().expect("an address")
}

impl Guarded {
    /// `None` where the environment hasn't got the servers.
    async fn start(home: Home) -> Option<Self> {
        let servers = Servers::from_environment()?;
        let endpoint = match home {
            Home::DynamoDb => servers.dynamodb.first()?.clone(),
            _ => dynoxide().to_owned(),
        };
        let dynamo = Gate::to(address(&endpoint)).await;
        let redis = Gate::to(address(servers.redis.as_ref()?)).await;
        let postgres = Gate::to(address(&servers.postgres)).await;
        let world = Setup::default()
            .primary_through(postgres.address())
            .dynamo_at(home, &format!("http://{}", dynamo.address()))
            .redis_at(&format!("redis://{}", redis.address()))
            .table("public.carts", home)
            .table("public.stock", Home::Redis)
            .start()
            .await?;
        let client = world.gateway().await;
        let tables = "CREATE TABLE carts (id int PRIMARY KEY, what text); CREATE TABLE stock (id int PRIMARY KEY, what text); \
                      CREATE TABLE orders (id int PRIMARY KEY)";
        client.batch_execute(tables).await.expect("tables");
        let guarded = Self { world, postgres, dynamo, redis };
        // The outbox is made, and Redis knows the script.
        guarded.before(0).await;
        client.batch_execute(&order(0)).await.expect("COMMIT");
        guarded.agree(0, true, "without a crash").await;
        Some(guarded)
    }

    /// The row that the block changes is there before.
    async fn before(&self, id: usize) {
        let client = self.world.gateway().await;
        let insert = format!("INSERT INTO stock VALUES ({id}, 'old')");
        client.batch_execute(&insert).await.expect("a row");
    }

    /// Waits until PostgreSQL and both stores say the same, and nothing is left in the outbox.
    async fn agree(&self, id: usize, committed: bool, when: &str) {
        let client = self.world.gateway().await;
        let behind = self.world.behind().await;
        let expected = if committed { ["1", "new", "new"] } else { ["0", "", "old"] };
        let mut found = Vec::new();
        for _ in 0..600 {
            found = column(&client, &format!("SELECT count(*) FROM orders WHERE id = {id}")).await;
            let cart = column(&client, &format!("SELECT what FROM carts WHERE id = {id}")).await;
            found.push(cart.first().cloned().unwrap_or_default());
            found.extend(column(&client, &format!("SELECT what FROM stock WHERE id = {id}")).await);
            let left = column(&behind, "SELECT count(*) FROM flywheel.outbox").await;
            if found == expected && left == ["0"] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{when}: {found:?}, where {expected:?} is expected");
    }

    /// Nothing stays locked.
    async fn write(&self, id: usize, when: &str) {
        let client = self.world.gateway().await;
        for sql in [
            format!(
                "INSERT INTO carts VALUES ({id}, 'later') ON CONFLICT (id) DO UPDATE SET what = excluded.what"
            ),
            format!("UPDATE stock SET what = 'later' WHERE id = {id}"),
            format!("DELETE FROM carts WHERE id = {id}"),
        ] {
            client
                .batch_execute(&sql)
                .await
                .unwrap_or_else(|error| panic!("{when}: {sql}: {error:?}"));
        }
        assert_eq!(
            column(&client, &format!("SELECT what FROM stock WHERE id = {id}")).await,
            ["later"],
            "{when}"
        );
    }

    async fn crash(&mut self, id: usize, step: &Step) {
        self.before(id).await;
        let client = self.world.gateway().await;
        (step.gate)(self).stop(step.stop, step.words);
        let commit = tokio::spawn(async move { client.batch_execute(&order(id)).await });
        (step.gate)(self).stopped().await;
        // What a block locks is noted while the store is asked, and nobody waits for that.
        tokio::time::sleep(NOTED).await;
        self.world.process_mut().kill().await;
        commit.await.expect("a task").expect_err("the gateway is gone");
        if step.late {
            self.world.start_again().await;
            let client = self.world.gateway().await;
            column(&client, "SELECT what FROM stock WHERE id = 0").await;
            (step.gate)(self).open();
        } else {
            (step.gate)(self).open();
            self.world.start_again().await;
        }
        self.agree(id, step.committed, step.name).await;
        if !step.committed {
            self.check(step.name).await;
            self.nothing_locked(step.name).await;
        }
        self.write(id, step.name).await;
    }

    /// Waits until no lock of an undone transaction is left in the stores, although nobody meets
    /// it: of its COMMIT, or of its block, whose locks begin with `0-`.
    async fn nothing_locked(&self, when: &str) {
        let unique =
            self.world.primary().name().strip_suffix("_flywheel").expect("a world's database");
        let endpoint = format!("http://{}", self.dynamo.address());
        let items = json!({
            "TableName": format!("{unique}-public.carts"),
            "FilterExpression": "attribute_exists(flywheel_lock)",
        });
        let redis = self.redis.address().to_string();
        let (_, port) = redis.split_once(':').expect("a port");
        until(when, async || {
            let found = send(&endpoint, "Scan", &items).await;
            let mut keys = tokio::process::Command::new("redis-cli");
            keys.args(["-p", port, "--scan", "--pattern", &format!("{{{unique}:*#lock*")]);
            let keys = in_time(keys.output()).await.expect("redis-cli");
            for key in String::from_utf8_lossy(&keys.stdout).lines() {
                let mut lock = tokio::process::Command::new("redis-cli");
                lock.args(["-p", port, "GET", key]);
                let lock = in_time(lock.output()).await.expect("redis-cli");
                if !lock.stdout.starts_with(b"\n") {
                    return false;
                }
            }
            found["Count"] == json!(0)
        })
        .await;
    }

    /// Locks that nobody has met yet are in nobody's way who only looks.
    async fn check(&self, when: &str) {
        let mut command = tokio::process::Command::new(flywheel());
        command.args(["check".as_ref(), "--connect".as_ref(), self.world.config().as_os_str()]);
        let checked = in_time(command.output()).await.expect("flywheel check");
        let told =
            String::from_utf8_lossy(&checked.stdout) + String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{when}: {told}");
    }
}

/// The block.
fn order(id: usize) -> String {
    format!(
        "BEGIN; INSERT INTO orders VALUES ({id}); INSERT INTO carts VALUES ({id}, 'new'); UPDATE stock SET what = 'new' WHERE id = {id}; COMMIT"
    )
}

async fn each_step(home: Home) {
    let Some(mut guarded) = Guarded::start(home).await else { return };
    for (id, step) in (1..).zip(STEPS) {
        guarded.crash(id, step).await;
    }
    // Told, and not tidied up yet.
    let id = STEPS.len() + 1;
    guarded.before(id).await;
    let client = guarded.world.gateway().await;
    client.batch_execute(&order(id)).await.expect("COMMIT");
    guarded.world.process_mut().kill().await;
    guarded.world.start_again().await;
    guarded.agree(id, true, "told").await;
    guarded.write(id, "told").await;
}

#[tokio::test]
async fn at_each_step_with_dynamodb() {
    each_step(Home::DynamoDb).await;
}

#[tokio::test]
async fn at_each_step_with_dynoxide() {
    each_step(Home::Dynoxide).await;
}

/// The one before the last thing that PostgreSQL checks.
#[tokio::test]
async fn while_a_deferred_trigger_runs() {
    let Some(mut guarded) = Guarded::start(Home::Dynoxide).await else {
        return;
    };
    let behind = guarded.world.behind().await;
    behind
        .batch_execute(
            "CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END'; \
             CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION waits(); \
             SELECT pg_advisory_lock(1)",
        )
        .await
        .expect("a trigger");
    guarded.before(1).await;
    let client = guarded.world.gateway().await;
    let commit = tokio::spawn(async move { client.batch_execute(&order(1)).await });
    let waits = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) \
                 WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()";
    in_time(async {
        while column(&behind, waits).await != ["1"] {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    guarded.world.process_mut().kill().await;
    commit.await.expect("a task").expect_err("the gateway is gone");
    behind.batch_execute("SELECT pg_advisory_unlock(1)").await.expect("unlock");
    guarded.world.start_again().await;
    guarded.agree(1, false, "in a trigger").await;
    guarded.write(1, "in a trigger").await;
}

/// One gateway dies between PostgreSQL's COMMIT and the stores; another, at work all the time,
/// finishes what it began.
#[tokio::test]
async fn another_gateway_goes_on() {
    let Some(mut guarded) = Guarded::start(Home::Dynoxide).await else {
        return;
    };
    let other = guarded.world.another_gateway().await;
    let other =
        flywheel_tests::world::connect(&format!("postgres://postgres@{}/app", other.address()))
            .await;
    for id in 1..=2 {
        guarded.before(id).await;
        let client = guarded.world.gateway().await;
        guarded.postgres.stop(Stop::Answer, &[COMMIT]);
        let commit = tokio::spawn(async move { client.batch_execute(&order(id)).await });
        guarded.postgres.stopped().await;
        guarded.world.process_mut().kill().await;
        commit.await.expect("a task").expect_err("the gateway is gone");
        guarded.postgres.open();
        if id == 1 {
            // A writer meets the lock, and carries the whole transaction out first.
            let met = column(
                &other,
                "UPDATE stock SET what = what || ' and newer' WHERE id = 1 RETURNING what",
            )
            .await;
            assert_eq!(met, ["new and newer"]);
            assert_eq!(column(&other, "SELECT what FROM carts WHERE id = 1").await, ["new"]);
        }
        guarded.world.start_again().await;
    }
    guarded.agree(2, true, "by whoever comes").await;
}
