//! Many clients at once that do their worst, while server connections are ended under them: nothing
//! hangs, nothing is lost, nothing leaks.
//!
//! `FLYWHEEL_TEST_SOAK` is how many seconds it lasts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flywheel_tests::child::in_time;
use flywheel_tests::raw::{Event, Message};
use flywheel_tests::world::{column, connect, try_connect};
use flywheel_tests::{Setup, World};
use rand::Rng;
use tokio::task::JoinSet;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, NoTls};

const POOL: usize = 8;
/// How many of them may be kept for shared reads.
const SHARED: usize = 2;
const ACCOUNTS: i32 = 40;
const EACH: i64 = 1000;
const LARGE: usize = 5000;

const TABLES: &str = "
    CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL);
    INSERT INTO accounts SELECT i, 1000 FROM generate_series(1, 40) i;
    CREATE TABLE transfers (id bigint PRIMARY KEY, source int NOT NULL, target int NOT NULL, amount bigint NOT NULL);
    CREATE TABLE large AS SELECT i, repeat('x', 1000) AS filler FROM generate_series(1, 5000) i;";

/// What a client knows of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Undone,
    /// The connection broke at COMMIT.
    Unknown,
}

/// When everybody stops.
fn end() -> Instant {
    let seconds = std::env::var("FLYWHEEL_TEST_SOAK")
        .map_or(10, |seconds| seconds.parse().expect("a number of seconds"));
    Instant::now() + Duration::from_secs(seconds)
}

fn random(below: u64) -> u64 {
    rand::rng().random_range(0..below)
}

/// A connection's end is what this test causes, and two transfers may wait for each other; anything
/// else is a bug. A cancel is nobody's but whose it is.
fn expect_broken(error: &Error) {
    let causes = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CONNECTION_FAILURE,
        SqlState::CONNECTION_EXCEPTION,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    assert!(
        error.is_closed() || error.code().is_none_or(|code| causes.contains(code)),
        "{error:?}"
    );
}

async fn transfer(client: &mut Client, id: i64) -> Outcome {
    let (source, target) = (1 + random(ACCOUNTS as u64) as i32, 1 + random(ACCOUNTS as u64) as i32);
    let amount = 1 + random(50) as i64;
    let work = async {
        let mut transaction = client.transaction().await?;
        let add =
            transaction.prepare("UPDATE accounts SET balance = balance + $2 WHERE id = $1").await?;
        let note = "INSERT INTO transfers VALUES ($1, $2, $3, $4)";
        transaction.execute(note, &[&id, &source, &target, &amount]).await?;
        transaction.execute(&add, &[&source, &-amount]).await?;
        if random(4) == 0 {
            // Undone before it is done again.
            let savepoint = transaction.savepoint("again").await?;
            savepoint.execute(&add, &[&target, &1_000_000_i64]).await?;
            savepoint.rollback().await?;
        }
        transaction.execute(&add, &[&target, &amount]).await?;
        Ok::<_, Error>(transaction)
    };
    match work.await {
        Err(error) => {
            expect_broken(&error);
            Outcome::Undone
        }
        Ok(transaction) if random(8) == 0 => {
            if let Err(error) = transaction.rollback().await {
                expect_broken(&error);
            }
            Outcome::Undone
        }
        Ok(transaction) => match transaction.commit().await {
            Ok(()) => Outcome::Done,
            Err(error) => {
                expect_broken(&error);
                Outcome::Unknown
            }
        },
    }
}

async fn transfers(url: String, worker: i64, end: Instant) -> Vec<(i64, Outcome)> {
    let mut outcomes = Vec::new();
    let mut client = connect(&url).await;
    for turn in 0.. {
        if Instant::now() > end {
            break;
        }
        let id = worker * 1_000_000 + turn;
        outcomes.push((id, transfer(&mut client, id).await));
        // In the middle of a transaction its end is the session's.
        if client.is_closed() {
            client = connect(&url).await;
        }
    }
    outcomes
}

