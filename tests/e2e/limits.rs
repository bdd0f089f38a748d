//! What is refused, and how it is said.

use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup, Told, World};

async fn sessions(setup: Setup) -> Option<(World, tokio_postgres::Client)> {
    let world = setup.start().await?;
    let client = world.gateway().await;
    client
        .batch_execute("CREATE TABLE sessions (id int PRIMARY KEY, device text); CREATE TABLE users (id int PRIMARY KEY, name text)")
        .await
        .expect("tables");
    Some((world, client))
}

#[tokio::test]
async fn a_statement_that_would_read_too_many_rows() {
    let setup = Setup::default().table("public.visits", Home::Redis).limit("max_fetch_rows = 10");
    let Some(world) = setup.start().await else { return };
    let client = world.gateway().await;
    client
        .batch_execute("CREATE TABLE visits (who text, n int, PRIMARY KEY (who, n)); CREATE TABLE users (id int, name text)")
        .await
        .expect("tables");
    client
        .batch_execute("INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 20) i")
        .await
        .expect("users");
    for n in 0..11 {
        client
            .batch_execute(&format!("INSERT INTO visits VALUES ('ann', {n})"))
            .await
            .expect("a visit");
    }
    for sql in [
        "SELECT * FROM visits WHERE who = 'ann'",
        "SELECT count(*) FROM visits WHERE who = 'ann'",
        "SELECT count(*) FROM visits",
        "UPDATE visits SET n = n + 100 WHERE who = 'ann'",
        "SELECT * FROM users JOIN visits ON visits.who = users.name",
    ] {
        Told::of(&client, sql)
            .await
            .is("54000", &["more than 10 rows", "public.visits", "max_fetch_rows", "who = …"]);
    }
    assert_eq!(
        column(&client, "SELECT n FROM visits WHERE who = 'ann' ORDER BY n LIMIT 2").await,
        ["0", "1"]
    );
    assert_eq!(
        column(&client, "SELECT count(*) FROM visits WHERE who = 'ann' AND n < 5").await,
        ["5"]
    );
}

#[tokio::test]
async fn a_statement_that_would_read_a_whole_table() {
    for home in Home::LASTING {
        let Some((_world, client)) =
            sessions(Setup::default().table_with("public.sessions", home, &[])).await
        else {
            return;
        };
        for sql in
            ["SELECT * FROM sessions", "DELETE FROM sessions", "SELECT * FROM users, sessions"]
        {
            Told::of(&client, sql)
                .await
                .is("54000", &["whole table", "public.sessions", "id = …", "allow_scan"]);
        }
        assert_eq!(column(&client, "SELECT id FROM sessions WHERE id = 1").await, [""; 0]);
        assert_eq!(
            column(&client, "SELECT count(*) FROM sessions WHERE id IN (1, 2)").await,
            ["0"]
        );
    }
}

/// `SELECT * FROM t LIMIT 5`, with which every graphical client begins, costs five rows.
#[tokio::test]
async fn a_few_rows_of_a_table_that_may_not_be_scanned() {
    for home in Home::STORES {
        let setup = Setup::default()
            .table_with("public.sessions", home, &["allow_scan = false"])
            .limit("max_fetch_rows = 12");
        let Some((_world, client)) = sessions(setup).await else { return };
        let count = async |sql: &str| column(&client, sql).await.len();
        assert_eq!(count("SELECT * FROM sessions LIMIT 5").await, 0);
        for id in 1..=8 {
            let insert = format!("INSERT INTO sessions VALUES ({id}, 'phone')");
            client.batch_execute(&insert).await.expect(&insert);
        }
        assert_eq!(count("SELECT * FROM sessions LIMIT 5").await, 5);
        assert_eq!(count("SELECT device, id FROM sessions AS s LIMIT 5 OFFSET 6").await, 2);
        assert_eq!(count("SELECT id FROM sessions LIMIT 0").await, 0);
        let mut all = column(&client, "SELECT id FROM sessions LIMIT 10").await;
        all.sort();
        assert_eq!(all, ["1", "2", "3", "4", "5", "6", "7", "8"]);
        // A block's own rows are among them, and not those that it has deleted.
        client
            .batch_execute("BEGIN; DELETE FROM sessions WHERE id IN (1, 2); INSERT INTO sessions VALUES (9, 'tv')")
            .await
            .expect("a block");
        let mut all = column(&client, "SELECT id FROM sessions LIMIT 10").await;
        all.sort();
        assert_eq!(all, ["3", "4", "5", "6", "7", "8", "9"]);
        assert_eq!(count("SELECT id FROM sessions LIMIT 6").await, 6);
        client.batch_execute("ROLLBACK").await.expect("its end");
        for sql in [
            "SELECT * FROM sessions LIMIT 13",
            "SELECT * FROM sessions LIMIT ALL",
            "SELECT * FROM sessions ORDER BY id LIMIT 5",
            "SELECT * FROM sessions WHERE device = 'tv' LIMIT 5",
            "SELECT count(*) FROM sessions LIMIT 5",
        ] {
            Told::of(&client, sql).await.is("54000", &["whole table", "public.sessions"]);
        }
    }
}

