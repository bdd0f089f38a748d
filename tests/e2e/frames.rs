//! The scripts of `tests/frames` and sequences of messages made at random: plain PostgreSQL and Flywheel give the same answers.

use flywheel_tests::frames::{Frame, Pair, cases, random};
use flywheel_tests::{Home, Setup, World};

/// Few connections, so that what a session leaves in one is met by the next.
const FEW: &str = "pool_size = 2";

/// One gateway that only relays, and one that looks after store tables, none of which the scripts name.
fn setups() -> [Setup; 2] {
    let relay = Setup::default().main(FEW);
    [relay.clone(), relay.table("public.elsewhere", Home::Memory)]
}

async fn pair(world: &World) -> Pair {
    Pair {
        postgres: world.raw_oracle().await,
        flywheel: world.raw().await,
    }
}

async fn same(script: &str) {
    let mut differences = Vec::new();
    for (setup, name) in setups().iter().zip(["relay", "with store tables"]) {
        let Some(world) = setup.start().await else { return };
        for case in cases(script) {
            if let Some(difference) = pair(&world).await.differ(&case.frames).await {
                differences.push(format!("== {} ({name})\n{difference}", case.title));
            }
        }
    }
    assert!(differences.is_empty(), "P: PostgreSQL, F: Flywheel\n{}", differences.join("\n"));
}

macro_rules! scripts {
    ($($name:ident),*) => {
        $(#[tokio::test]
        async fn $name() {
            same(include_str!(concat!("../frames/", stringify!($name), ".frames"))).await;
        })*
    };
}

scripts![batches, copy, portals, settings, statements];

/// How many sequences at once, each with a table of its own.
const WORKERS: u64 = 4;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |value| value.parse().expect("a number"))
}

/// Leaves out of a sequence what the difference doesn't need.
async fn shortest(world: &World, mut frames: Vec<Frame>) -> Vec<Frame> {
    // What hangs takes long each time.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let mut at = frames.len();
    while at > 1 && std::time::Instant::now() < until {
        at -= 1;
        let mut fewer = frames.clone();
        fewer.remove(at);
        let differs = pair(world).await.differ_much(&fewer).await.is_some();
        if differs {
            frames = fewer;
        }
    }
    frames
}

/// `FLYWHEEL_TEST_SEED` is the first sequence, `FLYWHEEL_TEST_SEQUENCES` how many there are.
async fn random_sequences(setup: &Setup, is_beside_stores: bool) {
    let Some(world) = setup.start().await else { return };
    let world = std::sync::Arc::new(world);
    let (seed, count) = (number("FLYWHEEL_TEST_SEED", 1), number("FLYWHEEL_TEST_SEQUENCES", 300));
    let mut workers = Vec::new();
    for worker in 0..WORKERS {
        let world = world.clone();
        workers.push(tokio::spawn(async move {
            let table = format!("random_{worker}");
            for client in [world.gateway().await, world.oracle().await] {
                client.batch_execute(&random::table(&table)).await.expect("a table");
            }
            for seed in (seed..seed + count).filter(|seed| seed % WORKERS == worker) {
                let mut frames = random::sequence(seed, &table);
                if is_beside_stores {
                    frames = random::with_whole_batches(frames);
                }
                // The clients go before others are made.
                let first = pair(&world).await.differ_much(&frames).await;
                if let Some(first) = first {
                    let frames = shortest(&world, frames).await;
                    let lines: String = frames.iter().map(|frame| format!("{frame}\n")).collect();
                    let difference = pair(&world)
                        .await
                        .differ_much(&frames)
                        .await
                        .map(|difference| difference.to_string());
                    return Some(format!(
                        "== seed {seed}\n{lines}--\n{}",
                        difference.unwrap_or_else(|| format!("not always:\n{first}"))
                    ));
                }
            }
            None
        }));
    }
    let mut differences = Vec::new();
    for worker in workers {
        differences.extend(worker.await.expect("a worker"));
    }
    assert!(differences.is_empty(), "P: PostgreSQL, F: Flywheel\n{}", differences.join("\n"));
}

#[tokio::test]
async fn random_sequences_on_relational_tables() {
    random_sequences(&setups()[0], false).await;
}

#[tokio::test]
async fn random_sequences_beside_store_tables() {
    random_sequences(&setups()[1], true).await;
}
