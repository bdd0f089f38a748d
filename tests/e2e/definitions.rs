//! Definitions of store tables: made, changed and dropped through Flywheel.

use flywheel_tests::world::{Process, column, connect};
use flywheel_tests::{Home, Setup, Told, World};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

pub(super) async fn world(home: Home, keys: &[&str]) -> Option<(World, Client)> {
    let world = Setup::default().table_with("public.carts", home, keys).start().await?;
    if !home.is_available(world.servers()) {
        return None;
    }
    let client = world.gateway().await;
    client
        .batch_execute("CREATE TABLE carts (id int PRIMARY KEY, n int DEFAULT 1)")
        .await
        .expect("a table");
    Some((world, client))
}

#[tokio::test]
async fn a_definition_that_is_rolled_back_was_never_there() {
    for home in Home::KINDS {
        let Some(world) = Setup::default().table("public.carts", home).start().await else {
            continue;
        };
        let client = world.gateway().await;
        client
            .batch_execute("BEGIN; CREATE TABLE carts (id int PRIMARY KEY)")
            .await
            .expect("a table");
        client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
        Told::of(&client, "SELECT * FROM carts").await.is("42P01", &["carts"]);
        client
            .batch_execute("CREATE TABLE carts (name text PRIMARY KEY, n int)")
            .await
            .unwrap_or_else(|error| panic!("{home:?}: {error:?}"));
        client
            .batch_execute("CREATE TABLE IF NOT EXISTS carts (id int PRIMARY KEY)")
            .await
            .expect("nothing to do");
        client.batch_execute("INSERT INTO carts VALUES ('a', 1)").await.expect("a row");
        assert_eq!(
            column(&client, "SELECT n FROM carts WHERE name = 'a'").await,
            ["1"],
            "{home:?}"
        );
        client.batch_execute("BEGIN; SELECT * FROM carts; ROLLBACK").await.expect("a block");
    }
}

#[tokio::test]
async fn what_only_postgresql_could_keep_is_refused_later_too() {
    let Some((_world, client)) = world(Home::Redis, &["allow_scan = true"]).await else {
        return;
    };
    for sql in [
        "ALTER TABLE carts ADD UNIQUE (n)",
        "ALTER TABLE carts ADD CHECK (n > 0), ADD UNIQUE (n)",
        "ALTER TABLE carts ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE carts DROP CONSTRAINT carts_pkey",
        "ALTER TABLE carts RENAME TO baskets",
        "CREATE UNIQUE INDEX ON carts (n)",
        "CREATE TRIGGER t BEFORE UPDATE ON carts FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE RULE r AS ON INSERT TO carts DO INSTEAD NOTHING",
        "CREATE POLICY p ON carts",
        "CREATE TABLE more () INHERITS (carts)",
    ] {
        Told::of(&client, sql).await.is("0A000", &["public.carts"]);
        client
            .batch_execute(
                "INSERT INTO carts VALUES (1) ON CONFLICT (id) DO UPDATE SET n = carts.n + 1",
            )
            .await
            .expect(sql);
    }
    assert_eq!(column(&client, "SELECT n FROM carts").await, ["10"]);
}

/// What only PostgreSQL could keep is given up where the configuration says so, and said.
#[tokio::test]
async fn constraints_are_given_up_knowingly() {
    for home in Home::KINDS {
        let keys = ["allow_scan = true", "drop_constraints = true"];
        let Some(world) = Setup::default().table_with("public.carts", home, &keys).start().await
        else {
            continue;
        };
        if !home.is_available(world.servers()) {
            continue;
        }
        let mut raw = world.raw().await;
        raw.query("CREATE TABLE users (id int PRIMARY KEY)").await.expect("a table");
        let told = raw
            .query("CREATE TABLE carts (id int PRIMARY KEY, owner int REFERENCES users, n int UNIQUE, EXCLUDE (n WITH =), CHECK (n > 0))")
            .await
            .expect("an answer");
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        for what in ["carts_owner_fkey", "carts_n_key", "carts_n_excl"] {
            let warns = |line: &&String| {
                line.starts_with("notice")
                    && line.contains("WARNING")
                    && line.contains("01000")
                    && line.contains(what)
            };
            assert_eq!(told.iter().filter(warns).count(), 1, "{home:?}: {what} in {told:#?}");
        }
        let client = world.gateway().await;
        client
            .batch_execute("INSERT INTO carts VALUES (1, 99, 7), (2, 99, 7); UPDATE carts SET n = n + 1 WHERE owner = 99")
            .await
            .expect("nobody's two carts");
        Told::of(&client, "UPDATE carts SET n = -1 WHERE id = 1").await.is("23514", &["carts"]);
        client.batch_execute("ALTER TABLE carts ADD UNIQUE (owner)").await.expect("ALTER");
        client
            .batch_execute("ALTER TABLE carts ADD COLUMN m int NOT NULL DEFAULT 3, ADD FOREIGN KEY (m) REFERENCES users NOT VALID")
            .await
            .expect("ALTER");
        assert_eq!(
            column(&client, "SELECT m FROM carts WHERE owner = 99").await,
            ["3", "3"],
            "{home:?}"
        );
        let left = "SELECT count(*) FROM pg_constraint WHERE conrelid = 'carts'::regclass AND contype IN ('u', 'x', 'f')";
        assert_eq!(column(&client, left).await, ["0"]);
    }
}

