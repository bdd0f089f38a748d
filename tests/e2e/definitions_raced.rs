//! Definitions that one gateway, or PostgreSQL alone, changes while another answers statements
//! from a store alone.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use flywheel_tests::gate::{Gate, Stop};
use flywheel_tests::world::{Process, Servers, column, connect, until};
use flywheel_tests::{Home, Setup, World};
use futures_util::TryStreamExt;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Client, SimpleQueryMessage, Statement};

/// The number of bytes of a value, whatever its type.
struct Bytes(usize);

impl<'a> FromSql<'a> for Bytes {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.len()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// How often a definition changes.
const CHANGES: usize = 12;
/// How many clients read or write meanwhile.
const CLIENTS: i32 = 3;

fn url(process: &Process) -> String {
    format!("postgres://postgres@{}/app", process.address())
}

async fn world(home: Home) -> Option<(World, Process)> {
    let setup = Setup::default().main("pool_size = 8").table_with(
        "public.raced",
        home,
        &["allow_drop = true", "allow_scan = true"],
    );
    let world = setup.start().await?;
    if !home.is_available(world.servers()) {
        return None;
    }
    let other = world.another_gateway().await;
    Some((world, other))
}

fn code(error: &tokio_postgres::Error) -> String {
    error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned())
}

/// How many changes have begun and are complete. The first definition has four bytes in `n`, each
/// change makes it eight or four.
#[derive(Default)]
struct Changes {
    begun: AtomicUsize,
    complete: AtomicUsize,
    over: AtomicBool,
    /// How many statements were executed.
    executed: AtomicUsize,
}

fn width(change: usize) -> usize {
    if change.is_multiple_of(2) { 4 } else { 8 }
}

/// Executes a prepared statement again and again, preparing it anew where it is told to; how often
/// it was executed, and told so.
async fn repeat(client: Client, sql: String, changes: Arc<Changes>) -> (usize, usize) {
    // Parse and Describe may have a change between them.
    let prepare = async || -> Statement {
        loop {
            match client.prepare(&sql).await {
                Ok(statement) => return statement,
                Err(error) => assert_eq!(code(&error), "0A000", "{sql}: {error:?}"),
            }
        }
    };
    let mut statement = prepare().await;
    let (mut executed, mut told) = (0, 0);
    while !changes.over.load(Ordering::SeqCst) {
        let before = changes.complete.load(Ordering::SeqCst);
        let answer = client.query(&statement, &[]).await;
        let after = changes.begun.load(Ordering::SeqCst);
        executed += 1;
        changes.executed.fetch_add(1, Ordering::SeqCst);
        match answer {
            Ok(rows) => {
                let described = statement.columns().last().expect("columns").type_();
                let expected = if *described == Type::INT4 { 4 } else { 8 };
                for row in &rows {
                    let Bytes(given) = row.get(row.len() - 1);
                    assert_eq!(given, expected, "{sql}: described as {described}");
                    assert!(
                        (before..=after).any(|change| width(change) == given),
                        "{sql}: {given} bytes after change {before}, before {after}"
                    );
                }
                assert_eq!(rows.len(), 1, "{sql}");
            }
            Err(error) => {
                assert_eq!(code(&error), "0A000", "{sql}: {error:?}");
                told += 1;
                statement = prepare().await;
            }
        }
    }
    (executed, told)
}

/// Who changes it.
#[derive(Debug, Clone, Copy)]
enum By {
    Gateway,
    Postgres,
}

