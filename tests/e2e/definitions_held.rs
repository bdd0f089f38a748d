//! Definitions that change while a block is open that has written to their tables.

use flywheel_tests::world::{Process, column, connect};
use flywheel_tests::{Home, Setup, Told, World};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// What a block has written for a definition that is gone when it commits isn't written: its plans
/// may be older than the change, which then doesn't wait for it.
#[tokio::test]
async fn blocks_whose_tables_are_altered_meanwhile() {
    for home in Home::KINDS {
        let world =
            Setup::default().table("public.kept", home).table("public.other", home).start().await;
        let Some(world) = world else { return };
        if !home.is_available(world.servers()) {
            continue;
        }
        let (client, definer) = (world.gateway().await, world.gateway().await);
        let tables = "CREATE TABLE kept (id int PRIMARY KEY, what text); CREATE TABLE other (id int PRIMARY KEY, what text); \
                      CREATE TABLE relational (id int PRIMARY KEY)";
        client.batch_execute(tables).await.expect("tables");
        client.batch_execute("INSERT INTO kept VALUES (1, 'one')").await.expect("a row");
        let (alone, together) =
            ("INSERT INTO kept VALUES (2, 'two')", "INSERT INTO relational VALUES (1)");
        for block in [vec![alone], vec![alone, together]] {
            let names = ["what", "name"];
            for [from, to] in [names, [names[1], names[0]]] {
                // Afterwards its statements are planned.
                for end in ["ROLLBACK", ""] {
                    client.batch_execute("BEGIN").await.expect("BEGIN");
                    for statement in &block {
                        client.batch_execute(statement).await.expect("a write");
                    }
                    client.batch_execute(end).await.expect("ROLLBACK");
                }
                let rename = format!("ALTER TABLE kept RENAME COLUMN {from} TO {to}");
                definer.batch_execute(&rename).await.expect("ALTER TABLE");
                Told::of(&client, "COMMIT").await.is("40001", &["public.kept"]);
                let all = format!("SELECT id || {to} FROM kept ORDER BY id");
                assert_eq!(column(&client, &all).await, ["1one"], "{home:?}");
                assert_eq!(
                    column(&client, "SELECT count(*) FROM relational").await,
                    ["0"],
                    "{home:?}"
                );
            }
        }
        // Another table's definition is none of its business.
        client.batch_execute(&format!("BEGIN; {alone}; {together}")).await.expect("a block");
        let alter = "ALTER TABLE other ADD COLUMN more int";
        definer.batch_execute(alter).await.expect("ALTER TABLE");
        client.batch_execute("COMMIT").await.expect("COMMIT");
        assert_eq!(column(&client, "SELECT count(*) FROM kept").await, ["2"], "{home:?}");
    }
}

/// A world with the table `kept`, and a client with a block that can have written to it.
async fn kept(home: Home) -> Option<(World, Client)> {
    let world = Setup::default().table("public.kept", home).start().await?;
    if !home.is_available(world.servers()) {
        return None;
    }
    let client = world.gateway().await;
    client
        .batch_execute("CREATE TABLE kept (id int PRIMARY KEY, n int); CREATE TABLE relational (id int PRIMARY KEY)")
        .await
        .expect("tables");
    Some((world, client))
}

