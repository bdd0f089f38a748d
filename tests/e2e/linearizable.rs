//! Clients of two gateways at once on single rows of each store: one order of what they did
//! explains what they were told. And transfers between PostgreSQL and a store, of which nothing is
//! lost.

use std::time::{Duration, Instant};

use flywheel_tests::environment::number;
use flywheel_tests::history::{Event, Operation, is_linearizable};
use flywheel_tests::world::{Process, column, connect};
use flywheel_tests::{Home, Setup, World};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

/// Clients of one row, and what each of them asks of it.
const CLIENTS: u64 = 8;
const EACH: usize = 14;

#[test]
fn a_history_that_no_order_explains_is_known() {
    let start = Instant::now();
    let event = |from, to, operation| Event {
        asked: start + Duration::from_millis(from),
        answered: start + Duration::from_millis(to),
        operation,
    };
    let put = event(0, 10, Operation::Put(1));
    let during =
        [put, event(1, 2, Operation::Read(Some(1))), event(3, 4, Operation::Read(Some(1)))];
    assert!(is_linearizable(&during));
    // Back to what it was before.
    let back = [put, event(1, 2, Operation::Read(Some(1))), event(3, 4, Operation::Read(None))];
    assert!(!is_linearizable(&back));
    // Two that see the same number before them.
    let lost = [
        put,
        event(11, 20, Operation::Increment(Some(2))),
        event(12, 20, Operation::Increment(Some(2))),
    ];
    assert!(!is_linearizable(&lost));
    let stale =
        [put, event(11, 12, Operation::Swap(1, 5, true)), event(13, 14, Operation::Read(Some(1)))];
    assert!(!is_linearizable(&stale));
    let both = [
        put,
        event(11, 20, Operation::Swap(1, 5, true)),
        event(12, 20, Operation::Swap(1, 6, true)),
    ];
    assert!(!is_linearizable(&both));
}

/// A gateway and a second one of the same configuration; the memory store is of one gateway only.
async fn gateways(home: Home, setup: Setup) -> Option<(World, Option<Process>)> {
    let world = setup.start().await?;
    if !home.is_available(world.servers()) {
        eprintln!("{} isn't there to test with", home.name());
        return None;
    }
    let second = match home {
        Home::Memory => None,
        _ => Some(Process::start(["--config".as_ref(), world.config().as_os_str()]).await),
    };
    Some((world, second))
}

/// A client of one of the gateways, by turns.
async fn client(world: &World, second: Option<&Process>, turn: u64) -> Client {
    match second {
        Some(second) if turn % 2 == 1 => {
            connect(&format!("postgres://postgres@{}/app", second.address())).await
        }
        _ => world.gateway().await,
    }
}

/// Asks one thing; `None`: nothing was done.
async fn ask(
    client: &Client,
    home: Home,
    key: i64,
    random: &mut StdRng,
) -> Result<Option<Event>, Error> {
    let (value, other) = (random.random_range(0..4_i64), random.random_range(0..4_i64));
    let asked = Instant::now();
    let one = |rows: Vec<tokio_postgres::Row>| rows.first().map(|row| row.get::<_, i64>(0));
    // DynamoDB Local tells several DeleteItems at once that each of them has deleted the item.
    let kinds = if home == Home::DynamoDb { 14 } else { 16 };
    let operation = match random.random_range(0..kinds) {
        0..4 => {
            Operation::Read(one(client.query("SELECT v FROM rows WHERE k = $1", &[&key]).await?))
        }
        // Which PostgreSQL computes.
        4 => Operation::Read(one(client
            .query("SELECT v + 0 FROM rows WHERE k = $1", &[&key])
            .await?)),
        5 => match client.execute("INSERT INTO rows VALUES ($1, $2)", &[&key, &value]).await {
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                Operation::Insert(value, false)
            }
            done => Operation::Insert(value, done? == 1),
        },
        6 => {
            let insert = "INSERT INTO rows VALUES ($1, $2) ON CONFLICT (k) DO NOTHING";
            Operation::Insert(value, client.execute(insert, &[&key, &value]).await? == 1)
        }
        7 => {
            let put =
                "INSERT INTO rows VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = excluded.v";
            client.execute(put, &[&key, &value]).await?;
            Operation::Put(value)
        }
        8 => Operation::Set(
            value,
            client.execute("UPDATE rows SET v = $2 WHERE k = $1", &[&key, &value]).await? == 1,
        ),
        9..12 => {
            let swap = "UPDATE rows SET v = $3 WHERE k = $1 AND v = $2";
            Operation::Swap(value, other, client.execute(swap, &[&key, &value, &other]).await? == 1)
        }
        12..14 => Operation::Increment(one(client
            .query("UPDATE rows SET v = v + 1 WHERE k = $1 RETURNING v", &[&key])
            .await?)),
        14 => Operation::Delete(one(client
            .query("DELETE FROM rows WHERE k = $1 RETURNING v", &[&key])
            .await?)),
        _ => {
            let swapped =
                client.execute("DELETE FROM rows WHERE k = $1 AND v = $2", &[&key, &value]).await?
                    == 1;
            if !swapped {
                return Ok(None);
            }
            Operation::Delete(Some(value))
        }
    };
    Ok(Some(Event { asked, answered: Instant::now(), operation }))
}

