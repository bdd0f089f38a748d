//! Isolation levels, by Hermitage's cases (github.com/ept/hermitage), in every home beside
//! PostgreSQL.
//!
//! READ COMMITTED blocks do what PostgreSQL's do. In REPEATABLE READ and SERIALIZABLE a block that
//! PostgreSQL would still show old rows may get 40001; it never gets other rows.

mod cases;

use flywheel_tests::child::run as run_command;
use flywheel_tests::runner::{Outcome, Runner, run};
use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup, Told, World};
use tokio_postgres::Client;

use self::cases::{CASES, Case};

async fn world(home: Home) -> Option<World> {
    let world = Setup::default().main("pool_size = 20").table("public.test", home).start().await?;
    if !home.is_available(world.servers()) {
        return None;
    }
    let client = world.gateway().await;
    client
        .batch_execute("CREATE TABLE test (id int PRIMARY KEY, value int)")
        .await
        .expect("a table");
    Some(world)
}

/// The outcomes of a case's steps, and the rows that it leaves.
async fn play(
    world: &World,
    (name, steps): Case,
    connect: impl AsyncFn() -> Client,
) -> (Vec<Outcome>, Vec<String>) {
    let (setup, behind) = (connect().await, connect().await);
    let _ = world;
    setup
        .batch_execute("DELETE FROM test; INSERT INTO test (id, value) VALUES (1, 10), (2, 20)")
        .await
        .expect("rows");
    let level = ["read committed", "repeatable read", "serializable"]
        .into_iter()
        .find(|level| name.ends_with(level));
    let begin = format!("BEGIN ISOLATION LEVEL {}", level.expect("a level"));
    let mut runners = Vec::new();
    for _ in 0..3 {
        let client = connect().await;
        client.batch_execute(&begin).await.expect("BEGIN");
        runners.push(Runner::Free(client));
    }
    let mut outcomes = Vec::new();
    let mut waiting = None;
    for &(who, sql) in steps {
        let runner = &mut runners[who - 1];
        let outcome = match sql {
            // What fails at once needn't be waited for.
            "." if waiting != Some(who) => Outcome::Rows(Vec::new()),
            "." => {
                waiting = None;
                runner.end().await
            }
            sql => runner.step(sql, &behind, usize::from(waiting.is_some())).await,
        };
        if outcome == Outcome::Waits {
            waiting = Some(who);
        }
        outcomes.push(outcome);
    }
    for runner in runners {
        if let Runner::Free(client) = runner {
            let _ = client.batch_execute("ROLLBACK").await;
        }
    }
    let (_, left) = run(setup, "SELECT * FROM test".to_owned()).await;
    (outcomes, left.expect("rows"))
}

#[tokio::test(flavor = "multi_thread")]
async fn hermitage() {
    for home in Home::ALL {
        let Some(world) = world(home).await else { continue };
        let oracle = world.oracle().await;
        oracle
            .batch_execute(
                "DROP TABLE IF EXISTS test; CREATE TABLE test (id int PRIMARY KEY, value int)",
            )
            .await
            .expect("a table");
        for case in CASES {
            let what = format!("{}, {}", case.0, home.name());
            let (expected, rows) = play(&world, case, async || world.oracle().await).await;
            let (outcomes, left) = play(&world, case, async || world.gateway().await).await;
            if case.0.ends_with("read committed") || home == Home::Relational {
                assert_eq!((outcomes, left), (expected, rows), "{what}");
                continue;
            }
            // The same up to the first 40001 of a client; after it that client's answers are
            // errors.
            let mut failed = [false; 3];
            for (position, (&(who, sql), outcome)) in case.1.iter().zip(&outcomes).enumerate() {
                let is_failed = &mut failed[who - 1];
                match outcome {
                    Outcome::Failed(code) if code == "40001" || (*is_failed && code == "25P02") => {
                        *is_failed = true
                    }
                    _ if *is_failed => {}
                    outcome => assert!(
                        *outcome == expected[position] || failed.contains(&true),
                        "{what}, {sql}: {outcomes:?}, not {expected:?}"
                    ),
                }
            }
            let fails = |outcomes: &[Outcome]| {
                outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(_)))
            };
            assert!(
                fails(&outcomes) || !fails(&expected),
                "{what}: {outcomes:?}, not {expected:?}"
            );
            if !fails(&outcomes) {
                assert_eq!(left, rows, "{what}");
            }
        }
    }
}

