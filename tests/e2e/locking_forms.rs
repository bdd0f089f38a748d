//! Every form by which a statement locks rows of a store table beside other relations, while
//! another block has a row: who waits, who doesn't, and what comes then, beside PostgreSQL.

use flywheel_tests::runner::{Outcome, Runner};
use flywheel_tests::{Home, Setup, World};
use tokio_postgres::Client;

/// `LOCK`: how rows are locked. `HOW`: NOWAIT, SKIP LOCKED or nothing.
const FORMS: [&str; 34] = [
    "SELECT kv.v, rel.note FROM kv JOIN rel USING (id) WHERE id = 1 LOCK OF kv HOW",
    "SELECT kv.v, rel.note FROM kv JOIN rel USING (id) WHERE kv.id IN (1, 2) LOCK OF kv HOW",
    "SELECT k.v, rel.note FROM rel JOIN kv AS k USING (id) WHERE rel.note = 'one' LOCK OF k HOW",
    "SELECT kv.v, rel.note FROM kv JOIN rel USING (id) WHERE id = 1 LOCK HOW",
    "SELECT kv.v, rel.note FROM kv, rel WHERE kv.id = rel.id AND kv.v = 0 LOCK OF kv HOW",
    "SELECT kv.v, rel.note FROM kv JOIN rel USING (id) WHERE id = 1 LOCK OF rel HOW",
    "SELECT kv.v, rel.note FROM kv LEFT JOIN rel USING (id) WHERE kv.id = 1 LOCK OF kv HOW",
    "SELECT kv.v, rel.note FROM rel LEFT JOIN kv USING (id) WHERE rel.id = 1 LOCK OF kv HOW",
    "SELECT kv.v, o.v FROM kv JOIN other o USING (id) WHERE id = 1 LOCK OF o HOW",
    "SELECT kv.v, o.v FROM kv JOIN other o USING (id) WHERE id = 1 LOCK OF kv HOW",
    "SELECT kv.v, o.v FROM kv JOIN other o USING (id) WHERE id = 1 LOCK OF o LOCK OF kv HOW",
    "SELECT v, note FROM (SELECT id, v FROM kv WHERE id = 1 LOCK HOW) s JOIN rel USING (id)",
    "SELECT v, note FROM (SELECT id, v FROM kv WHERE id = 1) s JOIN rel USING (id) LOCK OF s HOW",
    "SELECT v, note FROM (SELECT id, v FROM kv WHERE id = 1) s JOIN rel USING (id) LOCK OF rel HOW",
    "SELECT v, note FROM (SELECT kv.id, v, o.n FROM kv JOIN LATERAL (SELECT 1 AS n) o ON true \
     WHERE kv.id = 1) s JOIN rel USING (id) LOCK HOW",
    "WITH s AS (SELECT id, v FROM kv WHERE id = 1 LOCK HOW) SELECT v, note FROM s JOIN rel USING (id)",
    "WITH s AS (SELECT id, v FROM kv WHERE id = 1) SELECT v, note FROM s JOIN rel USING (id) LOCK HOW",
    "WITH s AS (SELECT id, v FROM kv WHERE id = 1) SELECT v FROM s LOCK HOW",
    "SELECT note FROM rel WHERE id IN (SELECT id FROM kv WHERE id = 1 LOCK HOW)",
    "SELECT note FROM rel WHERE id IN (SELECT id FROM kv WHERE id = 1) LOCK HOW",
    "SELECT note, (SELECT v FROM kv WHERE kv.id = rel.id) FROM rel WHERE id = 1 LOCK HOW",
    "SELECT note, (SELECT v FROM kv WHERE kv.id = 1 LOCK HOW) FROM rel WHERE id = 1",
    "SELECT note FROM rel WHERE EXISTS (SELECT FROM kv WHERE kv.id = 1 AND rel.id = 1 LOCK HOW)",
    "SELECT kv.v FROM kv WHERE kv.id = 1 AND EXISTS (SELECT FROM rel WHERE rel.id = kv.id) LOCK HOW",
    "SELECT v, note FROM seen JOIN rel USING (id) WHERE id = 1 LOCK OF seen HOW",
    "SELECT v, note FROM seen JOIN rel USING (id) WHERE id = 1 LOCK OF rel HOW",
    "SELECT v, note FROM both_of WHERE id = 1 LOCK HOW",
    "SELECT v FROM held WHERE id = 1",
    "(SELECT v FROM kv WHERE id = 1 LOCK HOW) UNION ALL SELECT id FROM rel WHERE id = 2",
    "SELECT v FROM (SELECT v, id FROM kv UNION ALL SELECT id, id FROM rel) u WHERE id = 1 LOCK HOW",
    "SELECT kv.v FROM (kv JOIN rel USING (id)) WHERE kv.id = 1 LOCK OF kv HOW",
    "SELECT kv.v FROM rel kv JOIN (SELECT v, id FROM kv WHERE id = 1) s USING (id) LOCK OF kv HOW",
    "INSERT INTO rel (id, note) SELECT id + 100, 'v' || v FROM kv WHERE id = 1 LOCK HOW",
    "UPDATE rel SET note = 'kv' || s.v FROM (SELECT id, v FROM kv WHERE id = 1 LOCK HOW) s \
     WHERE rel.id = s.id RETURNING note",
];

