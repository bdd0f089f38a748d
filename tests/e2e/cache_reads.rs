//! Answers from memory: what is kept, for how long, and by what it is told apart.

use flywheel_tests::world::{column, connect};
use flywheel_tests::{Setup, World};
use tokio_postgres::Client;

/// A gateway that keeps answers from two tables.
async fn world(rules: &str) -> Option<World> {
    let world = Setup::default().section(rules).start().await?;
    let tables = "CREATE TABLE words (id int PRIMARY KEY, word text, at timestamptz DEFAULT '2026-01-01 12:00:00+00');
        INSERT INTO words SELECT i, 'word' || i FROM generate_series(1, 100) i;
        CREATE TABLE others (id int PRIMARY KEY);";
    world.behind().await.batch_execute(tables).await.expect("tables");
    Some(world)
}

const WORDS: &str = "[[cache]]\nwhen = { tables = [\"words\"] }\nttl = \"1h\"";

/// A number of SHOW CACHE, of all rules together.
async fn count(client: &Client, name: &str) -> i64 {
    let messages = client.simple_query("SHOW CACHE").await.expect("SHOW CACHE");
    messages
        .iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                Some(row.get(name).expect("a column").parse::<i64>().expect("a number"))
            }
            _ => None,
        })
        .sum()
}

/// A change that the gateway doesn't see.
async fn change_behind(world: &World, sql: &str) {
    world.behind().await.batch_execute(sql).await.expect("a change");
}

#[tokio::test]
async fn a_repeated_read_is_answered_from_memory() {
    let Some(world) = world(WORDS).await else { return };
    let client = world.gateway().await;
    // Each of these ways has an answer of its own, and gives the same one again.
    let simple = "SELECT word FROM words WHERE id = 7";
    let statement =
        client.prepare("SELECT word FROM words WHERE id = $1").await.expect("a statement");
    let unnamed = "SELECT id, word FROM words WHERE id = $1 -- once";
    let all = async || {
        let one: String = client.query_one(&statement, &[&7]).await.expect("a row").get(0);
        let types = [tokio_postgres::types::Type::INT4];
        let param: &(dyn tokio_postgres::types::ToSql + Sync) = &7;
        let other: String =
            client.query_typed(unnamed, &[(param, types[0].clone())]).await.expect("rows")[0]
                .get(1);
        (column(&client, simple).await, one, other)
    };
    let first = all().await;
    assert_eq!(first, (vec!["word7".to_owned()], "word7".to_owned(), "word7".to_owned()));
    change_behind(&world, "UPDATE words SET word = 'changed' WHERE id = 7").await;
    assert_eq!(all().await, first);
    assert_eq!((count(&client, "hits").await, count(&client, "fills").await), (3, 3));
    // Texts that mean the same, and that don't.
    assert_eq!(
        column(&client, "select word /* the same */ from words\nwhere ID = 7").await,
        ["word7"]
    );
    assert_eq!(column(&client, "SELECT word FROM words WHERE id = 8").await, ["word8"]);
    // Another client, and an answer without rows.
    let second = world.gateway().await;
    assert_eq!(column(&second, simple).await, ["word7"]);
    for _ in 0..2 {
        assert!(column(&client, "SELECT word FROM words WHERE id = 777").await.is_empty());
    }
    assert_eq!((count(&client, "hits").await, count(&client, "fills").await), (6, 5));
    // FLUSH CACHE.
    client.batch_execute("FLUSH CACHE others").await.expect("FLUSH CACHE");
    assert_eq!(column(&client, simple).await, ["word7"]);
    client.batch_execute("FLUSH CACHE public.words").await.expect("FLUSH CACHE");
    assert_eq!(column(&client, simple).await, ["changed"]);
    assert!(client.batch_execute("FLUSH CACHE nothing").await.is_err());
    client.batch_execute("FLUSH CACHE").await.expect("FLUSH CACHE");
    assert_eq!(all().await.1, "changed");
}