#[tokio::test]
async fn forms_that_a_store_cannot_follow() {
    let Some((_world, client)) =
        sessions(Setup::default().table("public.sessions", Home::Redis)).await
    else {
        return;
    };
    for sql in [
        "SELECT * FROM sessions TABLESAMPLE SYSTEM (50)",
        "COPY sessions FROM '/dev/null'",
        "CREATE UNIQUE INDEX ON sessions (device)",
        "CREATE MATERIALIZED VIEW phones AS SELECT * FROM sessions TABLESAMPLE SYSTEM (50)",
        "CREATE TABLE some_of_them AS SELECT * FROM sessions TABLESAMPLE SYSTEM (50)",
        "CREATE TABLE places AS SELECT id, ctid FROM sessions",
        "LOCK TABLE sessions",
        "LOCK sessions IN SHARE MODE NOWAIT",
        "LOCK TABLE users, ONLY sessions IN EXCLUSIVE MODE",
        "WITH gone AS (DELETE FROM sessions WHERE id = 1 RETURNING *) INSERT INTO users SELECT * FROM gone",
        "PREPARE some_of_them AS SELECT * FROM sessions TABLESAMPLE SYSTEM (50)",
        "COPY (DELETE FROM sessions RETURNING id) TO STDOUT",
    ] {
        Told::of(&client, sql).await.is("0A000", &["sessions"]);
        client.batch_execute("RESET ALL").await.expect("a usable session");
    }
    client
        .batch_execute("PREPARE one AS SELECT * FROM sessions WHERE id = 1")
        .await
        .expect("PREPARE");
    Told::of(&client, "CREATE TABLE copied AS EXECUTE one")
        .await
        .is("0A000", &["store table", "\"one\""]);
    // Its plan is that of the prepared statement.
    let plan = column(&client, "EXPLAIN SELECT * FROM sessions WHERE id = 1").await;
    assert_eq!(column(&client, "EXPLAIN EXECUTE one").await, plan);
    let escapes =
        "SET standard_conforming_strings = off; SELECT * FROM sessions WHERE device = 'a\\b'";
    Told::of(&client, escapes).await.is("0A000", &["standard_conforming_strings"]);
    client.batch_execute("RESET ALL").await.expect("RESET");
    // PostgreSQL's own word comes first.
    Told::of(&client, "SELEC * FROM sessions").await.is("42601", &["SELEC"]);
    Told::of(&client, "SELECT nothing FROM sessions").await.is("42703", &["nothing"]);
}

#[tokio::test]
async fn a_view_over_a_store_table_made_elsewhere() {
    let setup = Setup::default().table("public.sessions", Home::Redis);
    let Some(world) = setup.start().await else { return };
    world
        .behind()
        .await
        .batch_execute(
            "CREATE TABLE sessions (id int PRIMARY KEY); CREATE VIEW live AS SELECT * FROM sessions; CREATE VIEW latest AS SELECT max(id) FROM live;
             CREATE VIEW guarded WITH (security_barrier) AS SELECT * FROM live; CREATE VIEW deep AS SELECT * FROM guarded;
             CREATE MATERIALIZED VIEW frozen AS SELECT * FROM live",
        )
        .await
        .expect("views");
    let client = world.gateway().await;
    client.batch_execute("INSERT INTO sessions VALUES (1), (2)").await.expect("rows");
    assert_eq!(column(&client, "SELECT id FROM live WHERE id > 1").await, ["2"]);
    assert_eq!(column(&client, "SELECT max FROM latest").await, ["2"]);
    for (sql, view) in [
        ("SELECT * FROM guarded", "public.guarded"),
        ("SELECT * FROM deep", "public.guarded"),
        ("UPDATE guarded SET id = 3", "public.guarded"),
    ] {
        Told::of(&client, sql).await.is("0A000", &[view, "public.sessions", "Redis"]);
    }
    // What is materialized is PostgreSQL's, and as it was computed there.
    assert_eq!(column(&client, "SELECT count(*) FROM frozen").await, ["0"]);
    client.batch_execute("REFRESH MATERIALIZED VIEW frozen").await.expect("REFRESH");
    assert_eq!(column(&client, "SELECT id FROM frozen ORDER BY 1").await, ["1", "2"]);
}