const TABLES: &str = "CREATE TABLE kv (id int PRIMARY KEY, v int NOT NULL); \
     CREATE TABLE other (id int PRIMARY KEY, v int NOT NULL); \
     CREATE TABLE rel (id int PRIMARY KEY, note text); \
     CREATE VIEW seen AS SELECT id, v FROM kv; \
     CREATE VIEW both_of AS SELECT kv.id, kv.v, rel.note FROM kv JOIN rel USING (id); \
     CREATE VIEW held AS SELECT id, v FROM kv FOR UPDATE";
const ROWS: &str = "DELETE FROM kv; DELETE FROM other; DELETE FROM rel; \
     INSERT INTO kv VALUES (1, 0), (2, 0), (3, 0); \
     INSERT INTO other VALUES (1, 10), (2, 20); \
     INSERT INTO rel VALUES (1, 'one'), (2, 'two')";

/// One of the two servers.
struct Side {
    one: Runner,
    two: Runner,
    behind: Client,
}

impl Side {
    async fn of(world: &World, home: Option<Home>) -> Self {
        let client = async || match home {
            Some(_) => world.gateway().await,
            None => world.oracle().await,
        };
        let first = client().await;
        first.batch_execute(TABLES).await.expect("tables");
        let behind = if home.is_some() { world.behind().await } else { world.oracle().await };
        Self { one: Runner::Free(first), two: Runner::Free(client().await), behind }
    }

    /// A block changes a row; a locking statement comes behind `begin`; the first block ends.
    async fn play(&mut self, (hold, begin, lock, end): Meeting<'_>) -> Vec<Outcome> {
        let Self { one, two, behind } = self;
        let mut outcomes = Vec::new();
        for sql in [ROWS, "BEGIN", hold] {
            let outcome = one.step(sql, behind, 0).await;
            assert!(matches!(outcome, Outcome::Rows(_)), "{sql}: {outcome:?}");
        }
        two.step(begin, behind, 0).await;
        outcomes.push(two.step(lock, behind, 0).await);
        if begin == IMPATIENT && two.is_busy() {
            // However long a look takes.
            outcomes = vec![two.end().await];
        }
        one.step(end, behind, usize::from(two.is_busy())).await;
        if two.is_busy() {
            outcomes.push(two.end().await);
        }
        two.step("ROLLBACK", behind, 0).await;
        outcomes
    }
}

/// What one block does, how the other begins, what it locks, and how the first ends.
type Meeting<'m> = (&'m str, &'m str, &'m str, &'m str);

/// Doesn't wait long.
const IMPATIENT: &str = "BEGIN; SET LOCAL lock_timeout = '10ms'";

async fn world(home: Home) -> Option<World> {
    let setup = Setup::default()
        .main("pool_size = 20")
        .table_with("public.kv", home, &["allow_scan = true"])
        .table_with("public.other", home, &["allow_scan = true"]);
    let world = setup.start().await?;
    home.is_available(world.servers()).then_some(world)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_whom() {
    let update = "UPDATE kv SET v = v + 1 WHERE id = 1";
    let mut wrong = Vec::new();
    for home in [Home::Redis, Home::Dynoxide, Home::Memory] {
        let Some(world) = world(home).await else { continue };
        let mut flywheel = Side::of(&world, Some(home)).await;
        let mut postgres = Side::of(&world, None).await;
        for form in FORMS {
            for (how, lock, hold, begin, end) in [
                ("", "FOR SHARE", update, "BEGIN", "COMMIT"),
                ("", "FOR UPDATE", update, "BEGIN", "ROLLBACK"),
                ("", "FOR NO KEY UPDATE", "DELETE FROM kv WHERE id = 1", "BEGIN", "COMMIT"),
                ("", "FOR UPDATE", "SELECT v FROM kv WHERE id = 1 FOR SHARE", "BEGIN", "COMMIT"),
                ("", "FOR SHARE", "SELECT v FROM kv WHERE id = 1 FOR KEY SHARE", "BEGIN", "COMMIT"),
                ("", "FOR UPDATE", update, "SELECT", "COMMIT"),
                ("", "FOR KEY SHARE", "DELETE FROM kv WHERE id = 1", IMPATIENT, "COMMIT"),
                ("NOWAIT", "FOR SHARE", update, "BEGIN", "COMMIT"),
                ("NOWAIT", "FOR UPDATE", update, "SELECT", "COMMIT"),
                ("SKIP LOCKED", "FOR UPDATE", update, "BEGIN", "COMMIT"),
                ("SKIP LOCKED", "FOR SHARE", update, "SELECT", "COMMIT"),
            ] {
                let text = form.replace("LOCK", lock).replace("HOW", how);
                let meeting = (hold, begin, &*text, end);
                let expected = postgres.play(meeting).await;
                let got = flywheel.play(meeting).await;
                if got != expected {
                    wrong.push(format!(
                        "{}: {meeting:?}\n  {got:?}\n  not {expected:?}",
                        home.name()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n"));
}