#[tokio::test]
async fn what_has_no_rule_or_may_differ_is_not_kept() {
    let Some(world) = world(WORDS).await else { return };
    let client = world.gateway().await;
    change_behind(
        &world,
        "CREATE FUNCTION noisy(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT $1';
         CREATE FUNCTION quiet(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT $1 + count(*)::int FROM others';
         CREATE FUNCTION dynamic(text) RETURNS int LANGUAGE plpgsql STABLE AS 'DECLARE n int; BEGIN EXECUTE $1 INTO n; RETURN n; END';
         CREATE VIEW noisy_words AS SELECT id, random() AS r FROM words",
    )
    .await;
    for sql in [
        "SELECT id FROM others",
        "SELECT word, random() FROM words WHERE id = 1",
        "SELECT noisy(id) FROM words WHERE id = 1",
        "SELECT clock_timestamp() FROM words WHERE id = 1",
        "SELECT word FROM words WHERE id = 1 FOR UPDATE",
        "SELECT word FROM words WHERE id = 1 FOR NO KEY UPDATE",
        "SELECT dynamic('SELECT count(*) FROM others') FROM words WHERE id = 1",
        "/* flywheel: nocache */ SELECT word FROM words WHERE id = 1",
        "SELECT relname FROM pg_class, words LIMIT 1",
        "SELECT table_to_xml('others', true, true, '') FROM words WHERE id = 1",
        "UPDATE words SET word = word WHERE id = 1 RETURNING word",
        "WITH changed AS (UPDATE words SET word = word WHERE id = 2 RETURNING word) SELECT * FROM changed",
        "SELECT pg_advisory_xact_lock(id) FROM words WHERE id = 1",
        "SELECT word FROM words WHERE id = 1; SELECT word FROM words WHERE id = 1",
        "BEGIN; SELECT word FROM words WHERE id = 1; COMMIT",
    ] {
        for _ in 0..2 {
            client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        assert_eq!((count(&client, "hits").await, count(&client, "fills").await), (0, 0), "{sql}");
    }
    // What a stable function reads is followed.
    let quiet = "SELECT quiet(id) FROM words WHERE id = 1";
    assert_eq!(column(&client, quiet).await, ["1"]);
    assert_eq!(column(&client, quiet).await, ["1"]);
    assert_eq!(count(&client, "hits").await, 1);
    client.batch_execute("INSERT INTO others VALUES (1)").await.expect("a write");
    assert_eq!(column(&client, quiet).await, ["2"]);
    // A failing statement, one with a notice.
    for _ in 0..2 {
        assert!(client.batch_execute("SELECT 1 / (id - 1) FROM words WHERE id = 1").await.is_err());
    }
    assert_eq!(count(&client, "hits").await, 1);
}

#[tokio::test]
async fn settings_and_users_tell_answers_apart() {
    let Some(world) = world(WORDS).await else { return };
    let oracle = world.behind().await;
    change_behind(
        &world,
        "CREATE SCHEMA b; CREATE TABLE b.words AS SELECT id, 'b' || word AS word, at FROM words;
         CREATE TABLE floats (f float8); INSERT INTO floats VALUES (0.1)",
    )
    .await;
    let client = world.gateway().await;
    let reads = [
        "SELECT at, word, id FROM words WHERE id = 3",
        "SELECT word, now() - now() FROM words WHERE id = 3",
    ];
    for setting in [
        "SET TimeZone = 'UTC'",
        "SET TimeZone = 'Asia/Tokyo'",
        "SET DateStyle = 'German'",
        "SET search_path = b, public",
        "SET search_path = public",
        "SET IntervalStyle = 'iso_8601'",
        "RESET ALL",
    ] {
        for each in [&client, &oracle] {
            each.batch_execute(setting).await.expect("a setting");
        }
        for _ in 0..2 {
            for read in reads {
                let rows =
                    |messages: Vec<tokio_postgres::SimpleQueryMessage>| -> Vec<Option<String>> {
                        messages
                            .iter()
                            .filter_map(|message| match message {
                                tokio_postgres::SimpleQueryMessage::Row(row) => Some(
                                    (0..row.len())
                                        .map(|at| row.get(at).map(str::to_owned))
                                        .collect::<Vec<_>>(),
                                ),
                                _ => None,
                            })
                            .flatten()
                            .collect()
                    };
                let ours = rows(client.simple_query(read).await.expect("rows"));
                assert_eq!(
                    ours,
                    rows(oracle.simple_query(read).await.expect("rows")),
                    "{setting}: {read}"
                );
            }
        }
    }
    assert!(count(&client, "hits").await >= 14);
    let other = connect(&world.url_of("somebody")).await;
    let fills = count(&client, "fills").await;
    column(&other, "SELECT at, word, id FROM words WHERE id = 3").await;
    assert_eq!(count(&client, "fills").await, fills + 1);
}

#[tokio::test]
async fn row_security_and_temporary_tables() {
    let Some(world) = world("[[cache]]\nwhen = { database = \"app\" }\nttl = \"1h\"").await else {
        return;
    };
    change_behind(
        &world,
        "CREATE TABLE secrets (id int PRIMARY KEY, owner text); INSERT INTO secrets VALUES (1, 'a'), (2, 'b');
         CREATE TABLE members (owner text PRIMARY KEY, sees text); INSERT INTO members VALUES ('a', 'a'), ('b', 'b');
         ALTER TABLE secrets ENABLE ROW LEVEL SECURITY; ALTER TABLE secrets FORCE ROW LEVEL SECURITY;
         CREATE POLICY own ON secrets USING (owner IN (SELECT sees FROM members m WHERE m.owner = current_setting('app.me')));
         DO $$ BEGIN CREATE ROLE cache_reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$; GRANT SELECT ON secrets, members TO cache_reader",
    )
    .await;
    let client = world.gateway().await;
    let read = "SELECT id FROM secrets ORDER BY id";
    for (me, seen) in [("a", "1"), ("b", "2"), ("a", "1"), ("b", "2")] {
        client
            .batch_execute(&format!("SET app.me = '{me}'; SET ROLE cache_reader"))
            .await
            .expect("settings");
        assert_eq!(column(&client, read).await, [seen]);
    }
    // Not as that role, which may not look into the cache.
    assert_eq!(count(&world.gateway().await, "hits").await, 2);
    // What the policy reads ends the answer too.
    client
        .batch_execute(
            "RESET ROLE; UPDATE members SET sees = 'a' WHERE owner = 'b'; SET ROLE cache_reader",
        )
        .await
        .expect("a write");
    assert_eq!(column(&client, read).await, ["1"]);
    client.batch_execute("RESET ALL; RESET ROLE").await.expect("settings");
    // A temporary table hides another one.
    let read = "SELECT count(*) FROM words";
    assert_eq!(column(&client, read).await, ["100"]);
    client.batch_execute("CREATE TEMP TABLE words (id int)").await.expect("a table");
    assert_eq!(column(&client, read).await, ["0"]);
    assert_eq!(column(&client, read).await, ["0"]);
    assert_eq!(column(&world.gateway().await, read).await, ["100"]);
}

#[tokio::test]
async fn hints_patterns_and_what_explain_says() {
    let rules = "[[cache]]\nwhen = { hint = true }\nttl = \"1h\"\n[[cache]]\nwhen = { pattern = \"select count(*) from words*\", user = \"postgres\" }\nttl = \"1h\"\ninvalidate = \"none\"";
    let Some(world) = world(rules).await else { return };
    let client = world.gateway().await;
    let explained =
        async |sql: &str| column(&client, &format!("EXPLAIN {sql}")).await.pop().expect("a line");
    for (sql, line) in [
        ("SELECT word FROM words WHERE id = 1", "Cache: no rule"),
        (
            "/* flywheel: cache ttl=2s */ SELECT word FROM words WHERE id = 1",
            "Cache: rule 1, for 2s, until it is written",
        ),
        ("SELECT count(*) FROM words", "Cache: rule 2, for 3600s, until then whatever is written"),
        (
            "/* flywheel: cache */ SELECT random()",
            "Cache: rule 1, but not kept: function random() is volatile",
        ),
        (
            "/* flywheel: cache */ SELECT * FROM pg_class",
            "Cache: rule 1, but not kept: pg_catalog.pg_class is of the system catalogue",
        ),
    ] {
        let explained = explained(sql).await;
        assert!(explained.starts_with(line), "{sql}: {explained}");
    }
    let (hinted, plain, pattern) = (
        "/* flywheel: cache */ SELECT word FROM words WHERE id = 1",
        "SELECT word FROM words WHERE id = 1",
        "SELECT count(*) FROM words",
    );
    for sql in [hinted, plain, pattern] {
        column(&client, sql).await;
    }
    change_behind(&world, "UPDATE words SET word = 'changed'; DELETE FROM words WHERE id > 50")
        .await;
    assert_eq!(column(&client, hinted).await, ["word1"]);
    assert_eq!(column(&client, plain).await, ["changed"]);
    assert_eq!(column(&client, pattern).await, ["100"]);
    // Writes end what is kept by the first rule only.
    client.batch_execute("UPDATE words SET word = 'again' WHERE id < 10").await.expect("a write");
    assert_eq!(column(&client, hinted).await, ["again"]);
    assert_eq!(column(&client, pattern).await, ["100"]);
}

#[tokio::test]
async fn long_answers_are_not_kept() {
    let rule = "[[cache]]\nwhen = { tables = [\"words\"] }\nttl = \"1h\"\nmax_result_size = 200000";
    let Some(world) = world(rule).await else { return };
    let client = world.gateway().await;
    let (long, fits) = (
        "SELECT repeat('x', 30000) FROM words WHERE id <= 10",
        "SELECT repeat('x', 30000) FROM words WHERE id <= 5",
    );
    for (sql, rows, hits) in [(long, 10, 0), (long, 10, 0), (fits, 5, 0), (fits, 5, 1)] {
        assert_eq!(column(&client, sql).await.len(), rows);
        assert_eq!(count(&client, "hits").await, hits, "{sql}");
    }
    let statement = client.prepare(long).await.expect("a statement");
    for _ in 0..3 {
        assert_eq!(client.query(&statement, &[]).await.expect("rows").len(), 10);
    }
    assert_eq!(count(&client, "hits").await, 1);
}
