//! `flywheel` without a configuration: everything in one process.

use flywheel_tests::child::{in_time, psql, run};
use flywheel_tests::world::{Process, column, connect};
use tokio::process::Command;

const STORED: [&str; 3] = ["search_history", "sessions", "leaderboard"];

async fn start(more: &[&str]) -> Process {
    Process::start(["--listen", "127.0.0.1:0"].iter().chain(more)).await
}

fn url(process: &Process) -> String {
    format!("postgres://flywheel@{}/flywheel", process.address())
}

#[tokio::test]
async fn the_first_minutes() {
    let mut process = start(&[]).await;
    // What it says to try, typed in as it stands.
    let samples: Vec<_> =
        process.log().into_iter().filter(|line| line.trim_start().starts_with("psql ")).collect();
    assert_eq!(samples.len(), 3, "{samples:?}");
    for sample in &samples {
        let shown = run(Command::new("sh").args(["-c", sample])).await.well().stdout;
        assert!(shown.contains(" rows)") || shown.contains("(1 row)"), "{sample}\n{shown}");
        let explained =
            run(Command::new("sh").args(["-c", &sample.replace("-c \"", "-c \"EXPLAIN ")]))
                .await
                .well()
                .stdout;
        assert!(explained.contains("Operation: "), "{sample}\n{explained}");
    }

    let shown = psql(
        &url(&process),
        "\\set QUIET on\n\\pset tuples_only on\nCOPY words TO STDOUT;\nSELECT 'next';\n\\copy (select 1) to stdout\nSELECT 'last';\n",
    )
    .await
    .well();
    let words = shown.stdout.lines().filter(|line| line.contains('\t')).count();
    assert_eq!(words, 100, "{}", shown.stdout);
    assert!(shown.stdout.contains("next") && shown.stdout.contains("last"), "{}", shown.stdout);
    let described = psql(&url(&process), "\\d sessions\n\\dt\n").await.well().stdout;
    for table in STORED {
        assert!(described.contains(table), "{described}");
    }
    assert!(process.interrupt().await.success());
}

#[tokio::test]
async fn several_clients_share_its_one_connection() {
    let mut process = start(&[]).await;
    let url = url(&process);
    let clients = (0..8_i64).map(|id| {
        let url = url.clone();
        tokio::spawn(async move {
            let mut client = connect(&url).await;
            for round in 0..5_i64 {
                let transaction = client.transaction().await.expect("BEGIN");
                let word = format!("word {id}/{round}");
                let insert = "INSERT INTO words VALUES ($1, 'xx', $2, '', 0)";
                transaction
                    .execute(insert, &[&(1_000 + id * 10 + round), &word])
                    .await
                    .expect("a row");
                let score =
                    "INSERT INTO leaderboard VALUES ('test', $1, $2) ON CONFLICT (board, member) DO UPDATE SET score = excluded.score";
                transaction.execute(score, &[&format!("member {id}"), &round]).await.expect("a row");
                transaction.commit().await.expect("COMMIT");
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("a client");
    }
    let client = connect(&url).await;
    assert_eq!(column(&client, "SELECT count(*) FROM words WHERE language = 'xx'").await, ["40"]);
    assert_eq!(
        column(&client, "SELECT sum(score) FROM leaderboard WHERE board = 'test'").await,
        ["32"]
    );
    assert!(process.terminate().await.success());
}

/// The one connection also makes the outbox, and is free again for what looks after it.
#[tokio::test]
async fn a_block_over_all_stores() {
    let process = start(&[]).await;
    let client = connect(&url(&process)).await;
    let block = "BEGIN; UPDATE users SET name = 'Both' WHERE id = 7; DELETE FROM search_history WHERE user_id = 7; \
                 DELETE FROM sessions WHERE user_id = 7; COMMIT";
    for _ in 0..2 {
        client.batch_execute(block).await.expect("COMMIT");
    }
    let left = "SELECT (SELECT count(*) FROM search_history WHERE user_id = 7) + (SELECT count(*) FROM sessions WHERE user_id = 7)";
    assert_eq!(column(&client, left).await, ["0"]);
    assert_eq!(column(&client, "SELECT name FROM users WHERE id = 7").await, ["Both"]);
    in_time(async {
        while column(&client, "SELECT count(*) FROM flywheel.outbox").await != ["0"] {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn data_survive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let keep = ["--data", data.to_str().expect("its path")];
    let mut process = start(&keep).await;
    let client = connect(&url(&process)).await;
    client
        .batch_execute(
            "INSERT INTO users VALUES (9001, 'kept', 'kept@x', 'de');
             CREATE TABLE mine (id int PRIMARY KEY); INSERT INTO mine VALUES (1)",
        )
        .await
        .expect("relational rows");
    for sql in [
        "INSERT INTO sessions VALUES ('99999999-9999-9999-9999-999999999999', 9001, 'phone', '{\"a\": 1}', now(), now() + interval '1 hour')",
        "INSERT INTO search_history VALUES (9001, '2026-01-01 00:00+00', 'kept', NULL, '[1, 2]')",
        "INSERT INTO leaderboard VALUES ('test', 'kept', 42)",
        "DELETE FROM leaderboard WHERE board = 'weekly' AND member = (SELECT min(member) FROM leaderboard WHERE board = 'weekly')",
    ] {
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    let all = "SELECT to_jsonb(u)::text FROM users u ORDER BY id; SELECT * FROM mine;
               SELECT to_jsonb(s)::text FROM sessions s ORDER BY id;
               SELECT to_jsonb(h)::text FROM search_history h ORDER BY user_id, searched_at;
               SELECT to_jsonb(l)::text FROM leaderboard l ORDER BY board, member";
    let before = column(&client, all).await;
    assert!(before.iter().filter(|row| row.contains("kept")).count() >= 3, "{before:?}");
    drop(client);
    assert!(process.terminate().await.success());

    let mut process = start(&keep).await;
    let client = connect(&url(&process)).await;
    assert_eq!(column(&client, all).await, before);
    drop(client);
    assert!(process.interrupt().await.success());
}
