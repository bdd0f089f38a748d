//! The configuration is read anew: by SIGHUP and by RELOAD.

use std::process::Command;

use flywheel_tests::raw::{self, Event, Message};
use flywheel_tests::tls::{Authority, Tls};
use flywheel_tests::world::{column, try_connect, until};
use flywheel_tests::{Setup, Told, World};
use tokio_postgres::error::Severity;

fn with_users() -> Setup {
    Setup::default().user("postgres", "word").user("app", "first")
}

/// Changes the file.
fn edit(world: &World, from: &str, to: &str) {
    let text = std::fs::read_to_string(world.config()).expect("the configuration");
    assert!(text.contains(from), "{text}");
    std::fs::write(world.config(), text.replace(from, to)).expect("the configuration");
}

fn hang_up(world: &World) {
    let id = world.process().id().to_string();
    let sent = Command::new("kill").args(["-HUP", &id]).status().expect("kill");
    assert!(sent.success());
}

fn has_logged(world: &World, what: &str) -> bool {
    world.process().log().iter().any(|line| line.contains(what))
}

/// A client of the user `postgres`, and the warnings that it gets.
async fn administrator(
    world: &World,
) -> (tokio_postgres::Client, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let url = world.url_of("postgres:word");
    let (client, mut connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("a login");
    let (told, warnings) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
            if let tokio_postgres::AsyncMessage::Notice(notice) = message
                && notice.parsed_severity() == Some(Severity::Warning)
            {
                let _ = told.send(notice.message().to_owned());
            }
        }
    });
    (client, warnings)
}

#[tokio::test]
async fn a_hangup_changes_who_is_let_in_and_ends_no_session() {
    let Some(world) = with_users().start().await else { return };
    let first = try_connect(&world.url_of("app:first")).await.expect("a login");
    first.batch_execute("BEGIN; CREATE TEMP TABLE t (n int)").await.expect("a block");
    edit(&world, "\"first\"", "\"second\"");
    hang_up(&world);
    until("the other password", async || try_connect(&world.url_of("app:second")).await.is_ok())
        .await;
    Told::by(try_connect(&world.url_of("app:first")).await.map(drop)).is("28P01", &["app"]);
    first.batch_execute("INSERT INTO t VALUES (1); COMMIT").await.expect("the session goes on");
}

#[tokio::test]
async fn a_file_with_a_mistake_changes_nothing_and_says_where_it_is() {
    let Some(world) = with_users().start().await else { return };
    let (client, _) = administrator(&world).await;
    edit(&world, "\"first\"", "\"second\"\nmax_connections = 0");
    let text = std::fs::read_to_string(world.config()).expect("the configuration");
    let line = 1 + text.lines().position(|line| line == "max_connections = 0").expect("it");
    let place = format!("flywheel.toml:{line}:");
    Told::by(client.batch_execute("RELOAD").await).is("F0000", &[&place, "max_connections"]);
    hang_up(&world);
    until("a word in the log", async || has_logged(&world, &place)).await;
    try_connect(&world.url_of("app:first")).await.expect("the old password");
    edit(&world, "max_connections = 0", "");
    client.batch_execute("RELOAD").await.expect("another configuration");
    try_connect(&world.url_of("app:second")).await.expect("the other password");
}

#[tokio::test]
async fn what_needs_a_restart_is_told() {
    let Some(world) = with_users().main("pool_size = 5").start().await else { return };
    let (client, mut warnings) = administrator(&world).await;
    client.batch_execute("RELOAD").await.expect("the same configuration");
    edit(&world, "pool_size = 5", "pool_size = 6");
    for _ in 0..2 {
        client.batch_execute("RELOAD").await.expect("another configuration");
        let told = warnings.recv().await.expect("a warning");
        assert!(told.contains("`stores.main.pool_size`") && told.contains("restart"), "{told}");
    }
    assert!(has_logged(&world, "`stores.main.pool_size`"));
    assert!(warnings.try_recv().is_err(), "nothing else has changed");
}

