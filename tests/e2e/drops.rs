//! Store tables that are dropped, by name or along with what contains or owns them: rows go only
//! where the configuration allows it.

use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup, Told};

use super::definitions::world;

#[tokio::test]
async fn an_empty_table_is_dropped() {
    for home in Home::KINDS {
        let Some((_world, client)) = world(home, &[]).await else { continue };
        client
            .batch_execute("DROP TABLE carts")
            .await
            .unwrap_or_else(|error| panic!("{home:?}: {error:?}"));
        assert_eq!(column(&client, "SELECT to_regclass('carts') IS NULL").await, ["t"]);
        client
            .batch_execute(
                "CREATE TABLE carts (id text PRIMARY KEY); INSERT INTO carts VALUES ('a')",
            )
            .await
            .expect("another table");
        assert_eq!(column(&client, "SELECT id FROM carts WHERE id = 'a'").await, ["a"], "{home:?}");
    }
}

#[tokio::test]
async fn rows_go_with_their_table() {
    for home in Home::KINDS {
        let Some((_world, client)) = world(home, &["allow_drop = true", "allow_scan = true"]).await
        else {
            continue;
        };
        client.batch_execute("INSERT INTO carts VALUES (1), (2)").await.expect("rows");
        client
            .batch_execute("DROP TABLE IF EXISTS carts")
            .await
            .unwrap_or_else(|error| panic!("{home:?}: {error:?}"));
        client
            .batch_execute("CREATE TABLE carts (id int PRIMARY KEY, n int DEFAULT 1)")
            .await
            .expect("a table");
        assert_eq!(
            column(&client, "SELECT id FROM carts; SELECT id FROM carts WHERE id = 1").await,
            [""; 0],
            "{home:?}"
        );
    }
}

/// Rows don't go with what only contains their table, or owns it.
#[tokio::test]
async fn rows_dont_go_unnamed() {
    for home in Home::KINDS {
        let setup = Setup::default().table("shop.carts", home);
        let setup =
            setup.table_with("shop.given", home, &["allow_drop = true", "allow_scan = true"]);
        let Some(world) = setup.start().await else { continue };
        if !home.is_available(world.servers()) {
            continue;
        }
        let client = world.gateway().await;
        let create = "CREATE SCHEMA shop; CREATE TYPE shop.mood AS ENUM ('ok'); CREATE TABLE shop.carts (id int PRIMARY KEY, m shop.mood)";
        for sql in create.split("; ") {
            client.batch_execute(sql).await.expect(sql);
        }
        client
            .batch_execute("CREATE TABLE shop.given (id int PRIMARY KEY)")
            .await
            .expect("another table");
        client.batch_execute("INSERT INTO shop.carts VALUES (1, 'ok')").await.expect("a row");
        client.batch_execute("INSERT INTO shop.given VALUES (1)").await.expect("a row");
        for sql in ["DROP SCHEMA shop CASCADE", "BEGIN; DROP SCHEMA shop CASCADE"] {
            Told::of(&client, sql).await.is("55000", &["shop.carts", "allow_drop"]);
            client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
        }
        Told::of(&client, "DROP TYPE shop.mood CASCADE").await.is("0A000", &["shop.carts"]);
        Told::of(&client, "ALTER SCHEMA shop RENAME TO other").await.is("0A000", &["shop."]);
        assert_eq!(
            column(&client, "SELECT m FROM shop.carts WHERE id = 1").await,
            ["ok"],
            "{home:?}"
        );
        client.batch_execute("DELETE FROM shop.carts WHERE id = 1").await.expect("DELETE");
        client.batch_execute("DROP SCHEMA shop CASCADE").await.expect("nothing to lose");
        client.batch_execute("CREATE SCHEMA shop").await.expect("a schema");
        client
            .batch_execute("CREATE TABLE shop.given (id int PRIMARY KEY)")
            .await
            .expect("the table anew");
        assert_eq!(column(&client, "SELECT id FROM shop.given").await, [""; 0], "{home:?}");
    }
}

/// A role that owns store tables hands them on with their rows, and doesn't take rows along when it
/// goes.
#[tokio::test]
async fn an_owner_goes() {
    for home in Home::KINDS {
        let setup = Setup::default().table("public.carts", home);
        let setup =
            setup.table_with("public.given", home, &["allow_drop = true", "allow_scan = true"]);
        let Some(world) = setup.start().await else { continue };
        if !home.is_available(world.servers()) {
            continue;
        }
        let client = world.gateway().await;
        let [owner, other] =
            ["owner", "other"].map(|name| format!("{}_{name}", world.primary().name()));
        for sql in [
            "CREATE TABLE carts (id int PRIMARY KEY, n int)".to_owned(),
            "CREATE TABLE given (id int PRIMARY KEY)".to_owned(),
            format!("CREATE ROLE {owner}; CREATE ROLE {other}; GRANT ALL ON carts TO {other}"),
            format!("ALTER TABLE carts OWNER TO {owner}"),
            format!("ALTER TABLE given OWNER TO {owner}"),
            "INSERT INTO carts VALUES (1, 1); INSERT INTO given VALUES (1)".to_owned(),
        ] {
            client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
        for sql in
            [format!("DROP OWNED BY {owner}"), format!("BEGIN; DROP OWNED BY {owner} CASCADE")]
        {
            Told::of(&client, &sql).await.is("55000", &["public.carts", "allow_drop"]);
            client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
        }
        // Somebody else's rights go alone.
        client.batch_execute(&format!("DROP OWNED BY {other}")).await.expect("DROP OWNED");
        let owned =
            "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname IN ('carts', 'given')";
        assert_eq!(column(&client, owned).await, [owner.as_str(), owner.as_str()], "{home:?}");
        client
            .batch_execute(&format!("REASSIGN OWNED BY {owner} TO {other}"))
            .await
            .expect("REASSIGN OWNED");
        assert_eq!(column(&client, owned).await, [other.as_str(), other.as_str()], "{home:?}");
        client.batch_execute(&format!("SET ROLE {other}")).await.expect("SET ROLE");
        client
            .batch_execute("UPDATE carts SET n = n * 2 WHERE id = 1")
            .await
            .expect("the new owner's write");
        client.batch_execute(&format!("SET ROLE {owner}")).await.expect("SET ROLE");
        Told::of(&client, "SELECT n FROM carts WHERE id = 1").await.is("42501", &["carts"]);
        client.batch_execute("RESET ROLE").await.expect("RESET ROLE");
        assert_eq!(column(&client, "SELECT n FROM carts WHERE id = 1").await, ["2"], "{home:?}");
        client.batch_execute(&format!("DROP OWNED BY {owner}")).await.expect("nothing to drop");
        client.batch_execute("DELETE FROM carts WHERE id = 1").await.expect("DELETE");
        client.batch_execute(&format!("DROP OWNED BY {other}")).await.expect("DROP OWNED");
        Told::of(&client, "SELECT * FROM given").await.is("42P01", &["given"]);
        client
            .batch_execute("CREATE TABLE given (id int PRIMARY KEY)")
            .await
            .expect("the table anew");
        assert_eq!(column(&client, "SELECT id FROM given").await, [""; 0], "{home:?}");
        client.batch_execute(&format!("DROP ROLE {owner}, {other}")).await.expect("no roles");
    }
}