#[tokio::test]
async fn two_blocks_that_write_the_same_row() {
    for home in Home::KINDS {
        let Some((world, one)) = sessions(Setup::default().table("public.sessions", home)).await
        else {
            return;
        };
        let other = world.gateway().await;
        one.batch_execute("INSERT INTO sessions VALUES (1, 'old')").await.expect("a row");
        one.batch_execute("BEGIN; UPDATE sessions SET device = 'one' WHERE id = 1; INSERT INTO users VALUES (1, 'one')")
            .await
            .expect("writes");
        let write = "UPDATE sessions SET device = device || ', other' WHERE id = 1";
        let waiting = tokio::spawn(async move { other.batch_execute(write).await });
        one.batch_execute("COMMIT").await.expect("COMMIT");
        waiting.await.expect("the other").expect("a write");
        assert_eq!(
            column(&one, "SELECT device FROM sessions WHERE id = 1; SELECT name FROM users").await,
            ["one, other", "one"]
        );
    }
}

#[tokio::test]
async fn definitions_that_a_store_cannot_keep() {
    for home in Home::LASTING {
        let Some(world) = Setup::default().table("public.sessions", home).start().await else {
            return;
        };
        let client = world.gateway().await;
        client.batch_execute("CREATE TABLE users (id int PRIMARY KEY)").await.expect("a table");
        for (sql, why) in [
            ("CREATE TABLE sessions (id int)", "no primary key"),
            ("CREATE TABLE sessions (id int PRIMARY KEY, a text UNIQUE)", "UNIQUE"),
            ("CREATE TABLE sessions (id int PRIMARY KEY REFERENCES users)", "foreign key"),
            ("CREATE TABLE sessions (id int PRIMARY KEY, EXCLUDE (id WITH =))", "EXCLUDE"),
        ] {
            Told::of(&client, sql).await.is("0A000", &["public.sessions", why]);
            assert_eq!(
                column(&client, "SELECT to_regclass('sessions') IS NULL").await,
                ["t"],
                "{sql}"
            );
        }
        let partitioned = "CREATE TABLE sessions (id int PRIMARY KEY) PARTITION BY RANGE (id)";
        Told::of(&client, partitioned).await.is("55000", &["public.sessions", "partitioned"]);
        client
            .batch_execute("CREATE TABLE sessions (id int PRIMARY KEY, a text)")
            .await
            .expect("a table");
        client.batch_execute("INSERT INTO sessions VALUES (1, 'a')").await.expect("a row");
        Told::of(&client, "DROP TABLE sessions")
            .await
            .is("55000", &["public.sessions", "allow_drop"]);
        let both = "DELETE FROM sessions WHERE id = 1; DROP TABLE sessions";
        Told::of(&client, both).await.is("55006", &["public.sessions", "COMMIT"]);
        client.batch_execute("DELETE FROM sessions WHERE id = 1").await.expect("DELETE");
        client.batch_execute("DROP TABLE sessions").await.expect("DROP TABLE");
        assert_eq!(column(&client, "SELECT to_regclass('sessions') IS NULL").await, ["t"]);
    }
}

#[tokio::test]
async fn rows_that_postgresql_still_has_are_not_hidden() {
    let Some(world) = Setup::default().table("public.sessions", Home::Redis).start().await else {
        return;
    };
    let behind = world.behind().await;
    behind
        .batch_execute(
            "CREATE TABLE sessions (id int PRIMARY KEY); INSERT INTO sessions VALUES (1)",
        )
        .await
        .expect("a table");
    let client = world.gateway().await;
    Told::of(&client, "SELECT * FROM sessions")
        .await
        .is("55000", &["public.sessions", "rows in PostgreSQL", "TRUNCATE"]);
}