#[tokio::test]
async fn who_may_reload() {
    let roles = "[[users]]\nname = \"guest\"\npassword = \"word\"\nserver_user = \"nobody_yet\"";
    let Some(world) = with_users().section(roles).start().await else { return };
    let behind = world.behind().await;
    // Roles are of all databases of the server.
    behind
        .batch_execute("DO $$ BEGIN CREATE ROLE reload_guest LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
        .await
        .expect("a role");
    edit(&world, "nobody_yet", "reload_guest");
    let (client, _) = administrator(&world).await;
    client.batch_execute("RELOAD").await.expect("the login of a user has changed");
    let guest = try_connect(&world.url_of("guest:word")).await.expect("a login");
    assert_eq!(column(&guest, "SELECT session_user").await, ["reload_guest"]);
    Told::by(guest.batch_execute("RELOAD").await).is("42501", &["reload"]);
}

/// Whoever has begun to log in as a user that isn't there any more doesn't get the gateway's role.
#[tokio::test]
async fn who_is_removed_during_a_login_gets_no_session() {
    let users = "[[users]]\nname = \"postgres\"\n[[users]]\nname = \"guest\"\nserver_user = \"reload_late\"";
    let Some(world) = Setup::default().section(users).start().await else { return };
    let made =
        "DO $$ BEGIN CREATE ROLE reload_late LOGIN; EXCEPTION WHEN duplicate_object THEN END $$";
    world.behind().await.batch_execute(made).await.expect("a role");
    let client = world.gateway().await;
    let mut late = raw::Client::connect(world.gateway_address()).await.expect("a connection");
    // It has been accepted when its answer comes: no.
    late.send_bytes(&[0, 0, 0, 8, 4, 210, 22, 47]).await.expect("SSLRequest");
    assert_eq!(late.byte().await, Ok(b'N'));
    edit(&world, "name = \"guest\"", "name = \"another\"");
    client.batch_execute("RELOAD").await.expect("another configuration");
    late.send(&[Message::startup(&[("user", "guest"), ("database", "app")])]).await.expect("it");
    let told = late.until_closed().await.expect("the end");
    let Some(Event::Error(report)) = told.last() else { panic!("{told:?}") };
    assert_eq!(report.state(), "57P03", "{told:?}");
}

#[tokio::test]
async fn certificates_are_read_again() {
    let Some(_) = flywheel_tests::world::Servers::from_environment() else { return };
    let old = Authority::new().await;
    let shown = old.sign("gateway", "IP:127.0.0.1").await;
    let tls = format!("[tls]\ncert_file = {:?}\nkey_file = {:?}", shown.cert, shown.key);
    let world = with_users().section(&tls).start().await.expect("servers");
    let url = world.url_of("app:first");
    let (by_old, new) = (Tls::new(&old.cert(), None, None), Authority::new().await);
    let by_new = Tls::new(&new.cert(), None, None);
    let first = by_old.connect(&url).await.expect("a login");
    by_new.connect(&url).await.map(drop).expect_err("not yet its certificate");
    let others = new.sign("gateway", "IP:127.0.0.1").await;
    std::fs::copy(&others.cert, &shown.cert).expect("a copy");
    std::fs::copy(&others.key, &shown.key).expect("a copy");
    hang_up(&world);
    until("the other certificate", async || by_new.connect(&url).await.is_ok()).await;
    by_old.connect(&url).await.map(drop).expect_err("no more its certificate");
    assert_eq!(column(&first, "SELECT 1").await, ["1"]);
    edit(&world, "[tls]", "[tls]\nmode = \"require\"");
    hang_up(&world);
    until("TLS for all", async || try_connect(&url).await.is_err()).await;
}

#[tokio::test]
async fn the_log_follows_the_file() {
    let Some(world) = with_users().section("[log]\nlevel = \"warn\"").start().await else {
        return;
    };
    let refused = async || {
        drop(try_connect(&world.url_of("app:wrong")).await);
    };
    refused().await;
    edit(&world, "level = \"warn\"", "level = \"info\"");
    hang_up(&world);
    until("a line", async || {
        refused().await;
        has_logged(&world, "login refused")
    })
    .await;
    let (client, _) = administrator(&world).await;
    edit(&world, "level = \"info\"", "level = \"flywheel=what\"");
    Told::by(client.batch_execute("RELOAD").await).is("F0000", &["\"flywheel=what\"", "level of the log"]);
}