#[tokio::test]
async fn no_statement_is_answered_by_a_definition_that_has_gone() {
    for home in Home::REMOTE {
        for by in [By::Gateway, By::Postgres] {
            let Some((world, other)) = world(home).await else { continue };
            let definer = world.gateway().await;
            definer
                .batch_execute(
                    "DROP TABLE IF EXISTS raced; CREATE TABLE raced (id int PRIMARY KEY, n int)",
                )
                .await
                .expect("a table");
            definer
                .batch_execute("INSERT INTO raced SELECT i, i FROM generate_series(0, 9) i")
                .await
                .expect("rows");
            let changes = Arc::new(Changes::default());
            let mut running = Vec::new();
            for at in 0..CLIENTS {
                for sql in [
                    format!("SELECT id, n FROM raced WHERE id = {at}"),
                    format!("UPDATE raced SET n = {at} WHERE id = {at} RETURNING *"),
                ] {
                    let client = connect(&url(&other)).await;
                    running.push(tokio::spawn(repeat(client, sql, changes.clone())));
                }
            }
            let behind = world.behind().await;
            for change in 1..=CHANGES {
                let ty = if width(change) == 8 { "bigint" } else { "int" };
                let alter = format!("ALTER TABLE raced ALTER COLUMN n TYPE {ty}");
                changes.begun.store(change, Ordering::SeqCst);
                let who = match by {
                    By::Gateway => &definer,
                    By::Postgres => &behind,
                };
                who.batch_execute(&alter).await.expect("ALTER TABLE");
                changes.complete.store(change, Ordering::SeqCst);
                // Everybody has time for a few statements, however busy the machine is.
                let few = changes.executed.load(Ordering::SeqCst) + 60;
                until("statements are executed", async || {
                    changes.executed.load(Ordering::SeqCst) >= few
                })
                .await;
            }
            changes.over.store(true, Ordering::SeqCst);
            let (mut executed, mut told) = (0, 0);
            for each in running {
                let (of_executed, of_told) = each.await.expect("a client");
                executed += of_executed;
                told += of_told;
            }
            println!("{home:?}, {by:?}: {executed} statements, {told} told of a change");
            assert!(executed > CHANGES && told > 0, "{home:?}, {by:?}: {executed}, {told}");
        }
    }
}

/// A row that is written by the definition before a change is there when the change looks at the
/// rows, or it is written by the one after it.
#[tokio::test]
async fn no_row_is_written_by_a_definition_that_has_gone() {
    for home in Home::REMOTE {
        let Some((world, other)) = world(home).await else { continue };
        let definer = world.gateway().await;
        definer
            .batch_execute(
                "DROP TABLE IF EXISTS raced; CREATE TABLE raced (id int PRIMARY KEY, n int)",
            )
            .await
            .expect("a table");
        let over = Arc::new(AtomicBool::new(false));
        let mut running = Vec::new();
        for at in 0..CLIENTS {
            let (client, over) = (connect(&url(&other)).await, over.clone());
            running.push(tokio::spawn(async move {
                let insert = client.prepare("INSERT INTO raced (id, n) VALUES ($1, $2)").await;
                let insert = insert.expect("a statement");
                let mut written = 0;
                while !over.load(Ordering::SeqCst) && written < 1_000 {
                    let id = at * 1_000_000 + written;
                    client.execute(&insert, &[&id, &id]).await.expect("INSERT");
                    written += 1;
                    if written % 50 == 0 {
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    }
                }
                written
            }));
        }
        for _ in 0..CHANGES / 2 {
            let add = "ALTER TABLE raced ADD COLUMN more int NOT NULL DEFAULT 7";
            // A row that is written while the rows are looked at makes it fail.
            while let Err(error) = definer.batch_execute(add).await {
                assert_eq!(code(&error), "40001", "{home:?}: {error:?}");
            }
            let lacking = "SELECT count(*) FROM raced WHERE more IS DISTINCT FROM 7";
            assert_eq!(column(&definer, lacking).await, ["0"], "{home:?}");
            definer.batch_execute("ALTER TABLE raced DROP COLUMN more").await.expect("DROP");
        }
        over.store(true, Ordering::SeqCst);
        let mut written = 0;
        for each in running {
            written += each.await.expect("a client");
        }
        let all = column(&definer, "SELECT count(*) FROM raced").await;
        assert_eq!(all, [written.to_string()], "{home:?}");
    }
}

/// Statements that PostgreSQL computes over rows of the store, and which tell whole rows.
const COMPUTED: [&str; 10] = [
    "SELECT jsonb_agg(raced) FROM raced",
    "SELECT jsonb_agg(raced), min(pg_typeof(t)::text) FROM raced",
    "SELECT jsonb_agg(raced) FROM raced JOIN named USING (id)",
    "SELECT id, t, to_jsonb(raced) FROM raced GROUP BY id",
    "INSERT INTO taken SELECT id, to_jsonb(raced) FROM raced WHERE t > 'a' RETURNING q",
    "UPDATE raced SET t = t || to_jsonb(raced)::text WHERE t LIKE 'n%' RETURNING t",
    "WITH moved AS (UPDATE raced SET t = to_jsonb(raced)::text RETURNING t) SELECT * FROM moved",
    "COPY (SELECT to_jsonb(raced) FROM raced) TO STDOUT",
    "BEGIN; SELECT jsonb_agg(raced) FROM raced; COMMIT",
    "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT jsonb_agg(raced) FROM raced; COMMIT",
];