/// What pg_dump does: rows as they are, and a warning.
#[tokio::test]
async fn a_dump_says_what_it_is_consistent_with() {
    for home in Home::QUICK {
        let Some(world) = world(home).await else { continue };
        let client = world.gateway().await;
        client.batch_execute("INSERT INTO test VALUES (1, 10)").await.expect("a row");
        let psql = |sql: &str| {
            let mut psql = tokio::process::Command::new("psql");
            psql.args(["-X", "-q", "-d", &world.url(), "-c", sql]);
            psql
        };
        let begin = "BEGIN; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";
        let dump = format!("{begin}; COPY public.test (id, value) TO STDOUT; COMMIT");
        let dumped = run_command(&mut psql(&dump)).await.well();
        assert_eq!(dumped.stdout, "1\t10\n", "{}", home.name());
        assert!(dumped.stderr.contains("not of the transaction's snapshot"), "{dumped:?}");
        let plain =
            run_command(&mut psql("BEGIN; COPY public.test TO STDOUT; COMMIT")).await.well();
        assert_eq!((plain.stdout.as_str(), plain.stderr.as_str()), ("1\t10\n", ""));
    }
}

/// pg_dump locks the tables, and its dump of a store table is restored in plain PostgreSQL.
#[tokio::test]
async fn a_dump_is_restored() {
    for home in Home::QUICK {
        let Some(world) = world(home).await else { continue };
        let client = world.gateway().await;
        client.batch_execute("INSERT INTO test VALUES (1, 10), (2, 20)").await.expect("rows");
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut dump = tokio::process::Command::new("pg_dump");
        dump.args(["--no-owner", "--clean", "--if-exists"]);
        dump.arg("-d").arg(world.url()).arg("-f").arg(file.path());
        run_command(&mut dump).await.well();
        let oracle = world.oracle().await;
        let mut restore = tokio::process::Command::new("psql");
        restore.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", world.oracle_url()]);
        restore.arg("-f").arg(file.path());
        run_command(&mut restore).await.well();
        let all = "SELECT id || ':' || value FROM test ORDER BY id";
        assert_eq!(column(&oracle, all).await, ["1:10", "2:20"], "{}", home.name());
        // A table that is locked isn't altered.
        let behind = world.behind().await;
        client.batch_execute("BEGIN; LOCK test IN ROW EXCLUSIVE MODE").await.expect("a lock");
        let alter = "SET lock_timeout = '50ms'; ALTER TABLE test ADD COLUMN more int";
        Told::of(&behind, alter).await.is("55P03", &[]);
        client.batch_execute("COMMIT").await.expect("COMMIT");
    }
}

/// Whoever accepts rows that others change meanwhile says so.
#[tokio::test]
async fn less_by_a_setting() {
    for home in Home::QUICK {
        let Some(world) = world(home).await else { continue };
        let (one, other) = (world.gateway().await, world.gateway().await);
        one.batch_execute("INSERT INTO test VALUES (1, 10), (2, 20)").await.expect("rows");
        let read = "SELECT value FROM test WHERE id = 1";
        for (setting, expected) in [
            ("RESET flywheel.store_isolation", "10"),
            ("SET flywheel.store_isolation = 'read committed'", "11"),
        ] {
            other.batch_execute("UPDATE test SET value = 10 WHERE id = 1").await.expect("a write");
            one.batch_execute(&format!("{setting}; BEGIN ISOLATION LEVEL REPEATABLE READ"))
                .await
                .expect("a block");
            assert_eq!(column(&one, read).await, ["10"]);
            other.batch_execute("UPDATE test SET value = 11 WHERE id = 1").await.expect("a write");
            assert_eq!(column(&one, read).await, [expected], "{setting}, {}", home.name());
            one.batch_execute("COMMIT").await.expect("COMMIT");
        }
        assert_eq!(column(&one, "SHOW flywheel.store_isolation").await, ["read committed"]);
        one.batch_execute("RESET flywheel.store_isolation").await.expect("RESET");
        // A level that is set in other ways.
        for set in [
            "SET default_transaction_isolation = 'repeatable read'; BEGIN",
            "RESET default_transaction_isolation; BEGIN; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ; BEGIN",
            "RESET default_transaction_isolation; START TRANSACTION ISOLATION LEVEL REPEATABLE READ; COMMIT AND CHAIN",
        ] {
            for statement in set.split("; ") {
                one.batch_execute(statement).await.expect("a block");
            }
            assert_eq!(column(&one, read).await, ["11"], "{set}");
            other.batch_execute("UPDATE test SET value = 12 WHERE id = 1").await.expect("a write");
            assert_eq!(column(&one, read).await, ["11"], "{set}");
            Told::of(&one, "SELECT value FROM test WHERE id = 2")
                .await
                .is("40001", &["public.test"]);
            one.batch_execute("ROLLBACK").await.expect("ROLLBACK");
            other.batch_execute("UPDATE test SET value = 11 WHERE id = 1").await.expect("a write");
        }
    }
}