/// Reads that are shared with others': each sees one moment, in which nothing is lost.
async fn reads(url: String, end: Instant) {
    let mut client = connect(&url).await;
    while Instant::now() < end {
        let read = async {
            let by_id = client.prepare("SELECT id FROM accounts WHERE id = $1").await?;
            for _ in 0..20 {
                let id = 1 + random(ACCOUNTS as u64) as i32;
                assert_eq!(client.query_one(&by_id, &[&id]).await?.get::<_, i32>(0), id);
                let sum =
                    client.query_one("SELECT sum(balance)::bigint FROM accounts", &[]).await?;
                assert_eq!(sum.get::<_, i64>(0), EACH * i64::from(ACCOUNTS));
                let rows = client
                    .simple_query(&format!("SELECT {id} + i FROM large WHERE i = {id}"))
                    .await?;
                let sum = (2 * id).to_string();
                let found = rows.iter().any(|row| match row {
                    tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0) == Some(&*sum),
                    _ => false,
                });
                assert!(found, "{rows:?}");
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = read.await {
            expect_broken(&error);
            client = connect(&url).await;
        }
    }
}

/// Large answers, read slowly.
async fn slow_reads(world: Arc<World>, end: Instant) {
    while Instant::now() < end {
        let mut client = world.raw().await;
        client.send(&[Message::query("SELECT filler FROM large")]).await.expect("sent");
        let mut rows = 0;
        let complete = loop {
            match client.next().await {
                Ok(Event::Row(_)) => rows += 1,
                Ok(Event::Ready(_)) => break true,
                Ok(Event::Error(_)) | Err(flywheel_tests::raw::Lost::Closed) => break false,
                Ok(_) => {}
                Err(lost) => panic!("{lost:?} after {rows} rows"),
            }
            if rows % 500 == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(!complete || rows == LARGE, "{rows} rows");
    }
}

/// Clients that say no more, or go without a word, wherever they are.
async fn leavers(world: Arc<World>, end: Instant) {
    let begun = "BEGIN; UPDATE accounts SET balance = balance + 1 WHERE id = 1";
    while Instant::now() < end {
        let mut client = world.raw().await;
        let said = match random(5) {
            0 => vec![Message::query("SELECT filler FROM large")],
            1 => vec![Message::query(begun)],
            2 => vec![
                Message::query("BEGIN; COPY transfers FROM STDIN"),
                Message::new(b'd', b"1\t1\t"),
            ],
            3 => vec![
                Message::parse("", "UPDATE accounts SET balance = balance + 1 WHERE id = 2", &[]),
                Message::new(b'B', b"\0\0\0\0\0\0\0\0"),
                Message::execute("", 0),
                Message::new(b'H', &[]),
            ],
            _ => vec![Message::query("LISTEN nothing; CREATE TEMP TABLE mine (a int)")],
        };
        let _ = client.send(&said).await;
        tokio::time::sleep(Duration::from_millis(random(30))).await;
        if random(2) == 0 {
            client.close_writing().await;
            // What was asked for is answered, and the connection closed.
            in_time(client.until_closed()).await.expect("an end");
        }
    }
}

/// Statements that are cancelled at some time, in time or not.
async fn cancels(url: String, end: Instant) {
    let mut client = connect(&url).await;
    while Instant::now() < end {
        let token = client.cancel_token();
        let sql = if random(2) == 0 {
            "SELECT pg_sleep(0.02)".to_owned()
        } else {
            format!("SELECT count(*) FROM large WHERE i > {}", random(LARGE as u64))
        };
        let cancel = async {
            tokio::time::sleep(Duration::from_micros(random(20_000))).await;
            token.cancel_query(NoTls).await
        };
        let (answer, _) = tokio::join!(client.simple_query(&sql), cancel);
        match answer {
            Err(error) if error.code() != Some(&SqlState::QUERY_CANCELED) => {
                expect_broken(&error);
                client = connect(&url).await;
            }
            _ => {}
        }
    }
}

/// Ends server connections, one at a time.
async fn terminates(world: Arc<World>, end: Instant) {
    let behind = world.behind().await;
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1";
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(100 + random(300))).await;
        column(&behind, kill).await;
    }
}

