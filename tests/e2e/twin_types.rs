//! Types, domains and collations under a store table: its rows are stored as they are now.

use flywheel_tests::world::{column, connect};
use flywheel_tests::{Home, Setup, Told, World};
use tokio_postgres::Client;

const DEFINITIONS: &[&str] = &[
    "CREATE SCHEMA other",
    "CREATE TYPE mood AS ENUM ('red', 'blue')",
    "CREATE TYPE pair AS (a int, b text)",
    "CREATE TYPE inner_mood AS ENUM ('on', 'off')",
    "CREATE TYPE nest AS (p pair, m inner_mood[])",
    "CREATE DOMAIN small AS int",
    "CREATE DOMAIN tint AS mood",
    "CREATE TYPE moods AS RANGE (subtype = mood)",
    "CREATE COLLATION mine (provider = libc, locale = 'C')",
    "CREATE DOMAIN old AS text CONSTRAINT full_text CHECK (VALUE <> '')",
    "CREATE TABLE typed (id int PRIMARY KEY, m mood, p pair, n nest, s small, t tint, r moods, ms mood[], x text COLLATE mine, o old)",
    "CREATE TABLE things (id int PRIMARY KEY, m mood)",
    "CREATE FUNCTION renames() RETURNS void LANGUAGE sql AS $$ ALTER TYPE mood RENAME VALUE 'blue' TO 'azure' $$",
];

const ROW: &str = "INSERT INTO typed VALUES (1, 'red', '(1,x)', '(\"(2,y)\",{on})', 5, 'blue', '[red,blue]', '{red,blue}', 'x', 'o')";

/// Statements that would have the rows read otherwise, or not at all.
const CHANGING: &[&str] = &[
    "ALTER TYPE mood RENAME VALUE 'red' TO 'crimson'",
    "ALTER TYPE inner_mood RENAME VALUE 'on' TO 'yes'",
    "ALTER TYPE pair ADD ATTRIBUTE c int",
    "ALTER TYPE pair ADD ATTRIBUTE c int CASCADE",
    "ALTER TYPE pair DROP ATTRIBUTE b",
    "ALTER TYPE pair DROP ATTRIBUTE a, ADD ATTRIBUTE c int",
    "ALTER DOMAIN small ADD CHECK (VALUE > 100)",
    "ALTER DOMAIN small ADD CONSTRAINT k CHECK (VALUE > 100) NOT VALID",
    "ALTER DOMAIN small SET NOT NULL",
    "ALTER DOMAIN tint ADD CHECK (VALUE <> 'blue')",
    "DROP TYPE mood CASCADE",
    "DROP TYPE inner_mood CASCADE",
    "DROP DOMAIN small CASCADE",
    "DROP COLLATION mine CASCADE",
    "DO $$ BEGIN ALTER TYPE mood RENAME VALUE 'red' TO 'crimson'; END $$",
    "DO $$ BEGIN EXECUTE 'ALTER DOMAIN small SET NOT ' || 'NULL'; END $$",
    "DO $$ BEGIN EXECUTE 'DROP TYPE mood CASCADE'; END $$",
    "DO $$ BEGIN ALTER TABLE typed ADD COLUMN z int; END $$",
    "DO $$ BEGIN DROP TABLE typed; END $$",
    "SELECT renames()",
];

/// Statements that leave them as they are.
const HARMLESS: &[&str] = &[
    "ALTER TYPE mood ADD VALUE 'green'",
    "ALTER TYPE mood ADD VALUE 'black' BEFORE 'red'",
    "ALTER TYPE mood RENAME TO feeling",
    "ALTER TYPE pair RENAME ATTRIBUTE a TO first",
    "ALTER TYPE pair SET SCHEMA other",
    "ALTER DOMAIN small RENAME TO little",
    "ALTER DOMAIN old DROP CONSTRAINT full_text",
    "ALTER DOMAIN tint SET DEFAULT 'red'",
    "DO $$ BEGIN ALTER TYPE nest RENAME TO nested; END $$",
];