/// The same of a table that was made past Flywheel.
#[tokio::test]
async fn constraints_of_a_table_that_is_moved_are_given_up() {
    let keys = ["drop_constraints = true"];
    let setup = Setup::default().table_with("public.carts", Home::Redis, &keys);
    let setup = setup.table_with("public.kept", Home::Redis, &[]);
    let Some(mut world) = setup.start().await else { return };
    world.process_mut().terminate().await;
    let behind = world.behind().await;
    behind
        .batch_execute(
            "CREATE TABLE carts (id int PRIMARY KEY, n int UNIQUE); CREATE UNIQUE INDEX twice ON carts (n); ALTER TABLE carts ENABLE ROW LEVEL SECURITY;
             CREATE TABLE lines (cart int REFERENCES carts); CREATE RULE silent AS ON INSERT TO carts DO INSTEAD NOTHING;
             CREATE TRIGGER same BEFORE UPDATE ON carts FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
             CREATE TABLE kept (id int PRIMARY KEY, n int UNIQUE)",
        )
        .await
        .expect("tables");
    let mut command = std::process::Command::new(flywheel_tests::world::flywheel());
    command.args(["check".as_ref(), "--connect".as_ref(), world.config().as_os_str()]);
    let checked = command.output().expect("flywheel check");
    let checked = String::from_utf8_lossy(&checked.stdout);
    for what in [
        "\"carts_n_key\"",
        "\"twice\"",
        "\"silent\"",
        "\"same\"",
        "\"lines_cart_fkey\"",
        "row-level security",
    ] {
        assert!(
            checked.contains(&format!("doesn't keep {what}")) || checked.contains(what),
            "{what} in {checked}"
        );
    }
    let process = Process::start(["--config".as_ref(), world.config().as_os_str()]).await;
    let client = connect(&format!("postgres://postgres@{}/app", process.address())).await;
    for _ in 0..100 {
        if client.batch_execute("INSERT INTO carts VALUES (1, 1), (2, 1)").await.is_ok() {
            break;
        }
        ::tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(column(&client, "SELECT n FROM carts WHERE id IN (1, 2)").await, ["1", "1"]);
    let error = client.batch_execute("INSERT INTO kept VALUES (1, 1)").await.expect_err("UNIQUE");
    let error = error.as_db_error().expect("PostgreSQL's error");
    assert!(error.hint().is_some_and(|hint| hint.contains("drop_constraints")), "{error:?}");
}

#[tokio::test]
async fn what_the_store_cant_follow_isnt_altered() {
    for home in Home::KINDS {
        let Some((_world, client)) = world(home, &["allow_scan = true"]).await else {
            continue;
        };
        client.batch_execute("INSERT INTO carts VALUES (1, 1), (2, 2)").await.expect("rows");
        for sql in [
            "ALTER TABLE carts RENAME COLUMN id TO key",
            "ALTER TABLE carts ALTER COLUMN id TYPE bigint",
            "ALTER TABLE carts DROP COLUMN id",
            "ALTER TABLE carts RENAME TO baskets",
            "ALTER TABLE carts ALTER COLUMN n TYPE text",
            "ALTER TABLE carts DROP COLUMN n, ADD COLUMN n int DEFAULT 3",
            "ALTER TABLE carts ADD CHECK (n > 0) NOT VALID",
            "BEGIN; ALTER TABLE carts DROP COLUMN n",
            "BEGIN; ALTER TABLE carts ADD COLUMN m int DEFAULT 3",
        ] {
            Told::of(&client, sql).await.is("0A000", &["public.carts"]);
            client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
            let rows = column(&client, "SELECT row_to_json(c) FROM carts c ORDER BY id").await;
            assert_eq!(rows, [r#"{"id":1,"n":1}"#, r#"{"id":2,"n":2}"#], "{home:?}: {sql}");
        }
        client.batch_execute("BEGIN; UPDATE carts SET n = 3 WHERE id = 1").await.expect("a block");
        Told::of(&client, "ALTER TABLE carts ADD COLUMN m int")
            .await
            .is("55006", &["public.carts"]);
        client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
    }
}

/// An ALTER TABLE that must see all rows, and what it would otherwise miss.
#[tokio::test]
async fn an_alteration_is_as_large_as_a_statement_may_be() {
    let Some(world) = Setup::default()
        .table_with("public.carts", Home::Redis, &[])
        .limit("max_fetch_rows = 2")
        .start()
        .await
    else {
        return;
    };
    let client = world.gateway().await;
    client
        .batch_execute("CREATE TABLE carts (id int PRIMARY KEY, n int); INSERT INTO carts VALUES (1, 1), (2, 2)")
        .await
        .expect("rows");
    // `allow_scan` is about statements that don't say that they read everything.
    client
        .batch_execute("ALTER TABLE carts ADD COLUMN m int NOT NULL DEFAULT 5")
        .await
        .expect("a column");
    client.batch_execute("INSERT INTO carts VALUES (3, 3)").await.expect("a row");
    for sql in [
        "ALTER TABLE carts ADD COLUMN o int DEFAULT 5",
        "ALTER TABLE carts DROP COLUMN n",
        "ALTER TABLE carts ALTER COLUMN n SET NOT NULL",
    ] {
        Told::of(&client, sql).await.is("54000", &["public.carts", "2 rows"]);
    }
    client
        .batch_execute("ALTER TABLE carts ADD COLUMN o int, ALTER COLUMN n SET DEFAULT 8")
        .await
        .expect("what doesn't concern the rows");
    let rows = column(&client, "SELECT m FROM carts WHERE id IN (1, 3)").await;
    assert_eq!(rows, ["5", "5"]);
}

/// Statements that others have prepared see the new definition.
#[tokio::test]
async fn others_follow_an_alteration() {
    for home in Home::KINDS {
        let Some((world, client)) = world(home, &["allow_scan = true"]).await else {
            continue;
        };
        client.batch_execute("INSERT INTO carts VALUES (1, 1)").await.expect("a row");
        let other = world.gateway().await;
        let sql = "SELECT * FROM carts WHERE id = 1";
        assert_eq!(other.query_one(sql, &[]).await.expect("a row").len(), 2);
        client
            .batch_execute("ALTER TABLE carts ADD COLUMN m int DEFAULT 4")
            .await
            .expect("a column");
        let row = other.query_one(sql, &[]).await.expect("a row");
        assert_eq!((row.len(), row.get::<_, i32>(2)), (3, 4), "{home:?}");
        client.batch_execute("ALTER TABLE carts DROP COLUMN n").await.expect("a column less");
        let row = other.query_one(sql, &[]).await.expect("a row");
        assert_eq!((row.len(), row.get::<_, i32>(1)), (2, 4), "{home:?}");
    }
}

#[tokio::test]
async fn a_foreign_key_to_a_store_table() {
    let Some((world, client)) = world(Home::Redis, &["allow_scan = true"]).await else {
        return;
    };
    client
        .batch_execute("CREATE TABLE items (id int PRIMARY KEY, cart int)")
        .await
        .expect("a table");
    for sql in [
        "CREATE TABLE lines (id int PRIMARY KEY, cart int REFERENCES carts)",
        "CREATE TABLE lines (cart int, FOREIGN KEY (cart) REFERENCES public.carts (id))",
        "ALTER TABLE items ADD FOREIGN KEY (cart) REFERENCES carts (id)",
    ] {
        Told::of(&client, sql).await.is("0A000", &["public.carts", "foreign key"]);
    }
    // Whoever starts now can use the table.
    let again = Process::start(["--config".as_ref(), world.config().as_os_str()]).await;
    let client = connect(&format!("postgres://postgres@{}/app", again.address())).await;
    client.batch_execute("INSERT INTO carts VALUES (1)").await.expect("a row");
}

#[tokio::test]
async fn another_name_like_a_store_tables_is_another_table() {
    let Some((_world, client)) = world(Home::Redis, &["allow_scan = true"]).await else {
        return;
    };
    client.batch_execute("INSERT INTO carts VALUES (1, 11)").await.expect("a row");
    client
        .batch_execute("CREATE SCHEMA old; CREATE TABLE old.carts (id text); INSERT INTO old.carts VALUES ('old')")
        .await
        .expect("a table of that name");
    assert_eq!(
        column(&client, "SELECT id FROM old.carts; SELECT id FROM carts").await,
        ["old", "1"]
    );
    client.batch_execute("SET search_path = old, public").await.expect("SET");
    assert_eq!(
        column(&client, "SELECT id FROM carts; SELECT id FROM public.carts").await,
        ["old", "1"]
    );
    client.batch_execute("RESET search_path").await.expect("RESET");
    assert_eq!(column(&client, "SELECT id FROM carts").await, ["1"]);
    assert_eq!(
        column(
            &client,
            "BEGIN; SET LOCAL search_path = old; SELECT id FROM carts; COMMIT; SELECT id FROM carts"
        )
        .await,
        ["old", "1"]
    );
    client
        .batch_execute("CREATE TEMP TABLE carts (id text); INSERT INTO carts VALUES ('temporary')")
        .await
        .expect("a temporary table");
    assert_eq!(
        column(&client, "SELECT id FROM carts; SELECT n FROM public.carts").await,
        ["temporary", "11"]
    );
    client.batch_execute("DROP TABLE carts").await.expect("DROP TABLE");
    assert_eq!(column(&client, "SELECT id FROM carts").await, ["1"]);
}

#[tokio::test]
async fn two_gateways_share_tables() {
    for home in Home::LASTING {
        let Some(world) = Setup::default().table("public.carts", home).start().await else {
            return;
        };
        let second = Process::start(["--config".as_ref(), world.config().as_os_str()]).await;
        let one = world.gateway().await;
        let other = connect(&format!("postgres://postgres@{}/app", second.address())).await;
        Told::of(&other, "SELECT * FROM carts").await.is("42P01", &["carts"]);
        one.batch_execute(
            "CREATE TABLE carts (id int PRIMARY KEY, n int); INSERT INTO carts VALUES (1, 2)",
        )
        .await
        .expect("a table");
        assert_eq!(column(&other, "SELECT n FROM carts WHERE id = 1").await, ["2"], "{home:?}");
        other.batch_execute("UPDATE carts SET n = n + 1 WHERE id = 1").await.expect("an update");
        assert_eq!(column(&one, "SELECT n FROM carts WHERE id = 1").await, ["3"], "{home:?}");

        // Another definition, made by the one, is the other's too.
        one.batch_execute("DELETE FROM carts WHERE id = 1").await.expect("DELETE");
        one.batch_execute("DROP TABLE carts").await.expect("DROP TABLE");
        // The other looks for changes every few seconds. Until then DynamoDB says that its table is
        // gone.
        while other
            .execute("SELECT n FROM carts WHERE id = 1", &[])
            .await
            .err()
            .and_then(|error| error.code().cloned())
            != Some(SqlState::UNDEFINED_TABLE)
        {
            ::tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        one.batch_execute("CREATE TABLE carts (name text, id int PRIMARY KEY, n numeric(5, 2))")
            .await
            .expect("a table");
        one.batch_execute("INSERT INTO carts VALUES ('ann', 1, 2.5)").await.expect("a row");
        let rows = other
            .query("SELECT * FROM carts WHERE id = 1", &[])
            .await
            .unwrap_or_else(|error| panic!("{home:?}: {error:?}"));
        assert_eq!(
            (rows[0].get::<_, &str>("name"), rows[0].get::<_, i32>("id")),
            ("ann", 1),
            "{home:?}"
        );
        assert_eq!(column(&other, "SELECT n FROM carts WHERE id = 1").await, ["2.50"], "{home:?}");
        other.batch_execute("INSERT INTO carts VALUES ('bob', 2, 1)").await.expect("a row");
        assert_eq!(column(&one, "SELECT n FROM carts WHERE id = 2").await, ["1.00"], "{home:?}");
    }
}