async fn rows_are_linearizable(home: Home) {
    let Some((world, second)) = gateways(home, Setup::default().table("public.rows", home)).await
    else {
        return;
    };
    let definition = "CREATE TABLE rows (k bigint PRIMARY KEY, v bigint NOT NULL)";
    world.gateway().await.batch_execute(definition).await.expect("a table");
    let (seed, rounds) = (number("FLYWHEEL_TEST_SEED", 1), number("FLYWHEEL_TEST_ROUNDS", 12));
    let mut clients = Vec::new();
    for turn in 0..CLIENTS {
        clients.push(client(&world, second.as_ref(), turn).await);
    }
    for round in seed..seed + rounds {
        let key = i64::try_from(round).expect("a seed");
        let work = clients.iter().zip(0..).map(|(client, turn)| async move {
            let mut random = StdRng::seed_from_u64(round * CLIENTS + turn);
            let mut events = Vec::new();
            for _ in 0..EACH {
                match ask(client, home, key, &mut random).await {
                    Ok(event) => events.extend(event),
                    // Refused, so that nothing was done.
                    Err(error) if error.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            events
        });
        let mut events = futures_util::future::join_all(work).await.concat();
        events.sort_by_key(|event| event.asked);
        if !is_linearizable(&events) {
            let start = events[0].asked;
            let line = |event: &Event| {
                format!(
                    "{:>8?} – {:>8?} {:?}\n",
                    event.asked - start,
                    event.answered - start,
                    event.operation
                )
            };
            panic!(
                "{}, round {round}: no order explains\n{}",
                home.name(),
                events.iter().map(line).collect::<String>()
            );
        }
    }
}

const ACCOUNTS: i64 = 6;

/// Moves an amount from PostgreSQL to the store or back; whether it was done.
async fn transfer(client: &Client, random: &mut StdRng) -> Result<bool, Error> {
    let (purse, wallet) = (random.random_range(0..ACCOUNTS), random.random_range(0..ACCOUNTS));
    let amount = random.random_range(-9..=9_i64);
    let moved = async {
        client.batch_execute("BEGIN").await?;
        client
            .execute("UPDATE purses SET amount = amount - $2 WHERE id = $1", &[&purse, &amount])
            .await?;
        client
            .execute("UPDATE wallets SET amount = amount + $2 WHERE id = $1", &[&wallet, &amount])
            .await?;
        client.batch_execute("COMMIT").await
    };
    match moved.await {
        Ok(()) => Ok(true),
        Err(error) if error.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE) => {
            client.batch_execute("ROLLBACK").await?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

async fn transfers_keep_the_sum(home: Home) {
    let Some((world, second)) =
        gateways(home, Setup::default().table("public.wallets", home)).await
    else {
        return;
    };
    let first = world.gateway().await;
    let tables = "CREATE TABLE purses (id bigint PRIMARY KEY, amount bigint NOT NULL); CREATE TABLE wallets (id bigint PRIMARY KEY, amount bigint NOT NULL)";
    for table in tables.split("; ") {
        first.batch_execute(table).await.expect("a table");
    }
    for table in ["purses", "wallets"] {
        let fill = format!(
            "INSERT INTO {table} SELECT i, 100 FROM generate_series(0, {}) i",
            ACCOUNTS - 1
        );
        first.batch_execute(&fill).await.expect("rows");
    }
    let (seed, rounds) = (number("FLYWHEEL_TEST_SEED", 1), number("FLYWHEEL_TEST_ROUNDS", 12));
    let mut clients = Vec::new();
    for turn in 0..CLIENTS {
        clients.push(client(&world, second.as_ref(), turn).await);
    }
    let work = clients.iter().zip(0..).map(|(client, turn)| async move {
        let mut random = StdRng::seed_from_u64(seed * CLIENTS + turn);
        let mut done = 0;
        for _ in 0..rounds {
            done += usize::from(transfer(client, &mut random).await.expect("a transfer"));
        }
        done
    });
    let done: usize = futures_util::future::join_all(work).await.iter().sum();
    assert!(done > 0, "none of the transfers came through");
    let sum = "SELECT (SELECT sum(amount) FROM purses) + (SELECT sum(amount) FROM wallets)";
    assert_eq!(column(&first, sum).await, [(ACCOUNTS * 200).to_string()], "after {done} transfers");
}

macro_rules! in_homes {
    ($($name:ident: $home:ident $what:literal,)*) => {
        $(mod $name {
            use super::*;

            #[tokio::test]
            async fn rows() {
                rows_are_linearizable(Home::$home).await;
            }

            #[tokio::test]
            async fn transfers() {
                transfers_keep_the_sum(Home::$home).await;
            }
        })*
    };
}

flywheel_tests::with_homes!(in_homes);