async fn world(home: Home) -> Option<(World, Client)> {
    let world =
        Setup::default().table_with("public.typed", home, &["allow_scan = true"]).start().await?;
    if !home.is_available(world.servers()) {
        return None;
    }
    let client = world.gateway().await;
    for sql in DEFINITIONS {
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    Some((world, client))
}

async fn row(client: &Client) -> Vec<String> {
    column(client, "SELECT typed::text FROM typed WHERE id = 1").await
}

#[tokio::test]
async fn types_dont_change_under_rows() {
    for home in Home::KINDS {
        let Some((world, client)) = world(home).await else { continue };
        client.batch_execute(ROW).await.expect("a row");
        let before = row(&client).await;
        assert_eq!(before.len(), 1);
        for sql in CHANGING {
            let what = format!("{home:?}: {sql}");
            Told::of(&client, sql).await.is("0A000", &["typed"]);
            Told::by(client.execute(*sql, &[]).await).is("0A000", &["typed"]);
            Told::of(&client, &format!("BEGIN; {sql}")).await.is("0A000", &["typed"]);
            client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
            assert_eq!(row(&client).await, before, "{what}");
        }
        let (other, oracle) = (connect(&world.url()).await, world.oracle().await);
        for sql in DEFINITIONS.iter().chain([&ROW]).chain(HARMLESS) {
            oracle.batch_execute(sql).await.expect(sql);
        }
        for sql in HARMLESS {
            client
                .batch_execute(sql)
                .await
                .unwrap_or_else(|error| panic!("{home:?}: {sql}: {error:?}"));
            assert_eq!(row(&client).await, row(&other).await, "{home:?}: {sql}");
        }
        let all = "SELECT typed::text, m, (p).first, s, t, ms FROM typed ORDER BY m";
        for sql in
            [all, "UPDATE typed SET m = 'green', p.b = 'z', s = s + 1 RETURNING typed::text", all]
        {
            assert_eq!(column(&client, sql).await, column(&oracle, sql).await, "{home:?}: {sql}");
        }
    }
}

#[tokio::test]
async fn types_of_an_empty_table_change() {
    let Some((_world, client)) = world(Home::Redis).await else { return };
    for sql in [
        "ALTER TYPE mood RENAME VALUE 'red' TO 'crimson'",
        "ALTER TYPE pair ADD ATTRIBUTE c int",
        "ALTER DOMAIN small ADD CHECK (VALUE > 2)",
    ] {
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    client
        .batch_execute("INSERT INTO typed (id, m, p, s) VALUES (1, 'crimson', '(1,x,3)', 5)")
        .await
        .expect("a row");
    Told::of(&client, "INSERT INTO typed (id, s) VALUES (2, 1)").await.is("23514", &["small"]);
    assert_eq!(column(&client, "SELECT (p).c FROM typed WHERE m = 'crimson'").await, ["3"]);
    Told::of(&client, "ALTER TYPE mood RENAME VALUE 'blue' TO 'azure'")
        .await
        .is("0A000", &["typed"]);
    // What no store table depends on is nobody's business.
    client
        .batch_execute("CREATE TYPE own AS ENUM ('a'); CREATE TABLE owned (o own); INSERT INTO owned VALUES ('a'); ALTER TYPE own RENAME VALUE 'a' TO 'b'")
        .await
        .expect("a type of its own");
    assert_eq!(column(&client, "SELECT o FROM owned").await, ["b"]);
}

/// A block that has written a row isn't committed for a type that has changed meanwhile.
#[tokio::test]
async fn a_row_that_waits_for_commit() {
    let Some((world, client)) = world(Home::Redis).await else { return };
    let other = world.gateway().await;
    client
        .batch_execute("BEGIN; INSERT INTO typed (id, m) VALUES (1, 'red')")
        .await
        .expect("a block");
    other
        .batch_execute("ALTER TYPE mood RENAME VALUE 'red' TO 'crimson'")
        .await
        .expect("an empty table");
    Told::of(&client, "COMMIT").await.is("40001", &["typed"]);
    assert_eq!(column(&client, "SELECT count(*) FROM typed").await, ["0"]);
}
