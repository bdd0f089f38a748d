//! The scripts of `tests/frames` and sequences of messages made at random: plain PostgreSQL and
//! Flywheel give the same answers.

use flywheel_tests::environment::number;
use flywheel_tests::frames::{Pair, cases, random};
use flywheel_tests::{Home, Setup, World, shrink};

/// Few connections, so that what a session leaves in one is met by the next.
const FEW: &str = "pool_size = 2";

/// One gateway that only relays, and one that looks after store tables, none of which the scripts
/// name.
fn setups() -> [Setup; 2] {
    let relay = Setup::default().main(FEW);
    [relay.clone(), relay.table("public.elsewhere", Home::Memory)]
}

async fn pair(world: &World) -> Pair {
    Pair { postgres: world.raw_oracle().await, flywheel: world.raw().await }
}

async fn same(script: &str) {
    let setups = setups().into_iter().zip(["relay", "with store tables"]);
    same_in(setups, script).await;
}

async fn same_in<N: std::fmt::Display>(setups: impl IntoIterator<Item = (Setup, N)>, script: &str) {
    let mut differences = Vec::new();
    for (setup, name) in setups {
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

scripts![batches, copy, malformed, names, portals, settings, statements];

/// The table that the script names lives in a store.
#[tokio::test]
async fn names_of_statements_on_store_tables() {
    let homed = |home| {
        (
            Setup::default().main(FEW).table_with("public.named", home, &["allow_scan = true"]),
            format!("{home:?}"),
        )
    };
    same_in(Home::QUICK.map(homed), include_str!("../frames/names.frames")).await;
}

/// The table that the script names lives in a store.
#[tokio::test]
async fn texts_that_name_store_tables() {
    let homed = |home| {
        (
            Setup::default().main(FEW).table_with("public.named", home, &["allow_scan = true"]),
            format!("{home:?}"),
        )
    };
    same_in(Home::QUICK.map(homed), include_str!("../frames/texts.frames")).await;
}

/// How many sequences at once, each with a table of its own.
const WORKERS: u64 = 4;

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
                    return Some((seed, frames, first));
                }
            }
            None
        }));
    }
    let mut differences = Vec::new();
    for worker in workers {
        let Some((seed, frames, first)) = worker.await.expect("a worker") else {
            continue;
        };
        let differs = async |fewer: &[_]| pair(&world).await.differ_much(fewer).await;
        let frames = shrink::shortest(frames, async |fewer| differs(fewer).await.is_some()).await;
        let lines: String = frames.iter().map(|frame| format!("{frame}\n")).collect();
        let difference = differs(&frames).await.map(|difference| difference.to_string());
        differences.push(format!(
            "== seed {seed}\n{lines}--\n{}",
            difference.unwrap_or_else(|| format!("not always:\n{first}"))
        ));
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
