//! What gateways have in common, on a real Redis.

mod gateways;
mod server;

use std::time::Duration;

use flywheel_redis::Topology;
use flywheel_store::{Exchange, VersionName};
use gateways::{Gateway, exchange};
use server::{Server, plain, shared, until};

async fn run(url: &str, command: &[&str]) {
    let mut connection = plain(url).await;
    let mut all = redis::cmd(command[0]);
    for word in &command[1..] {
        all.arg(word);
    }
    all.exec_async(&mut connection).await.expect(command[0]);
}

/// A name on the server that all tests share: the gateways of a run before this one are waited for
/// a while.
fn of_this_run(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

fn version(group: &str, field: &str) -> VersionName {
    VersionName { group: group.into(), field: field.into() }
}

#[tokio::test]
async fn posts_reach_the_others_in_order() {
    let Some(url) = shared() else { return };
    let name = of_this_run("order");
    let one = Gateway::start(&url, &name).await;
    let other = Gateway::start(&url, &name).await;
    let stranger = Gateway::start(&url, &of_this_run("stranger")).await;
    for gateway in [&one, &other, &stranger] {
        gateway.notebook.until("missed").await;
    }
    for number in 0..100 {
        one.post(&format!("post {number} with spaces"));
    }
    let expected: Vec<_> = (0..100).map(|number| format!("post {number} with spaces")).collect();
    assert_eq!(other.notebook.until("post 99 with spaces").await, expected);
    other.post("end");
    stranger.post("end");
    assert_eq!(
        one.notebook.until("end").await,
        ["end"],
        "one's own posts aren't read, nor those of others' gateways"
    );
}

/// Whatever may have been missed is told: a lost subscription, a number that doesn't follow, a
/// counter that begins anew.
#[tokio::test]
async fn what_is_missed_is_known() {
    let Some(mut server) = Server::start().await else { return };
    let url = server.url();
    let one = Gateway::start(&url, "missed").await;
    let other = Gateway::start(&url, "missed").await;
    other.notebook.until("missed").await;

    // A post that was counted and never came.
    run(&url, &["INCR", "{x:missed}:posts"]).await;
    one.post("after a gap");
    assert!(other.notebook.until("after a gap").await.contains(&"missed".to_owned()));

    run(&url, &["DEL", "{x:missed}:posts"]).await;
    other.notebook.until("missed").await;
    other.knows().await;
    one.knows().await;
    one.post("after a loss");
    other.notebook.until("after a loss").await;

    run(&url, &["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    other.notebook.until("missed").await;
    other.knows().await;
    one.post("after a break");
    other.notebook.until("after a break").await;

    // What is posted while the server is away is posted when it is back.
    server.kill();
    until("the end is noticed", async || {
        other.exchange.lag().is_none() && one.exchange.lag().is_none()
    })
    .await;
    one.post("meanwhile");
    assert!(server.run().await, "it runs again");
    let lines = other.notebook.until("meanwhile").await;
    assert_eq!(lines.first().map(String::as_str), Some("missed"), "{lines:?}");
    other.knows().await;
}

#[tokio::test]
async fn one_that_says_nothing_is_waited_for_and_then_forgotten() {
    let Some(url) = shared() else { return };
    let name = of_this_run("silent");
    let start = async || Gateway::on(exchange(Topology::One(url.clone()), &name, 3)).await;
    let (one, other) = (start().await, start().await);
    until("they know of each other", async || one.exchange.lag().is_some()).await;
    one.notebook.until("missed").await;
    // It dies without a word.
    other.running.abort();
    let before = one.exchange.lag().expect("known");
    until("its silence is noticed", async || {
        one.exchange.lag().is_none_or(|lag| lag > before + Duration::from_millis(500))
    })
    .await;
    one.notebook.until("missed").await;
    until("it is forgotten", async || {
        one.exchange.lag().is_some_and(|lag| lag < Duration::from_millis(400))
    })
    .await;
    // One that says goodbye isn't waited for.
    let third = start().await;
    third.running.abort();
    third.exchange.leave().await;
    one.notebook.lines.lock().expect("not poisoned").clear();
    one.post("still there");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(one.exchange.lag().is_some());
    let lines = one.notebook.lines.lock().expect("not poisoned").clone();
    assert_eq!(lines, Vec::<String>::new(), "nothing was missed");
}

#[tokio::test]
async fn answers_are_kept_with_their_versions() {
    let Some(server) = Server::start().await else { return };
    let url = server.url();
    let one = Gateway::start(&url, "answers").await;
    let (row, other_row) = (version("t", "1"), version("t", "2"));
    let rows = std::slice::from_ref(&row);
    run(&url, &["DEL", "{x:answers}:versions:t", "x:answers:answers:k"]).await;
    let looked = one.look("k", rows).await;
    assert_eq!(looked.kept, None);
    one.exchange.keep("k", b"\x00answer", Duration::from_secs(60)).await.expect("kept");
    let again = one.look("k", rows).await;
    let (bytes, lifetime) = again.kept.expect("kept");
    assert_eq!((&bytes[..], again.versions), (&b"\x00answer"[..], looked.versions.clone()));
    assert!(
        lifetime <= Duration::from_secs(60) && lifetime > Duration::from_secs(30),
        "{lifetime:?}"
    );

    // Another row's post leaves it, its own moves it.
    let number = one.look("k", &[]).await.number;
    one.look("k", std::slice::from_ref(&other_row)).await;
    one.post_with("other", std::slice::from_ref(&other_row));
    until("it is posted", async || one.look("k", &[]).await.number > number).await;
    until("it is read", async || one.exchange.has_read(number + 1)).await;
    until("the other row has moved", async || {
        one.notebook.posts.lock().expect("not poisoned").is_empty()
    })
    .await;
    assert_eq!(one.look("k", rows).await.versions, looked.versions);
    one.post_with("own", rows);
    until("its row has moved", async || one.look("k", rows).await.versions != looked.versions)
        .await;

    // Those of tables that are gone don't stay for ever.
    for group in ["t", "epoch"] {
        let mut connection = plain(&url).await;
        let name = format!("{{x:answers}}:versions:{group}");
        let seconds: i64 =
            redis::cmd("TTL").arg(name).query_async(&mut connection).await.expect("TTL");
        assert!(seconds > 0, "{group}");
    }

    // Versions that Redis has lost are none that ever were.
    let moved = one.look("k", rows).await.versions;
    run(&url, &["DEL", "{x:answers}:versions:t"]).await;
    let lost = one.look("k", rows).await.versions;
    assert!(lost != moved && lost != looked.versions, "{lost:?}");
    assert_eq!(one.look("k", rows).await.versions, lost);

    // A gateway that has lost its subscription can't know what else was lost.
    run(&url, &["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    until("everything has moved", async || one.look("k", rows).await.versions != lost).await;
}
