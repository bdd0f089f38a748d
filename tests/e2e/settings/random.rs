//! Steps made at random, by clients whose server connections are shared and by clients of
//! PostgreSQL: step by step the same rows, tags, errors, status and settings.

use std::collections::BTreeMap;

use flywheel_tests::environment::number;
use flywheel_tests::raw::{Client, Message};
use flywheel_tests::{World, shrink};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::both::{Both, said, statement, world};

/// How many steps a sequence has.
const STEPS: usize = 40;
const CLIENTS: usize = 3;

/// What each of them begins with.
const BEGINNINGS: [&[(&str, &str)]; CLIENTS] = [
    &[],
    &[("options", "-c search_path=apart -c work_mem=5MB -c app.mine=yes"), ("DateStyle", "German")],
    &[("TimeZone", "Asia/Tokyo"), ("application_name", "third")],
];

const STATEMENTS: &[&str] = &[
    "SET DateStyle TO dmy",
    "SET DateStyle TO iso",
    "SET DateStyle = 'German'",
    "SET LOCAL DateStyle TO ymd",
    "RESET DateStyle",
    "SET TimeZone = 'America/Lima'",
    "SET TIME ZONE LOCAL",
    "SET LOCAL TIME ZONE DEFAULT",
    "SET work_mem = '7MB'",
    "SET \"Work_Mem\" = '8MB'",
    "SET LOCAL work_mem = '9MB'",
    "SET LOCAL work_mem TO DEFAULT",
    "SET work_mem FROM CURRENT",
    "RESET work_mem",
    "SET search_path = public",
    "SET search_path = apart, public",
    "SET LOCAL search_path = apart",
    "SET LOCAL search_path TO DEFAULT",
    "RESET search_path",
    "RESET search_path; SELECT count(*) FROM accounts",
    "SET search_path = public; RESET search_path; TABLE accounts",
    "SET app.mine = 'set'",
    "RESET app.mine",
    "RESET ALL",
    "RESET ALL; SELECT count(*) FROM accounts",
    "DISCARD ALL",
    "SET ROLE pg_monitor",
    "SET LOCAL ROLE pg_monitor",
    "RESET ROLE",
    "SELECT set_config('app.tenant', 'one', false)",
    "SELECT set_config('app.tenant', 'two', false), 1",
    "SELECT set_config('app.tenant', 'two', true)",
    "SELECT set_config('work_mem', NULL, false)",
    "SELECT set_config('search_path', NULL, true)",
    "UPDATE pg_settings SET setting = '3s' WHERE name = 'lock_timeout'",
    "SELECT becomes('one')",
    "SELECT becomes('two')",
    "SELECT stable_becomes('three')",
    "SELECT executes('one')",
    "SELECT public.sets_path()",
    "SELECT public.stays()",
    "SELECT public.fails()",
    "SELECT public.tries()",
    "CALL public.proceeds()",
    "DO $$ BEGIN PERFORM set_config('app.tenant', 'done', false); END $$",
    "DO $$ BEGIN UPDATE public.plain SET v = v WHERE k = 1; END $$",
    "TABLE public.sees",
    "INSERT INTO public.defaulted VALUES (1)",
    "INSERT INTO public.triggered VALUES (1)",
    "INSERT INTO public.later VALUES (1)",
    "SELECT 1 / 0",
    "SELECT set_config('app.tenant', 'lost', false), 1 / 0",
    "SET work_mem = '6MB'; SELECT 1 / 0",
    "SET no_such_setting = 1",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "SET default_transaction_read_only = off",
    "LISTEN one",
    "LISTEN two",
    "LISTEN two; SELECT 1 / 0",
    "UNLISTEN one",
    "UNLISTEN *",
    "NOTIFY one, 'said'",
    "NOTIFY two",
    "SELECT pg_notify('one', 'by a function')",
    "NOTIFY one, 'lost'; SELECT 1 / 0",
    "GRANT SELECT ON public.accounts TO pg_monitor",
    "REVOKE SELECT ON public.accounts FROM pg_monitor",
    "BEGIN",
    "BEGIN",
    "COMMIT",
    "COMMIT",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT a",
    "ROLLBACK TO a",
    "RELEASE a",
    "COMMIT AND CHAIN",
    "SELECT count(*) FROM accounts WHERE tenant = current_setting('app.tenant', true)",
    "SELECT '01/02/2001'::date",
    "TABLE accounts",
    "SET client_encoding TO latin1",
    "SET NAMES 'koi8r'",
    "SET LOCAL client_encoding TO latin1",
    "SELECT set_config('client_encoding', lower('UTF8'), false)",
    "RESET client_encoding",
    "SELECT chr(233)",
    "SELECT chr(8364), 1",
    "PREPARE made AS SELECT set_config('app.tenant', 'one', false)",
    "PREPARE other AS SELECT count(*) FROM accounts",
    "EXECUTE made",
    "EXECUTE other",
    "SELECT name, statement FROM pg_prepared_statements ORDER BY name",
    "DEALLOCATE made",
    "DEALLOCATE ALL",
    "SELECT has_table_privilege('pg_monitor', 'public.accounts', 'SELECT')",
    "SELECT current_schemas(true)",
    BAD_TEXT,
    UNENDED,
    NO_PORTAL,
    NO_STATEMENT,
    PARSED,
    PARSED,
    BOUND,
    CALLED_BEHIND,
    FAILED_BEHIND,
    FLUSHED,
    FLUSHED_ERROR,
];

