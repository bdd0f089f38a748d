//! psql, as a person uses it: what it prints is what it prints on plain PostgreSQL.

use std::process::Stdio;
use std::time::Duration;

use flywheel_tests::child::{in_time, psql, psql_command};
use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup, World};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

const TABLES: &str = "
CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, email text UNIQUE, created_at timestamptz DEFAULT '2026-01-01 00:00+00');
CREATE TABLE sessions (id uuid PRIMARY KEY, user_id bigint NOT NULL, device text, data jsonb, expires_at timestamptz);
CREATE TABLE history (user_id bigint, at timestamptz, query text COLLATE \"C\" NOT NULL CHECK (query <> ''), results int DEFAULT 0, PRIMARY KEY (user_id, at));
COMMENT ON TABLE sessions IS 'Who is logged in';
INSERT INTO users VALUES (1, 'ada', 'a@x'), (2, 'bob', 'b@x'), (3, 'cy', NULL);
INSERT INTO sessions VALUES ('11111111-1111-1111-1111-111111111111', 1, 'phone', '{\"a\": [1, null]}', '2030-01-01 00:00+00'),
                            ('22222222-2222-2222-2222-222222222222', 2, NULL, NULL, NULL);
INSERT INTO history VALUES (1, '2026-01-01 10:00+00', 'der die das', 129), (1, '2026-01-02 10:00+00', 'ser, estar', NULL), (2, '2026-01-03 10:00+00', E'tab\\there', 3);
";

/// A world with these tables, `sessions` in Redis and `history` in dynoxide, filled on both sides
/// by psql itself.
async fn world() -> Option<World> {
    let setup = Setup::default()
        .table("public.sessions", Home::Redis)
        .table("public.history", Home::Dynoxide);
    let world = setup.start().await?;
    for url in [world.url(), world.oracle_url().to_owned()] {
        psql(&url, &format!("\\set ON_ERROR_STOP on\n{TABLES}")).await.well();
    }
    Some(world)
}

/// Runs a script on both sides: the same output, the same errors, the same end.
async fn same(world: &World, script: &str) -> String {
    let expected = psql(world.oracle_url(), script).await;
    let found = psql(&world.url(), script).await;
    assert_eq!(found.stdout, expected.stdout, "{}", found.stderr);
    assert_eq!(found.stderr, expected.stderr);
    assert_eq!(found.status, expected.status);
    found.stdout
}

#[tokio::test]
async fn tables_are_described() {
    let Some(world) = world().await else { return };
    let said = same(
        &world,
        "\\d sessions\n\\d history\n\\d users\n\\d+ sessions\n\\dt\n\\dt+ nowhere*\n\\di\n\\dp sessions\n\\dd\n\\d nowhere\n",
    )
    .await;
    assert!(said.contains("\"sessions_pkey\" PRIMARY KEY, btree (id)"), "{said}");
}

#[tokio::test]
async fn results_are_shown() {
    let Some(world) = world().await else { return };
    let script = r"
\pset null '(null)'
SELECT * FROM sessions ORDER BY id;
SELECT * FROM history WHERE user_id = 1 ORDER BY at DESC;
SELECT u.name, s.device, h.query FROM users u LEFT JOIN sessions s ON s.user_id = u.id LEFT JOIN history h ON h.user_id = u.id ORDER BY 1, 2, 3;
\x
SELECT * FROM sessions WHERE id = '11111111-1111-1111-1111-111111111111';
\x off
\a
SELECT * FROM history ORDER BY user_id, at;
\pset format csv
SELECT * FROM history ORDER BY user_id, at;
\pset format aligned
SELECT user_id, at::date, results FROM history ORDER BY 1, 2 \crosstabview user_id at results
SELECT id, data->'a' AS a, count(*) OVER () FROM sessions WHERE device = 'phone' \gdesc
SELECT s.id, u.name FROM sessions s JOIN users u ON u.id = s.user_id \gdesc
TABLE sessions \gdesc
";
    let said = same(&world, script).await;
    assert!(said.contains("| integer") || said.contains("jsonb"), "{said}");
}

#[tokio::test]
async fn variables_and_commands_from_results() {
    let Some(world) = world().await else { return };
    let script = r"
\set who 1
\set device phone
SELECT id FROM sessions WHERE user_id = :who AND device = :'device';
SELECT count(*) AS n, max(at) AS last FROM history WHERE user_id = :who \gset
\echo :n :last
\if :{?last}
  SELECT query FROM history WHERE user_id = :who AND at = :'last';
\endif
SELECT format('SELECT name FROM users WHERE id = %s', user_id) FROM sessions ORDER BY id \gexec
\echo :ROW_COUNT :SQLSTATE :ERROR
SELECT * FROM history WHERE user_id = 9;
\echo :ROW_COUNT :SQLSTATE :ERROR
PREPARE named AS SELECT name FROM users WHERE id = $1;
EXECUTE named(2);
SELECT count(*) FROM sessions;
EXECUTE named(3);
DEALLOCATE named;
";
    same(&world, script).await;
}

#[tokio::test]
async fn errors_and_transactions_are_told() {
    let Some(world) = world().await else { return };
    let script = r"
INSERT INTO sessions VALUES ('11111111-1111-1111-1111-111111111111', 1);
\echo :SQLSTATE :LAST_ERROR_MESSAGE
INSERT INTO sessions (id) VALUES ('33333333-3333-3333-3333-333333333333');
INSERT INTO history VALUES (1, '2026-02-01', '');
SELECT nothing FROM history;
SELECT id, device
  FROM sessions
 WHERE nowhere = 1;
SELECT * FROM nowhere;
BEGIN;
INSERT INTO sessions VALUES ('33333333-3333-3333-3333-333333333333', 3);
SAVEPOINT a;
DELETE FROM sessions WHERE user_id = 1;
SELECT user_id FROM sessions ORDER BY id;
ROLLBACK TO a;
SELECT user_id FROM sessions ORDER BY id;
INSERT INTO sessions VALUES ('33333333-3333-3333-3333-333333333333', 3);
SELECT 1;
COMMIT;
SELECT user_id FROM sessions ORDER BY id;
\set ON_ERROR_ROLLBACK on
BEGIN;
INSERT INTO history VALUES (3, '2026-02-01 00:00+00', 'kept');
INSERT INTO history VALUES (3, '2026-02-01 00:00+00', 'again');
COMMIT;
SELECT query FROM history WHERE user_id = 3;
\set AUTOCOMMIT off
UPDATE history SET query = 'changed' WHERE user_id = 3;
ROLLBACK;
SELECT query FROM history WHERE user_id = 3;
";
    same(&world, script).await;
    // As a script in a deployment is run: what fails undoes all, and psql says so.
    let script = "\\set ON_ERROR_STOP on\nBEGIN;\nDELETE FROM history WHERE user_id = 1;\nSELECT 1 / 0;\nCOMMIT;\n";
    same(&world, script).await;
    same(&world, "SELECT count(*) FROM history;").await;
}

#[tokio::test]
async fn copies() {
    let Some(world) = world().await else { return };
    let folder = world.folder().display();
    let script = format!(
        r"
\copy users from stdin csv
4,dee,d@x,2026-01-04 00:00+00
5,eve,,2026-01-05 00:00+00
\.
\copy users to stdout
\copy users (id, name) to '{folder}/users.csv' csv header
CREATE TABLE others (id bigint, name text);
\copy others from '{folder}/users.csv' csv header
SELECT * FROM others ORDER BY id;
\copy others from stdin
x	not a number
\.
\copy (select id, device, data from sessions order by id) to stdout csv header null '-'
\copy (select u.name, h.query from users u join history h on h.user_id = u.id order by h.at) to stdout
\copy (select id from sessions order by id) to '{folder}/sessions.txt'
\! cat {folder}/sessions.txt
COPY (SELECT query FROM history ORDER BY at) TO STDOUT;
SELECT count(*) FROM others;
"
    );
    same(&world, &script).await;
    // A whole table has no order.
    for command in [
        "\\copy sessions to stdout",
        "COPY history (user_id, query) TO STDOUT;",
        "\\copy sessions (id) to stdout (format csv, header)",
    ] {
        let lines = |ran: flywheel_tests::child::Ran| {
            let mut lines: Vec<_> = ran.well().stdout.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let (expected, found) =
            (psql(world.oracle_url(), command).await, psql(&world.url(), command).await);
        assert_eq!(lines(found), lines(expected), "{command}");
    }
    // After a refused COPY the session goes on.
    let ran =
        psql(&world.url(), "COPY sessions FROM PROGRAM 'true';\nSELECT 'still ' || 'here';\n")
            .await;
    assert!(ran.stderr.contains("public.sessions") && ran.stderr.contains("COPY"), "{ran:?}");
    assert!(ran.stdout.contains("still here"), "{ran:?}");
}

#[tokio::test]
async fn times_are_shown() {
    let Some(world) = world().await else { return };
    let ran = psql(
        &world.url(),
        "\\timing\nSELECT count(*) FROM sessions;\nINSERT INTO history VALUES (7, '2026-01-01', 'x');\n",
    )
    .await
    .well();
    assert_eq!(ran.stdout.matches("Time: ").count(), 2, "{ran:?}");
    assert!(ran.stdout.contains("INSERT 0 1"), "{ran:?}");
}

fn started(command: &mut Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql")
}

#[tokio::test]
async fn a_statement_is_watched() {
    let Some(world) = world().await else { return };
    let mut watching = started(&mut psql_command(&world.url()));
    let mut input = watching.stdin.take().expect("its input");
    input
        .write_all(b"SELECT user_id, count(*) FROM history GROUP BY 1 ORDER BY 1 \\watch 0.05\n")
        .await
        .expect("a command");
    drop(input);
    let mut lines = BufReader::new(watching.stdout.take().expect("its output")).lines();
    let (mut seen, mut changed) = (0, false);
    while seen < 3 || !changed {
        let line = in_time(lines.next_line()).await.expect("a line").expect("more lines");
        changed |= line.contains("77 |     1");
        seen += usize::from(line.contains(" rows)"));
        if seen == 2 {
            world
                .gateway()
                .await
                .batch_execute(
                    "INSERT INTO history VALUES (77, '2026-01-01', 'x') ON CONFLICT DO NOTHING",
                )
                .await
                .expect("a row");
        }
    }
    watching.kill().await.expect("its end");
    assert_eq!(column(&world.gateway().await, "SELECT 1").await, ["1"]);
}

#[tokio::test]
async fn control_c_cancels() {
    let Some(world) = world().await else { return };
    let sleeping = started(psql_command(&world.url()).args(["-c", "SELECT pg_sleep(31)"]));
    let behind = world.behind().await;
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(31)' AND datname = current_database()";
    while column(&behind, asleep).await == ["0"] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let pid = sleeping.id().expect("its id").to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.expect("kill").success());
    let ended = in_time(sleeping.wait_with_output()).await.expect("its output");
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(stderr.contains("canceling statement due to user request"), "{stderr}");
}
