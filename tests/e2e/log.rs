//! What is logged, and how.

use flywheel_tests::child::run;
use flywheel_tests::raw::{Client, Message};
use flywheel_tests::world::{flywheel, until};
use flywheel_tests::{Setup, World};
use tokio::process::Command;

/// A login as this user, which is refused.
async fn refused(world: &World, user: &str) {
    let mut client = Client::connect(world.process().address()).await.expect("a connection");
    let startup = Message::startup(&[("user", user), ("database", "elsewhere")]);
    client.send(&[startup]).await.expect("sent");
    client.until_closed().await.expect("an end");
}

async fn line(world: &World, with: &str) -> String {
    let find = || world.process().log().into_iter().find(|line| line.contains(with));
    until("a line", async || find().is_some()).await;
    find().expect("a line")
}

#[tokio::test]
async fn a_failed_login_is_one_line_with_the_clients_address() {
    let Some(world) = World::start().await else { return };
    refused(&world, "mallory\n2026-01-01T00:00:00Z  INFO forged: \u{1b}[31mall is well").await;
    let told = line(&world, "mallory").await;
    assert!(told.contains("login refused") && told.contains("peer=127.0.0.1:"), "{told}");
    assert!(told.contains("forged"), "{told}");
    assert!(!world.process().log().iter().any(|line| line.starts_with("2026-01-01")), "{told}");
    assert!(!told.contains('\u{1b}'), "{told}");
}

#[tokio::test]
async fn json_is_an_object_a_line() {
    let Some(world) = Setup::default().section("[log]\nformat = \"json\"").start().await else {
        return;
    };
    refused(&world, "mallory\n{}").await;
    let told: serde_json::Value =
        serde_json::from_str(&line(&world, "mallory").await).expect("JSON");
    assert_eq!(told["level"], "INFO");
    assert_eq!(told["message"], "login refused");
    assert_eq!(told["user"], "mallory\n{}");
    assert!(told["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{told}");
}

#[tokio::test]
async fn a_filter_that_is_none_is_refused() {
    let mut command = Command::new(flywheel());
    let ran = run(command.arg("schema").env("FLYWHEEL_LOG", "flywheel=what")).await;
    assert!(!ran.status.success(), "{ran:?}");
    assert!(ran.stderr.contains("FLYWHEEL_LOG") && ran.stderr.contains("flywheel=what"), "{ran:?}");
}

#[tokio::test]
async fn trust_on_an_address_that_others_reach_is_warned_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("flywheel.toml");
    let text = "listen = \"0.0.0.0:0\"\nauth = \"trust\"\n[stores.main]\nkind = \"postgres\"\nurl = \"postgres://a@127.0.0.1:1/a\"\n";
    std::fs::write(&file, text).expect("a configuration");
    let ran = run(Command::new(flywheel()).arg("check").arg(&file)).await.well();
    assert!(ran.stdout.contains("warning: auth = \"trust\" on 0.0.0.0:0"), "{ran:?}");
    std::fs::write(&file, text.replace("0.0.0.0", "127.0.0.1")).expect("a configuration");
    let ran = run(Command::new(flywheel()).arg("check").arg(&file)).await.well();
    assert!(!ran.stdout.contains("warning"), "{ran:?}");
}