/// A Query that isn't UTF-8, or whatever the encoding is.
const BAD_TEXT: &str = "a Query with a byte that is in no encoding";
/// A Query without its final zero.
const UNENDED: &str = "a Query without an end";
/// Execute of a portal that isn't there.
const NO_PORTAL: &str = "Execute of no portal";
/// Bind of a statement that isn't there.
const NO_STATEMENT: &str = "Bind of no statement";
/// Parse under a name, which may be there already.
const PARSED: &str = "Parse under a name";
/// Bind and Execute of that.
const BOUND: &str = "Bind of the name";
/// FunctionCall behind a batch without Sync.
const CALLED_BEHIND: &str = "FunctionCall behind a batch";
/// The same, which fails.
const FAILED_BEHIND: &str = "FunctionCall of nothing behind a batch";
/// A batch that is flushed before its Sync.
const FLUSHED: &str = "a batch with Flush";
/// An error behind what was flushed.
const FLUSHED_ERROR: &str = "an error behind Flush";

/// The messages of a step that isn't a statement.
fn messages(step: &str) -> Option<Vec<Message>> {
    let bind =
        |statement: &str| Message::new(b'B', &[b"\0", statement.as_bytes(), &[0; 7]].concat());
    let batch = |sql: &str| vec![Message::parse("", sql, &[]), bind(""), Message::execute("", 0)];
    // Its number, no formats, no arguments, and a result as text.
    let call = |number: i32| Message::new(b'F', &[&number.to_be_bytes()[..], &[0; 6]].concat());
    let set = "SELECT set_config('app.tenant', 'batch', false)";
    Some(match step {
        BAD_TEXT => vec![Message::query_of(b"SELECT '\xff\xfe'")],
        UNENDED => vec![Message::new(b'Q', b"SELECT 1")],
        NO_PORTAL => vec![Message::execute("none", 0), Message::sync()],
        NO_STATEMENT => vec![bind("none"), Message::sync()],
        PARSED => vec![Message::parse("named", set, &[]), Message::sync()],
        BOUND => vec![bind("named"), Message::execute("", 0), Message::sync()],
        // pi()
        CALLED_BEHIND => [batch(set), vec![call(1610)]].concat(),
        FAILED_BEHIND => [batch(set), vec![call(999_999)]].concat(),
        FLUSHED => [batch(set), vec![Message::new(b'H', b""), Message::sync()]].concat(),
        FLUSHED_ERROR => {
            let flush = vec![Message::new(b'H', b"")];
            [batch(set), flush, batch("SELECT 1 / 0"), vec![Message::sync()]].concat()
        }
        _ => return None,
    })
}

/// In statements that keep the connection, or have LISTEN keep it.
const KEEPING: [&str; 5] = ["PREPARE ", "EXECUTE ", "DEALLOCATE", "latin1", "koi8r"];

/// In statements that lock what those of others wait for.
const CONFLICTING: [&str; 3] = ["GRANT", "REVOKE", "public.plain"];