#[tokio::test]
async fn a_row_is_gone_when_it_expires() {
    for home in Home::KINDS {
        let keys = ["expires_at = \"until\"", "allow_scan = true"];
        let Some(world) = Setup::default().table_with("public.tokens", home, &keys).start().await
        else {
            return;
        };
        let client = world.gateway().await;
        client
            .batch_execute("CREATE TABLE tokens (id int PRIMARY KEY, until timestamptz)")
            .await
            .expect("a table");
        client
            .batch_execute("INSERT INTO tokens VALUES (1, now() + interval '1 hour'), (2, now() - interval '1 hour'), (3, NULL)")
            .await
            .expect("rows");
        assert_eq!(column(&client, "SELECT id FROM tokens ORDER BY id").await, ["1", "3"]);
        assert_eq!(column(&client, "SELECT id FROM tokens WHERE id = 2").await, [""; 0]);
        client
            .batch_execute("INSERT INTO tokens VALUES (2, now() + interval '1 hour')")
            .await
            .expect("the key is free");
        client
            .batch_execute("UPDATE tokens SET until = now() - interval '1 second' WHERE id = 1")
            .await
            .expect("UPDATE");
        assert_eq!(column(&client, "SELECT id FROM tokens ORDER BY id").await, ["2", "3"]);
    }
}

#[tokio::test]
async fn another_table_of_the_same_name_hides_a_store_table() {
    let Some((world, client)) =
        sessions(Setup::default().table("public.sessions", Home::Redis)).await
    else {
        return;
    };
    let other = world.gateway().await;
    client.batch_execute("INSERT INTO sessions VALUES (1, 'store')").await.expect("a row");
    let read = "SELECT device FROM sessions WHERE id = 1";
    assert_eq!(column(&client, read).await, ["store"]);
    client
        .batch_execute(
            "CREATE SCHEMA tenant; CREATE TABLE tenant.sessions (id int, device text); INSERT INTO tenant.sessions VALUES (1, 'tenant')",
        )
        .await
        .expect("another table");
    client.batch_execute("SET search_path = tenant, public").await.expect("SET");
    assert_eq!(column(&client, read).await, ["tenant"]);
    assert_eq!(column(&other, read).await, ["store"]);
    client.batch_execute("BEGIN; SET LOCAL search_path = public").await.expect("SET LOCAL");
    assert_eq!(column(&client, read).await, ["store"]);
    client.batch_execute("COMMIT").await.expect("COMMIT");
    assert_eq!(column(&client, read).await, ["tenant"]);
    client.batch_execute("DROP TABLE tenant.sessions").await.expect("DROP TABLE");
    assert_eq!(column(&client, read).await, ["store"]);
    client
        .batch_execute("CREATE TEMP TABLE sessions (id int, device text); INSERT INTO sessions VALUES (1, 'mine')")
        .await
        .expect("a temporary table");
    assert_eq!(column(&client, read).await, ["mine"]);
    assert_eq!(column(&client, "SELECT device FROM public.sessions WHERE id = 1").await, ["store"]);
    assert_eq!(column(&other, read).await, ["store"]);
}

#[tokio::test]
async fn a_score_that_a_sorted_set_cannot_hold() {
    for home in Home::SORTED_SETS {
        let keys = ["layout = \"sorted_set\"", "score = \"score\"", "allow_scan = true"];
        let setup = Setup::default().table_with("public.board", home, &keys).table_with(
            "public.ratios",
            home,
            &keys,
        );
        let Some(world) = setup.start().await else { return };
        if !home.is_available(world.servers()) {
            continue;
        }
        let client = world.gateway().await;
        for (table, score) in [("board", "bigint"), ("ratios", "double precision")] {
            let definition = format!(
                "CREATE TABLE {table} (set text, member text, score {score} NOT NULL, PRIMARY KEY (set, member))"
            );
            client.batch_execute(&definition).await.expect("a table");
        }
        let most = "INSERT INTO board VALUES ('s', 'most', 9007199254740992), ('s', 'least', -9007199254740992)";
        client.batch_execute(most).await.expect("±2^53");
        for sql in [
            "INSERT INTO board VALUES ('s', 'more', 9007199254740993)",
            "INSERT INTO board VALUES ('s', 'more', 1), ('s', 'much', -9007199254740993)",
            "INSERT INTO board VALUES ('s', 'most', 9223372036854775807) ON CONFLICT (set, member) DO UPDATE SET score = excluded.score",
            "UPDATE board SET score = 9007199254740993 WHERE set = 's' AND member = 'most'",
            "UPDATE board SET score = score + 1 WHERE set = 's' AND member = 'most'",
            "UPDATE board SET score = score - 1 WHERE set = 's'",
            "BEGIN; UPDATE board SET score = score + 1 WHERE set = 's' AND member = 'most'; COMMIT",
        ] {
            Told::of(&client, sql).await.is("54000", &["public.board", "2^53"]);
            client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
        }
        let kept = "SELECT member || ' ' || score FROM board ORDER BY score";
        assert_eq!(
            column(&client, kept).await,
            ["least -9007199254740992", "most 9007199254740992"]
        );
        let infinite = "INSERT INTO ratios VALUES ('s', 'all', 'Infinity'), ('s', 'some', 1.5), ('s', 'none', '-Infinity')";
        client.batch_execute(infinite).await.expect("infinite scores");
        for sql in [
            "INSERT INTO ratios VALUES ('s', 'odd', 'NaN')",
            "UPDATE ratios SET score = 'NaN' WHERE set = 's' AND member = 'some'",
            "UPDATE ratios SET score = score * 'NaN'::float8 WHERE set = 's' AND member = 'some'",
        ] {
            Told::of(&client, sql).await.is("54000", &["public.ratios", "NaN"]);
        }
        let kept = "SELECT member FROM ratios WHERE set = 's' ORDER BY score DESC";
        assert_eq!(column(&client, kept).await, ["all", "some", "none"]);
    }
}

