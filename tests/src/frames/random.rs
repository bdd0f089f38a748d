//! Sequences of messages made at random, of few names and tables so that they meet.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::Frame;

/// Statements of the client's own names are prepared by protocol, those of SQL's by PREPARE.
const NAMES: &[&str] = &["\"\"", "\"\"", "a", "b"];
const KNOWN: &[&str] = &["\"\"", "\"\"", "a", "a", "b", "x"];
const PORTALS: &[&str] = &["\"\"", "\"\"", "\"\"", "p", "q", "c"];

const STATEMENTS: &[&str] = &[
    "SELECT 1",
    "SELECT i FROM generate_series(1, 5) i",
    "SELECT a, b FROM TABLE ORDER BY a",
    "SELECT b FROM TABLE WHERE a = 2",
    "SELECT count(*) FROM TABLE",
    "INSERT INTO TABLE VALUES (3, 'three')",
    "INSERT INTO TABLE VALUES (4, 'four') RETURNING a, b",
    "INSERT INTO TABLE SELECT i, 'many' FROM generate_series(10, 13) i RETURNING a",
    "UPDATE TABLE SET b = b || '!' WHERE a = 2",
    "DELETE FROM TABLE WHERE a = 3",
    "SELECT 1/0",
    "SELECT a / 0 FROM TABLE",
    "SELEC",
    "SELECT nothing FROM TABLE",
    "BEGIN",
    "BEGIN",
    "COMMIT",
    "COMMIT",
    "ROLLBACK",
    "ROLLBACK AND CHAIN",
    "COMMIT AND CHAIN",
    "SAVEPOINT s",
    "SAVEPOINT r",
    "ROLLBACK TO s",
    "ROLLBACK TO r",
    "RELEASE s",
    "SET TimeZone = 'Asia/Tokyo'",
    "SET DateStyle = 'German'",
    "SET LOCAL TimeZone = 'America/New_York'",
    "RESET TimeZone",
    "RESET ALL",
    "SHOW TimeZone",
    "SHOW DateStyle",
    "SELECT timestamptz '2026-01-01 00:00+00', date '2026-01-31'",
    "DISCARD ALL",
    "DISCARD PLANS",
    "DEALLOCATE a",
    "DEALLOCATE x",
    "DEALLOCATE ALL",
    "PREPARE x AS SELECT 7",
    "PREPARE x (int) AS SELECT b FROM TABLE WHERE a = $1",
    "EXECUTE x",
    "EXECUTE x (1)",
    "DECLARE c CURSOR FOR SELECT a FROM TABLE ORDER BY a",
    "DECLARE c CURSOR WITH HOLD FOR SELECT a FROM TABLE ORDER BY a",
    "FETCH 1 FROM c",
    "MOVE 1 FROM c",
    "CLOSE c",
    "CLOSE ALL",
    "LISTEN TABLE",
    "NOTIFY TABLE, 'news'",
    "UNLISTEN *",
    "",
    "COPY (SELECT a, b FROM TABLE ORDER BY a) TO STDOUT",
    "COPY TABLE FROM STDIN",
    "CREATE TEMP TABLE TABLE_temp (a int)",
    "SELECT * FROM TABLE_temp",
    "DROP TABLE IF EXISTS TABLE_temp",
    "DO $$ BEGIN RAISE NOTICE 'hello'; END $$",
    "SELECT set_config('DateStyle', 'German', true)",
    "TRUNCATE TABLE",
    "EXPLAIN (COSTS OFF) SELECT 1",
    "VALUES (1, NULL), (2, 'x')",
    "WITH w AS (DELETE FROM TABLE WHERE a = 1 RETURNING a) SELECT count(*) FROM w",
];

/// Statements that take a parameter, of which Bind may give any number.
const WITH_PARAMETERS: &[&str] = &[
    "SELECT b FROM TABLE WHERE a = $1",
    "INSERT INTO TABLE VALUES ($1, 'bound')",
    "SELECT $1::int + 1",
    "UPDATE TABLE SET b = 'bound' WHERE a = $1 RETURNING a",
];

/// The statements that make the table of a sequence, once; it is filled by each.
pub fn table(name: &str) -> String {
    format!("CREATE TABLE {name} (a int PRIMARY KEY, b text)")
}

/// A sequence: always the same for a seed. `table` is its own, so that sequences may run at the
/// same time.
///
/// # Panics
/// The generator makes a line that can't be read.
pub fn sequence(seed: u64, table: &str) -> Vec<Frame> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut lines = vec![format!(
        "Query TRUNCATE {table}; INSERT INTO {table} VALUES (1, 'one'), (2, 'two'), (5, 'five')"
    )];
    for _ in 0..random.random_range(3..40) {
        message(&mut random, &mut lines);
    }
    without_stale_portals(&mut lines);
    // What is left of it all.
    lines.push("Sync".into());
    for query in [
        "SHOW TimeZone; SHOW DateStyle",
        "COMMIT",
        "SELECT a, b FROM TABLE ORDER BY a",
        "SHOW TimeZone",
        "SHOW DateStyle",
    ] {
        lines.push(format!("Query {query}"));
    }
    let lines = lines.iter().map(|line| {
        line.replace("TRUNCATE TABLE", "TRUNCATE \u{1}").replace("TABLE IF", "\u{2} IF")
    });
    let lines =
        lines.map(|line| line.replace("TEMP TABLE ", "TEMP \u{2} ").replace("TABLE", table));
    let lines = lines.map(|line| line.replace('\u{1}', table).replace('\u{2}', "TABLE"));
    lines.map(|line| Frame::read(&line).expect("a line of a script")).collect()
}