/// Whether a definition waits for somebody's transaction, which may have to end first.
const WAITING: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity a, unnest(pg_blocking_pids(a.pid)) b \
     JOIN pg_stat_activity blocking ON blocking.pid = b \
     WHERE a.query LIKE 'ALTER TABLE raced%' AND blocking.query NOT LIKE '%pg_locks%')";

/// The rows of a text's statements, or its error's code.
async fn told(client: &Client, sql: &str) -> Result<String, String> {
    if sql.starts_with("COPY") {
        let copied = client.copy_out(sql).await.map_err(|error| code(&error))?;
        let pieces: Vec<_> = copied.try_collect().await.map_err(|error| code(&error))?;
        let texts = pieces.iter().map(|piece| String::from_utf8_lossy(piece));
        return Ok(texts.collect::<Vec<_>>().concat());
    }
    let messages = client.simple_query(sql).await.map_err(|error| code(&error))?;
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            let values = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL"));
            Some(values.collect::<Vec<_>>().join(":"))
        }
        _ => None,
    };
    Ok(messages.iter().filter_map(row).collect::<Vec<_>>().join(" "))
}

/// The definition is changed while the rows that a statement has fetched are on their way to
/// PostgreSQL.
#[tokio::test]
async fn no_rows_are_computed_by_a_definition_that_came_after_them() {
    let Some(servers) = Servers::from_environment() else { return };
    for home in Home::LASTING {
        let (_, address) = servers.postgres.split_once('@').expect("a user");
        let gate = Gate::to(address.split('/').next().expect("an address")).await;
        let setup = Setup::default().main("pool_size = 8").primary_through(gate.address());
        let setup =
            setup.table_with("public.raced", home, &["allow_drop = true", "allow_scan = true"]);
        let Some(world) = setup.start().await else { return };
        let other = world.another_gateway().await;
        let (definer, behind) = (connect(&url(&other)).await, world.behind().await);
        for sql in [
            "DROP TABLE IF EXISTS raced, named, taken",
            "CREATE TABLE named (id int)",
            "CREATE TABLE taken (id int, q jsonb)",
            "INSERT INTO named VALUES (1)",
        ] {
            definer.batch_execute(sql).await.expect(sql);
        }
        for sql in COMPUTED {
            for sql in [
                "DROP TABLE IF EXISTS raced",
                "CREATE TABLE raced (id int PRIMARY KEY, t text, n int)",
                "INSERT INTO raced VALUES (1, 'needle', 10), (2, 'other', 10)",
                "DELETE FROM taken",
            ] {
                definer.batch_execute(sql).await.expect(sql);
            }
            let client = world.gateway().await;
            gate.stop(Stop::Request, &["needle"]);
            let running = tokio::spawn(async move { told(&client, sql).await });
            gate.stopped().await;
            let alter = "ALTER TABLE raced DROP COLUMN n, ADD COLUMN m int DEFAULT 100";
            let altering = definer.batch_execute(alter);
            // A statement that is planned in its block holds the definition by that.
            let waits = until("the definition is changed or waits", async || {
                column(&behind, WAITING).await == ["t"]
            });
            tokio::pin!(altering, waits);
            tokio::select! {
                altered = &mut altering => {
                    altered.expect("ALTER TABLE");
                    gate.open();
                }
                () = &mut waits => {
                    gate.open();
                    altering.await.expect("ALTER TABLE");
                }
            }
            let may_fail = sql.starts_with("BEGIN") || sql.starts_with("COPY");
            match running.await.expect("a task") {
                Ok(told) => {
                    let (before, after) = (told.contains("\"n\": 10"), told.contains("\"m\": 100"));
                    assert!(before != after, "{home:?}: {sql}: {told}");
                }
                Err(error) => assert!(may_fail && error == "40001", "{home:?}: {sql}: {error}"),
            }
            if sql.starts_with("INSERT") {
                let rows = "SELECT count(*) FROM taken";
                assert_eq!(column(&definer, rows).await, ["2"], "{home:?}: {sql}");
            }
        }
    }
}