const PROBE: &str = "SELECT nullif(current_setting('app.tenant', true), ''), nullif(current_setting('app.mine', true), ''), current_setting('lock_timeout'), \
 current_setting('search_path'), current_setting('DateStyle'), current_setting('TimeZone'), current_setting('work_mem'), current_setting('role'), \
 current_setting('transaction_isolation'), current_setting('transaction_read_only'), current_setting('application_name'), '01/02/2001'::date, \
 (SELECT count(*) FROM accounts WHERE tenant = current_setting('app.tenant', true))";

#[derive(Debug, Clone)]
enum Step {
    Say { client: usize, sql: &'static str, is_extended: bool },
    Leave { client: usize },
}

fn sequence(seed: u64) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(seed);
    let step = |_| {
        let client = random.random_range(0..CLIENTS);
        if random.random_range(0..30) == 0 {
            return Step::Leave { client };
        }
        let sql = if random.random_range(0..4) == 0 {
            PROBE
        } else {
            STATEMENTS.choose(&mut random).copied().unwrap_or(PROBE)
        };
        let is_extended = random.random();
        Step::Say { client, sql, is_extended }
    };
    (0..STEPS).map(step).collect()
}

/// The first difference, with the steps up to it.
async fn difference(world: &World, steps: &[Step], is_alone: bool) -> Option<String> {
    let mut clients = Vec::new();
    for beginning in BEGINNINGS {
        clients.push(Some(Both::start(world, beginning).await));
    }
    let mut open = BTreeMap::new();
    for (position, step) in steps.iter().enumerate() {
        let (Step::Say { client, .. } | Step::Leave { client }) = *step;
        // With one connection nobody else is served while a block is open.
        if is_alone && open.iter().any(|(other, is_open)| *is_open && *other != client) {
            continue;
        }
        if let Step::Say { sql, .. } = *step
            && is_alone
            && KEEPING.iter().any(|part| sql.contains(part))
        {
            continue;
        }
        // Nor is one waited for who has locked what others change.
        if let Step::Say { sql, .. } = *step
            && CONFLICTING.iter().any(|part| sql.contains(part))
            && open.iter().any(|(other, is_open)| *is_open && *other != client)
        {
            continue;
        }
        match *step {
            Step::Leave { .. } => {
                clients[client] = None;
                clients[client] = Some(Both::start(world, BEGINNINGS[client]).await);
                open.insert(client, false);
            }
            Step::Say { sql, is_extended, .. } => {
                let Some(both) = &mut clients[client] else { continue };
                let (ours, theirs) = (
                    hear(&mut both.ours, sql, is_extended).await,
                    hear(&mut both.theirs, sql, is_extended).await,
                );
                if ours != theirs {
                    return Some(format!(
                        "step {position}, client {client}: {sql}\nP: {theirs:?}\nF: {ours:?}"
                    ));
                }
                open.insert(
                    client,
                    theirs.iter().any(|event| event.starts_with("ready") && event != "ready I"),
                );
            }
        }
    }
    None
}

async fn hear(client: &mut Client, sql: &str, is_extended: bool) -> Vec<String> {
    let messages = messages(sql).unwrap_or_else(|| statement(sql, is_extended));
    said(client, &messages).await
}

/// `FLYWHEEL_TEST_SEED` is the first sequence, `FLYWHEEL_TEST_SESSIONS` how many there are.
async fn compare(main: &str, is_alone: bool) {
    let Some(world) = world(main).await else { return };
    let (seed, count) = (number("FLYWHEEL_TEST_SEED", 1), number("FLYWHEEL_TEST_SESSIONS", 25));
    for seed in seed..seed + count {
        let steps = sequence(seed);
        if let Some(first) = difference(&world, &steps, is_alone).await {
            println!("seed {seed}: {first}");
            let steps = shrink::shortest(steps, async |fewer| {
                difference(&world, fewer, is_alone).await.is_some()
            })
            .await;
            let last = difference(&world, &steps, is_alone).await;
            panic!("seed {seed}: {}\n{steps:#?}", last.unwrap_or(first));
        }
    }
}

#[tokio::test]
async fn over_one_connection() {
    compare("pool_size = 1\nacquire_timeout = \"5s\"", true).await;
}

#[tokio::test]
async fn over_a_few_connections() {
    compare("pool_size = 4\nshared_connections = 1", false).await;
}

#[tokio::test]
async fn over_connections_of_their_own() {
    compare("pool_size = 4\npool_mode = \"session\"", false).await;
}
