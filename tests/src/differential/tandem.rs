//! Two clients whose blocks' steps interleave at random: who waits for whom, and what each is told,
//! is the same in PostgreSQL.
//!
//! While one waits, the other only reads or ends, so that there is no circle.

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio_postgres::Client;

use super::writer::Writer;
use crate::runner::{Outcome, Runner};
use crate::{Home, Setup, World, environment, shrink};

/// Steps that share rows and sessions.
const LENGTH: usize = 60;
/// More differences than this are told another time.
const MOST: usize = 4;
const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS kv (k int PRIMARY KEY, n int NOT NULL CHECK (n < 1000), c text)",
    "CREATE TABLE IF NOT EXISTS rel (k int PRIMARY KEY, n int NOT NULL)",
];
const ROWS: [&str; 4] = [
    "DELETE FROM kv",
    "DELETE FROM rel",
    "INSERT INTO kv VALUES (1, 0, 'a'), (2, 0, 'b'), (3, 0, 'c')",
    "INSERT INTO rel VALUES (1, 0), (2, 0), (3, 0)",
];

/// A step of one of the two clients.
#[derive(Debug, Clone)]
struct Step {
    who: usize,
    sql: String,
    /// It takes no lock that a block may have.
    is_harmless: bool,
}

/// Runs sequences of two clients' steps with the table in a home, until so many steps were taken;
/// panics with the differences.
///
/// `FLYWHEEL_TEST_SEED` is the first sequence's seed, `FLYWHEEL_TEST_STATEMENTS` the number of
/// steps.
pub async fn check_tandem(home: Home) {
    let setup = Setup::default().main("pool_size = 20").table_with(
        "public.kv",
        home,
        &["allow_scan = true"],
    );
    let Some(world) = setup.start().await else { return };
    if !home.is_available(world.servers()) {
        eprintln!("{} isn't there to test with", home.name());
        return;
    }
    let seed = environment::number("FLYWHEEL_TEST_SEED", 1);
    let count = environment::number("FLYWHEEL_TEST_STATEMENTS", 240);
    let mut differences = Vec::new();
    for seed in seed..seed + count.div_ceil(LENGTH as u64) {
        let steps = steps(seed);
        let Some((at, first)) = differ(&world, &steps).await else { continue };
        let fewer = shrink::shortest(steps[..=at].to_vec(), async |steps| {
            differ(&world, steps).await.is_some()
        })
        .await;
        let last = differ(&world, &fewer).await.map_or(first, |(_, last)| last);
        let lines: Vec<_> =
            fewer.iter().map(|step| format!("{}: {}", step.who, step.sql)).collect();
        differences.push(format!(
            "== seed {seed}, in {}\n{}\n-- {last}",
            home.name(),
            lines.join("\n")
        ));
        if differences.len() == MOST {
            break;
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn steps(seed: u64) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut writer = Writer::new(&mut random);
    let mut is_open = [false; 2];
    let mut steps = Vec::new();
    while steps.len() < LENGTH {
        let who = writer.number(0, 1);
        let (sql, is_harmless) = match (is_open[who], writer.number(0, 19)) {
            (false, 0..14) => ("BEGIN".to_owned(), true),
            (true, 0 | 1) => (writer.pick(&["COMMIT", "COMMIT", "ROLLBACK"]).to_owned(), true),
            (true, 2 | 3) => (writer.pick(&["SAVEPOINT p", "SAVEPOINT q"]).to_owned(), true),
            (true, 4) => (writer.pick(&["ROLLBACK TO p", "ROLLBACK TO q"]).to_owned(), true),
            (true, 5) => (writer.pick(&["RELEASE p", "RELEASE q"]).to_owned(), true),
            (_, 6..9) => (read(&mut writer), true),
            (_, 9..12) => (lock(&mut writer), false),
            _ => (write(&mut writer), false),
        };
        match &*sql {
            "BEGIN" => is_open[who] = true,
            "COMMIT" | "ROLLBACK" => is_open[who] = false,
            _ => {}
        }
        steps.push(Step { who, sql, is_harmless });
    }
    steps
}

fn key(writer: &mut Writer<'_>) -> &'static str {
    writer.pick(&["1", "1", "1", "2", "2", "3", "4", "5"])
}

fn filter(writer: &mut Writer<'_>, table: &str) -> String {
    let key = key(writer);
    match writer.number(0, 7) {
        0 => format!("{table}.k = {key} AND {table}.n < 2"),
        1 => format!("{table}.k = {key} AND {table}.n = 0"),
        2 => format!("{table}.n > 1"),
        3 => format!("{table}.k IN (1, {key})"),
        _ => format!("{table}.k = {key}"),
    }
}

fn read(writer: &mut Writer<'_>) -> String {
    let filter = filter(writer, "kv");
    match writer.number(0, 4) {
        0 => "SELECT k, n, c FROM kv".to_owned(),
        1 => format!("SELECT kv.k, kv.n, rel.n FROM kv JOIN rel USING (k) WHERE {filter}"),
        2 => "SELECT count(*), sum(n) FROM kv".to_owned(),
        3 => "SELECT k, n FROM rel".to_owned(),
        _ => format!("SELECT k, n, c FROM kv WHERE {filter}"),
    }
}

/// A locking read, by keys that each relation in it has: Flywheel locks rows that a condition of
/// another kind leaves out, too.
fn lock(writer: &mut Writer<'_>) -> String {
    let key = writer.pick(&["1", "1", "2", "3"]);
    let filter =
        if writer.chance(70) { format!("kv.k = {key}") } else { format!("kv.k IN (1, {key})") };
    let how = writer.pick(&["FOR UPDATE", "FOR UPDATE", "FOR NO KEY UPDATE", "FOR SHARE"]);
    let (of, wait) =
        (writer.pick(&["", " OF kv"]), writer.pick(&["", "", " NOWAIT", " SKIP LOCKED"]));
    match writer.number(0, 4) {
        0 => {
            format!("SELECT kv.k, kv.n FROM kv JOIN rel USING (k) WHERE {filter} {how} OF kv{wait}")
        }
        1 => format!("SELECT n FROM rel WHERE k IN (SELECT k FROM kv WHERE {filter} {how}{wait})"),
        2 => format!(
            "WITH l AS (SELECT k, n FROM kv WHERE {filter} {how}{wait}) SELECT l.n FROM l JOIN rel USING (k)"
        ),
        _ => format!("SELECT k, n FROM kv WHERE {filter} {how}{of}{wait}"),
    }
}

fn write(writer: &mut Writer<'_>) -> String {
    let (key, filter) = (key(writer), filter(writer, "kv"));
    match writer.number(0, 15) {
        0 | 1 => format!("INSERT INTO kv VALUES ({key}, 1, 'new')"),
        2 => format!("INSERT INTO kv VALUES ({key}, 1, 'new') ON CONFLICT DO NOTHING"),
        3 => format!(
            "INSERT INTO kv VALUES ({key}, 1, 'up') ON CONFLICT (k) DO UPDATE SET n = kv.n + 1"
        ),
        4 => format!(
            "INSERT INTO kv SELECT k + 1, n, 'copy' FROM rel WHERE k = {key} ON CONFLICT DO NOTHING"
        ),
        5 | 6 => format!("DELETE FROM kv WHERE {filter}"),
        7 => format!("DELETE FROM kv USING rel WHERE rel.k = kv.k AND {filter} RETURNING kv.n"),
        8 => format!("UPDATE kv SET n = kv.n + rel.n + 1 FROM rel WHERE rel.k = kv.k AND {filter}"),
        9 => format!("UPDATE kv SET n = n * 2 + length(c) WHERE {filter} RETURNING k, n"),
        10 => format!("UPDATE rel SET n = n + 1 WHERE k = {key}"),
        11 => format!("UPDATE kv SET k = k + 1 WHERE k = {key}"),
        12 => format!("UPDATE kv SET n = 2000 WHERE {filter}"),
        _ => format!("UPDATE kv SET n = n + 1 WHERE {filter}"),
    }
}

/// One of the two servers.
struct Side {
    clients: [Runner; 2],
    behind: Client,
}

impl Side {
    async fn flywheel(world: &World) -> Self {
        Self::of([world.gateway().await, world.gateway().await], world.behind().await).await
    }

    async fn postgres(world: &World) -> Self {
        Self::of([world.oracle().await, world.oracle().await], world.oracle().await).await
    }

    async fn of([one, other]: [Client; 2], behind: Client) -> Self {
        for sql in TABLES.iter().chain(&ROWS) {
            one.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
        Self { clients: [Runner::Free(one), Runner::Free(other)], behind }
    }

    fn waits(&self, who: usize) -> bool {
        self.clients[who].is_busy()
    }

    /// What a step brings, and what it brings the other client that has waited.
    async fn step(&mut self, step: &Step) -> Vec<Outcome> {
        let other = 1 - step.who;
        let before = usize::from(self.waits(other));
        let mut outcomes = vec![self.clients[step.who].step(&step.sql, &self.behind, before).await];
        if self.clients[other].is_busy() {
            outcomes.push(self.clients[other].look(&self.behind).await);
        }
        outcomes
    }
}

/// The first step after which the two servers differ, and how.
async fn differ(world: &World, steps: &[Step]) -> Option<(usize, String)> {
    let (mut flywheel, mut postgres) = (Side::flywheel(world).await, Side::postgres(world).await);
    let end = |who| Step { who, sql: "ROLLBACK".to_owned(), is_harmless: true };
    let all = ["SELECT * FROM kv", "SELECT * FROM rel"];
    let all = all.map(|sql| Step { who: 0, sql: sql.to_owned(), is_harmless: true });
    let ends = [end(0), end(1), end(0)].into_iter().chain(all);
    for (at, step) in steps.iter().cloned().chain(ends).enumerate() {
        let other = 1 - step.who;
        if postgres.waits(step.who) || (postgres.waits(other) && !step.is_harmless) {
            continue;
        }
        let (expected, got) = (postgres.step(&step).await, flywheel.step(&step).await);
        if step.sql.starts_with("INSERT") && got[0] == Outcome::Waits && expected[0] != got[0] {
            // It waits for a row of its key that is only locked, as the guide says.
            return None;
        }
        if expected != got {
            let text = format!("{}: {}\n  {got:?}\n  not {expected:?}", step.who, step.sql);
            return Some((at.min(steps.len() - 1), text));
        }
    }
    None
}