/// The server connections come to rest: not too many, and none with anything left on it.
async fn is_at_rest(behind: &Client) -> Result<(), String> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let row = behind.query_one(sql, &[]).await.expect("a row");
    let (all, busy): (i64, i64) = (row.get(0), row.get(1));
    if busy == 0 && all <= POOL as i64 {
        Ok(())
    } else {
        Err(format!("{busy} of {all} server connections aren't idle"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_hangs_or_is_lost() {
    let setup = Setup::default().main(&format!("pool_size = {POOL}"));
    let Some(world) = setup.start().await else { return };
    let world = Arc::new(world);
    world.gateway().await.batch_execute(TABLES).await.expect("tables");
    let end = end();
    let mut others = JoinSet::new();
    others.spawn(terminates(world.clone(), end));
    for _ in 0..8 {
        others.spawn(reads(world.url(), end));
    }
    for _ in 0..2 {
        others.spawn(slow_reads(world.clone(), end));
        others.spawn(leavers(world.clone(), end));
        others.spawn(cancels(world.url(), end));
    }
    let mut clients = JoinSet::new();
    for worker in 0..24 {
        clients.spawn(transfers(world.url(), worker, end));
    }
    tokio::time::sleep_until(end.into()).await;
    let mut outcomes: Vec<(i64, Outcome)> =
        in_time(clients.join_all()).await.into_iter().flatten().collect();
    in_time(others.join_all()).await;

    let behind = world.behind().await;
    let rest = async {
        while let Err(problem) = is_at_rest(&behind).await {
            eprintln!("{problem}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    in_time(rest).await;

    // What was told to be done is done, what was told to have failed isn't, and the accounts are
    // what the transfers make of them.
    let kept: Vec<i64> = column(&behind, "SELECT id FROM transfers ORDER BY id")
        .await
        .iter()
        .map(|id| id.parse().expect("a number"))
        .collect();
    outcomes.sort_unstable_by_key(|(id, _)| *id);
    for (id, outcome) in &outcomes {
        let is_kept = kept.binary_search(id).is_ok();
        assert!(
            *outcome == Outcome::Unknown || is_kept == (*outcome == Outcome::Done),
            "transfer {id}: {outcome:?}, but kept: {is_kept}"
        );
    }
    let count = |wanted| outcomes.iter().filter(|(_, outcome)| *outcome == wanted).count();
    eprintln!(
        "{} transfers done, {} undone, {} unknown",
        count(Outcome::Done),
        count(Outcome::Undone),
        count(Outcome::Unknown)
    );
    assert!(count(Outcome::Done) > 0);
    let wrong = "SELECT a.id FROM accounts a
                 WHERE a.balance <> 1000 + (SELECT coalesce(sum(amount), 0) FROM transfers WHERE target = a.id)
                                         - (SELECT coalesce(sum(amount), 0) FROM transfers WHERE source = a.id)";
    assert_eq!(column(&behind, wrong).await, [""; 0]);

    // It serves as before, with all of its connections but those that reads share.
    let mut sessions = Vec::new();
    for _ in 0..POOL - SHARED {
        let client = in_time(try_connect(&world.url())).await.expect("a session");
        sessions.push(client);
    }
    let sum = in_time(column(&sessions[0], "SELECT sum(balance) FROM accounts")).await;
    assert_eq!(sum, [(EACH * i64::from(ACCOUNTS)).to_string()]);
    for client in &sessions {
        in_time(client.batch_execute("BEGIN")).await.expect("BEGIN");
    }
    for client in &sessions {
        in_time(client.batch_execute("COMMIT")).await.expect("COMMIT");
    }
}
