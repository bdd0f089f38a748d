//! How long clients may take, and how many there may be.

use flywheel_tests::world::{column, try_connect};
use flywheel_tests::{Setup, Told};

#[tokio::test]
async fn a_session_begins_with_the_files_timeouts() {
    let user = "[[users]]\nname = \"slow\"\nstatement_timeout = \"1h\"";
    let setup = Setup::default()
        .limit("statement_timeout = \"300ms\"")
        .limit("idle_transaction_timeout = \"90s\"")
        .limit("client_idle_timeout = \"1h\"")
        .section("[[users]]\nname = \"postgres\"")
        .section(user);
    let Some(world) = setup.start().await else { return };
    let shown = "SHOW statement_timeout; SHOW idle_in_transaction_session_timeout; SHOW idle_session_timeout";
    let client = world.gateway().await;
    assert_eq!(column(&client, shown).await, ["300ms", "90s", "1h"]);
    Told::by(client.batch_execute("SELECT pg_sleep(60)").await).is("57014", &["statement timeout"]);
    // RESET goes back to them; SET and the login's own settings go before them.
    client.batch_execute("SET statement_timeout = 0; RESET statement_timeout").await.expect("set");
    assert_eq!(column(&client, "SHOW statement_timeout").await, ["300ms"]);
    let own = format!("{}?options=-c%20statement_timeout%3D5s", world.url());
    let own = try_connect(&own).await.expect("a login");
    assert_eq!(column(&own, "SHOW statement_timeout").await, ["5s"]);
    let slow = try_connect(&world.url_of("slow")).await.expect("a login");
    assert_eq!(column(&slow, shown).await, ["1h", "90s", "1h"]);
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go_with_what_it_holds() {
    let setup = Setup::default()
        .limit("idle_transaction_timeout = \"400ms\"")
        .limit("client_idle_timeout = \"400ms\"");
    let Some(world) = setup.start().await else { return };
    let behind = world.behind().await;
    behind.batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1)").await.expect("a row");
    let holding = world.gateway().await;
    holding.batch_execute("BEGIN; UPDATE t SET n = 2").await.expect("a lock");
    // It waits for the lock, until that is given back.
    behind.batch_execute("UPDATE t SET n = 3").await.expect("the row");
    assert_eq!(column(&behind, "SELECT n FROM t").await, ["3"]);
    holding.batch_execute("COMMIT").await.expect_err("its block has gone");
}

#[tokio::test]
async fn clients_are_counted_by_user_database_and_address() {
    let setup = Setup::default()
        .section("[[users]]\nname = \"postgres\"")
        .section("[[users]]\nname = \"few\"\nmax_connections = 1")
        .other_database("max_connections = 1");
    let Some(world) = setup.start().await else { return };
    let few = world.url_of("few");
    let first = try_connect(&few).await.expect("a login");
    Told::by(try_connect(&few).await.map(drop)).is("53300", &["\"few\"", "[[users]]"]);
    drop(first);
    flywheel_tests::world::until("its place", async || try_connect(&few).await.is_ok()).await;
    let other = world.url_to("other");
    let _first = try_connect(&other).await.expect("a login");
    Told::by(try_connect(&other).await.map(drop)).is("53300", &["\"other\"", "[[databases]]"]);
    let _others = world.gateway().await;

    let setup = Setup::default().limit("max_connections_per_address = 2");
    let Some(world) = setup.start().await else { return };
    let _one = world.gateway().await;
    // One that hasn't logged in counts.
    let silent = tokio::net::TcpStream::connect(world.gateway_address()).await.expect("it");
    Told::by(try_connect(&world.url()).await.map(drop))
        .is("53300", &["127.0.0.1", "max_connections_per_address"]);
    drop(silent);
    flywheel_tests::world::until("its place", async || try_connect(&world.url()).await.is_ok())
        .await;
}