#[tokio::test]
async fn every_way_of_reading_too_many_rows() {
    for home in Home::KINDS {
        let setup = Setup::default()
            .table("public.visits", home)
            .table("public.sessions", home)
            .limit("max_fetch_rows = 10");
        let Some((world, client)) = sessions(setup).await else { return };
        if !home.is_available(world.servers()) {
            continue;
        }
        client
            .batch_execute("CREATE TABLE visits (who int, n int, note text, PRIMARY KEY (who, n))")
            .await
            .expect("a table");
        for ids in [0..10, 10..12] {
            let rows: Vec<_> = ids.map(|id| format!("({id}, 'phone')")).collect();
            client
                .batch_execute(&format!("INSERT INTO sessions VALUES {}", rows.join(", ")))
                .await
                .expect("sessions");
        }
        for n in 0..11 {
            let visit = format!("INSERT INTO visits VALUES (1, {n}, 'x')");
            client.batch_execute(&visit).await.expect("a visit");
        }
        client
            .batch_execute("INSERT INTO users SELECT i, 'user ' || i FROM generate_series(0, 11) i")
            .await
            .expect("users");
        // As many as are allowed, then one more.
        let few = "SELECT count(*) FROM sessions WHERE id IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)";
        assert_eq!(column(&client, few).await, ["10"]);
        assert_eq!(
            column(&client, "SELECT n FROM visits WHERE who = 1 ORDER BY n DESC LIMIT 10")
                .await
                .len(),
            10
        );
        for (sql, table) in [
            (
                "SELECT * FROM sessions WHERE id IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)",
                "public.sessions",
            ),
            (
                "SELECT * FROM sessions WHERE id = ANY ('{0,1,2,3,4,5,6,7,8,9,10}')",
                "public.sessions",
            ),
            ("SELECT * FROM sessions WHERE device = 'none'", "public.sessions"),
            ("SELECT * FROM visits WHERE who = 1", "public.visits"),
            ("SELECT * FROM visits WHERE who = 1 ORDER BY n LIMIT 11", "public.visits"),
            ("SELECT * FROM visits WHERE who = 1 AND note = 'none' LIMIT 1", "public.visits"),
            (
                "SELECT 1 FROM sessions s JOIN visits v ON v.who = s.id WHERE s.id = 1",
                "public.visits",
            ),
            (
                "SELECT 1 FROM sessions WHERE id IN (SELECT n FROM visits WHERE who = 1)",
                "public.visits",
            ),
            (
                "WITH v AS (SELECT * FROM visits WHERE who = 1) SELECT count(*) FROM v",
                "public.visits",
            ),
            ("SELECT 1 UNION SELECT n FROM visits WHERE who = 1", "public.visits"),
            ("UPDATE sessions SET device = 'desk' WHERE device = 'phone'", "public.sessions"),
            ("DELETE FROM visits WHERE who = 1", "public.visits"),
            ("INSERT INTO visits SELECT 2, n, note FROM visits WHERE who = 1", "public.visits"),
        ] {
            Told::of(&client, sql)
                .await
                .is("54000", &["more than 10 rows", table, "max_fetch_rows"]);
        }
        // In a block what it has written counts too.
        client
            .batch_execute("BEGIN; DELETE FROM visits WHERE who = 1 AND n = 0")
            .await
            .expect("a block");
        assert_eq!(column(&client, "SELECT count(*) FROM visits WHERE who = 1").await, ["10"]);
        client.batch_execute("INSERT INTO visits VALUES (1, 50, 'x')").await.expect("a row");
        Told::of(&client, "SELECT count(*) FROM visits WHERE who = 1")
            .await
            .is("54000", &["more than 10 rows", "public.visits"]);
        client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
    }
}