/// Whoever changes the definition, and whatever the block sees of it.
#[tokio::test]
async fn a_constraint_that_is_added_meanwhile() {
    for home in Home::KINDS {
        let Some((world, client)) = kept(home).await else { continue };
        // A memory store is of one gateway.
        let another: Option<Process> =
            if home == Home::Memory { None } else { Some(world.another_gateway().await) };
        let mut case = 0;
        for begin in
            ["BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN ISOLATION LEVEL SERIALIZABLE"]
        {
            for also in ["SELECT 1", "INSERT INTO relational VALUES (1)"] {
                for definer in ["here", "there", "behind"] {
                    let definer = match (definer, &another) {
                        ("here", _) => world.gateway().await,
                        ("there", Some(gateway)) => {
                            connect(&format!("postgres://postgres@{}/app", gateway.address())).await
                        }
                        ("there", None) => continue,
                        _ => world.behind().await,
                    };
                    // A new text has the definitions looked at; then the block's own statements are
                    // planned.
                    case += 1;
                    column(&client, &format!("SELECT {case} FROM kept WHERE id = 0")).await;
                    let block = format!(
                        "{begin}; SELECT count(*) FROM relational; INSERT INTO kept VALUES (1, 95); {also}"
                    );
                    definer.batch_execute("SET lock_timeout = '1s'").await.expect("SET");
                    let add = "ALTER TABLE kept ADD CONSTRAINT below CHECK (n < 90)";
                    loop {
                        client.batch_execute(&format!("{block}; ROLLBACK")).await.expect("a block");
                        client.batch_execute(&block).await.expect("a block");
                        match definer.batch_execute(add).await {
                            Ok(()) => break,
                            // The definitions were looked at once more, and the block has planned
                            // its INSERT itself: it holds the table as in PostgreSQL.
                            Err(error) => {
                                assert_eq!(error.code(), Some(&SqlState::LOCK_NOT_AVAILABLE))
                            }
                        }
                        client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
                    }
                    Told::of(&client, "COMMIT").await.is("40001", &["public.kept"]);
                    // Whoever tries again meets the new constraint at once.
                    Told::of(&client, &block).await.is("23514", &["below"]);
                    client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
                    let rows = column(&client, "SELECT count(*) FROM kept").await;
                    assert_eq!(rows, ["0"], "{home:?} {begin} {also}");
                    let drop = "ALTER TABLE kept DROP CONSTRAINT below";
                    definer.batch_execute(drop).await.expect("ALTER TABLE");
                }
            }
        }
        assert_eq!(column(&client, "SELECT count(*) FROM relational").await, ["0"], "{home:?}");
    }
}

/// The block's own rows can't be read as those of another definition, nor others be written to
/// them.
#[tokio::test]
async fn a_column_that_is_added_meanwhile() {
    let Some((world, client)) = kept(Home::Redis).await else { return };
    let definer = world.gateway().await;
    let write = "BEGIN; INSERT INTO kept VALUES (1, 1)";
    for (number, then) in [
        "SELECT more_0 FROM kept WHERE id = 1",
        "SELECT * FROM kept",
        "UPDATE kept SET more_2 = 1 WHERE id = 1",
        "UPDATE kept SET more_3 = n + 1",
        "INSERT INTO kept VALUES (2, 1, 1, 1, 1, 1, 1)",
        "SELECT count(*) FROM kept",
    ]
    .into_iter()
    .enumerate()
    {
        client.batch_execute(&format!("{write}; ROLLBACK")).await.expect("a block");
        client.batch_execute(write).await.expect("a block");
        definer
            .batch_execute(&format!("ALTER TABLE kept ADD COLUMN more_{number} int"))
            .await
            .expect("ALTER TABLE");
        Told::of(&client, then).await.is("40001", &["public.kept"]);
        client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
    }
    assert_eq!(column(&client, "SELECT count(*) FROM kept").await, ["0"]);
}

/// What leaves rows as right as they were is nobody's conflict.
#[tokio::test]
async fn changes_that_concern_no_row() {
    let Some((world, client)) = kept(Home::Redis).await else { return };
    let behind = world.behind().await;
    let changes = [
        "ALTER TABLE kept ALTER n SET DEFAULT 7",
        "GRANT SELECT ON kept TO PUBLIC",
        "COMMENT ON TABLE kept IS 'a table'",
        "CREATE INDEX ON kept (n)",
        "ALTER TABLE relational ADD COLUMN more int",
        "ANALYZE kept",
    ];
    for (id, change) in changes.into_iter().enumerate() {
        // Once planned, the block's statement asks PostgreSQL nothing.
        let block = format!("BEGIN; INSERT INTO kept VALUES ({id}, 1)");
        client.batch_execute(&format!("{block}; ROLLBACK")).await.expect("a block");
        client.batch_execute(&block).await.expect("a block");
        behind.batch_execute(change).await.expect(change);
        client.batch_execute("COMMIT").await.unwrap_or_else(|error| panic!("{change}: {error:?}"));
    }
    assert_eq!(column(&client, "SELECT count(*) FROM kept").await, [changes.len().to_string()]);
    // Nor what a block does itself.
    client
        .batch_execute(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; ALTER TABLE kept ADD COLUMN more int; INSERT INTO kept VALUES (70, 1, 2); COMMIT",
        )
        .await
        .expect("a block");
    assert_eq!(column(&client, "SELECT more FROM kept WHERE id = 70").await, ["2"]);
}