/// PostgreSQL 15 crashes when the unnamed portal that a failed Query has left is executed: it is
/// used only behind its Bind.
fn without_stale_portals(lines: &mut Vec<String>) {
    let mut is_bound = false;
    lines.retain(|line| {
        match line.split(' ').next() {
            Some("Bind") => is_bound |= line.starts_with("Bind \"\""),
            Some("Query" | "Sync") => is_bound = false,
            _ => {}
        }
        is_bound || !(line.starts_with("Execute \"\"") || line.starts_with("Describe P \"\""))
    });
}

/// With a Sync before each message that may end the transaction or depends on whether it is a
/// block. Beside store tables a batch that is flushed and not yet ended is a block, in which such
/// statements give other warnings.
///
/// # Panics
/// Never.
pub fn with_whole_batches(frames: Vec<Frame>) -> Vec<Frame> {
    let sync = Frame::read("Sync").expect("a line of a script");
    let ends = |frame: &Frame| {
        let line = frame.to_string();
        [
            "Query",
            "FunctionCall",
            "BEGIN",
            "COMMIT",
            "ROLLBACK",
            "SAVEPOINT",
            "RELEASE",
            "LOCAL",
            "set_config",
        ]
        .iter()
        .any(|word| line.contains(word))
    };
    let with_sync = |frame: Frame| [ends(&frame).then(|| sync.clone()), Some(frame)];
    frames.into_iter().flat_map(with_sync).flatten().collect()
}

fn pick<'a>(random: &mut StdRng, from: &[&'a str]) -> &'a str {
    from.choose(random).copied().unwrap_or_default()
}

fn message(random: &mut StdRng, lines: &mut Vec<String>) {
    match random.random_range(0..100) {
        0..30 => query(random, lines),
        30..45 => {
            let name = pick(random, NAMES);
            let text = if random.random_bool(0.3) {
                pick(random, WITH_PARAMETERS)
            } else {
                pick(random, STATEMENTS)
            };
            lines.push(format!("Parse {name} {text}"));
            if random.random_bool(0.6) {
                run(random, lines, name);
            }
        }
        45..62 => {
            let name = pick(random, KNOWN);
            run(random, lines, name);
        }
        62..68 => lines.push(if random.random_bool(0.5) {
            format!("Describe S {}", pick(random, KNOWN))
        } else {
            format!("Describe P {}", pick(random, PORTALS))
        }),
        68..74 => {
            lines.push(format!("Execute {} {}", pick(random, PORTALS), random.random_range(0..3)))
        }
        74..80 => lines.push(if random.random_bool(0.5) {
            format!("Close S {}", pick(random, KNOWN))
        } else {
            format!("Close P {}", pick(random, PORTALS))
        }),
        80..84 => lines.push("Flush".into()),
        84..96 => lines.push("Sync".into()),
        96..98 => lines.push("FunctionCall 177 x:00000001 x:00000002 -> 1".into()),
        _ => copy_data(random, lines),
    }
}

fn query(random: &mut StdRng, lines: &mut Vec<String>) {
    let count = if random.random_bool(0.3) { random.random_range(2..5) } else { 1 };
    let mut statements: Vec<_> = (0..count).map(|_| pick(random, STATEMENTS)).collect();
    if count > 1 {
        // Of a text with DEALLOCATE of a statement prepared by protocol Flywheel makes a block, in
        // which some errors are others.
        statements.retain(|statement| *statement != "DEALLOCATE a");
    }
    lines.push(format!("Query {}", statements.join("; ")));
    for _ in statements.iter().filter(|statement| statement.ends_with("STDIN")) {
        copy_data(random, lines);
    }
}

fn run(random: &mut StdRng, lines: &mut Vec<String>, statement: &str) {
    let portal = pick(random, PORTALS);
    let parameters = pick(random, &["", "", "", " 2", " 7", " NULL", " two", " x:00000001"]);
    let formats = pick(random, &["", "", "", " -> 1", " -> 0 1"]);
    lines.push(format!("Bind {portal} {statement}{parameters}{formats}"));
    if random.random_bool(0.3) {
        lines.push(format!("Describe P {portal}"));
    }
    if random.random_bool(0.9) {
        lines.push(format!("Execute {portal} {}", pick(random, &["0", "0", "0", "1", "2"])));
    }
    if random.random_bool(0.4) {
        lines.push("Sync".into());
    }
}

fn copy_data(random: &mut StdRng, lines: &mut Vec<String>) {
    for _ in 0..random.random_range(0..3) {
        lines.push(format!(
            "CopyData '{}\\tcopied\\n'",
            pick(random, &["1", "6", "7", "8", "9", "x"])
        ));
    }
    lines.push(pick(random, &["CopyDone", "CopyDone", "CopyFail not now"]).into());
}
