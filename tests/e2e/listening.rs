//! LISTEN for many clients over one connection.

use std::time::Duration;

use flywheel_tests::Setup;
use flywheel_tests::raw::{Client, Event, Message};
use flywheel_tests::world::{column, until};

/// The connection that listens, as the server sees it.
const HUB: &str = "SELECT pid FROM pg_stat_activity
    WHERE query ~ '^(LISTEN|$)' AND backend_type = 'client backend' AND datname = current_database()";

/// A client, and its process as it knows it.
async fn known(address: &str) -> (Client, i32) {
    let mut client = Client::connect(address).await.expect("a connection");
    client
        .send(&[Message::startup(&[("user", "app"), ("database", "app")])])
        .await
        .expect("a login");
    let told = client.until_ready().await.expect("a session");
    let key = told.iter().find_map(|event| match event {
        Event::Other('K', body) => body.first_chunk().map(|bytes| i32::from_be_bytes(*bytes)),
        _ => None,
    });
    (client, key.expect("BackendKeyData"))
}

/// Who has sent it, the channel and what it says.
type Heard = (i32, String, String);

fn heard(event: &Event) -> Option<Heard> {
    let Event::Other('A', body) = event else { return None };
    let (process, rest) = body.split_first_chunk()?;
    let text = String::from_utf8_lossy(rest).into_owned();
    let mut parts = text.split('\0').map(str::to_owned);
    Some((i32::from_be_bytes(*process), parts.next()?, parts.next()?))
}

async fn next(client: &mut Client) -> Heard {
    loop {
        let event = client.next().await.expect("a notification");
        if let Some(heard) = heard(&event) {
            return heard;
        }
    }
}

/// Everybody hears everything once, in one order, from whom they know; and there is room for
/// others.
#[tokio::test]
async fn two_hundred_listen_over_a_pool_of_five() {
    let Some(world) =
        Setup::default().main("pool_size = 5").key("max_connections = 300").start().await
    else {
        return;
    };
    let mut listeners = Vec::new();
    for number in 0..200 {
        let (mut client, process) = known(world.gateway_address()).await;
        let sql = format!("LISTEN news; LISTEN own_{}", number % 7);
        client.query(&sql).await.expect("LISTEN");
        listeners.push((client, process));
    }
    assert_eq!(column(&world.gateway().await, "SELECT 1").await, ["1"]);
    let mut senders = Vec::new();
    for number in 0..4 {
        let (mut sender, process) = known(world.gateway_address()).await;
        senders.push(tokio::spawn(async move {
            for turn in 0..25 {
                let sql = match turn % 4 {
                    0 => format!("NOTIFY news, '{number} {turn}'"),
                    1 => format!("SELECT pg_notify('news', '{number} {turn}')"),
                    2 => format!("BEGIN; NOTIFY news, '{number} {turn}'; COMMIT"),
                    _ => format!("NOTIFY own_{number}, '{turn}'; NOTIFY news, '{number} {turn}'"),
                };
                sender.query(&sql).await.expect("NOTIFY");
            }
            process
        }));
    }
    let mut processes = Vec::new();
    for sender in senders {
        processes.push(sender.await.expect("a sender"));
    }
    let mut order: Option<Vec<Heard>> = None;
    listeners[0].0.query("NOTIFY news, 'mine'").await.expect("NOTIFY");
    for (number, (client, _)) in listeners.iter_mut().enumerate().skip(1) {
        let mut news = Vec::new();
        let mut own = Vec::new();
        while news.len() < 101 {
            let said = next(client).await;
            if said.1 == "news" { news.push(said) } else { own.push(said.2) }
        }
        let expected: Vec<String> = match number % 7 {
            0..4 => (3..25).step_by(4).map(|turn| turn.to_string()).collect(),
            _ => Vec::new(),
        };
        assert_eq!(own, expected, "listener {number}");
        for (sender, process) in processes.iter().enumerate() {
            let of_sender: Vec<_> =
                news.iter().filter(|said| said.0 == *process).map(|said| said.2.clone()).collect();
            let sent: Vec<_> = (0..25).map(|turn| format!("{sender} {turn}")).collect();
            assert_eq!(of_sender, sent, "listener {number}, sender {sender}");
        }
        // Commits have one order, and all hear them in it.
        assert_eq!(order.get_or_insert_with(|| news.clone()), &news, "listener {number}");
    }
    let first = listeners[0].1;
    assert_eq!(order.expect("news").last().map(|said| said.0), Some(first));
}

/// What a client sends itself comes with the answer, from the process that it knows.
#[tokio::test]
async fn ones_own_notifications() {
    for mode in ["transaction", "session"] {
        let pool = format!("pool_size = 2\npool_mode = \"{mode}\"");
        let Some(world) = Setup::default().main(&pool).start().await else { return };
        let (mut client, process) = known(world.gateway_address()).await;
        client.query("LISTEN mine").await.expect("LISTEN");
        let made = "CREATE TABLE t (n int);
            CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('mine', NEW.n::text); RETURN NEW; END $$;
            CREATE TRIGGER tell AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION tell()";
        client.query(made).await.expect("a trigger");
        for (sql, said) in [
            ("NOTIFY mine, 'a'", "a"),
            ("INSERT INTO t VALUES (7)", "7"),
            ("BEGIN; INSERT INTO t VALUES (8); COMMIT", "8"),
        ] {
            let told = client.query(sql).await.expect("an answer");
            let heard: Vec<_> = told.iter().filter_map(heard).collect();
            assert_eq!(heard, [(process, "mine".to_owned(), said.to_owned())], "{sql}, {mode}");
        }
        // Who comes past the gateway is known by the server's process.
        let behind = world.behind().await;
        let own = column(&behind, "SELECT pg_backend_pid()").await;
        behind.batch_execute("NOTIFY mine, 'from behind'").await.expect("NOTIFY");
        assert_eq!(next(&mut client).await.0.to_string(), own[0], "{mode}");
    }
}

/// In a block nothing is heard, and after it everything.
#[tokio::test]
async fn nothing_is_heard_in_a_block() {
    let Some(world) = Setup::default().main("pool_size = 2").start().await else { return };
    let mut client = world.raw().await;
    client.query("LISTEN news").await.expect("LISTEN");
    client.query("BEGIN").await.expect("BEGIN");
    world.behind().await.batch_execute("NOTIFY news, 'one'").await.expect("NOTIFY");
    for sql in ["SELECT 1", "SELECT pg_sleep(0.3)"] {
        let told = client.query(sql).await.expect("an answer");
        assert!(told.iter().filter_map(heard).next().is_none(), "{told:?}");
    }
    let told = client.query("COMMIT").await.expect("COMMIT");
    assert_eq!(told.iter().filter_map(heard).count(), 1, "{told:?}");
    // What was sent before a block listens isn't heard, and what is sent in between is no sooner
    // heard than after its COMMIT.
    let mut other = world.raw().await;
    other.query("BEGIN").await.expect("BEGIN");
    other.query("LISTEN news").await.expect("LISTEN");
    world.behind().await.batch_execute("NOTIFY news, 'before'").await.expect("NOTIFY");
    let told = other.query("COMMIT").await.expect("COMMIT");
    assert!(told.iter().filter_map(heard).next().is_none(), "{told:?}");
    world.behind().await.batch_execute("NOTIFY news, 'after'").await.expect("NOTIFY");
    assert_eq!(next(&mut other).await.2, "after");
}

/// Those who listen are told when something may have been missed, and hear what comes later.
#[tokio::test]
async fn a_lost_connection_is_told() {
    let Some(world) = Setup::default()
        .main("pool_size = 2")
        .section("[metrics]\nlisten = \"127.0.0.1:0\"")
        .start()
        .await
    else {
        return;
    };
    let mut clients = [world.raw().await, world.raw().await];
    for client in &mut clients {
        client.query("LISTEN news").await.expect("LISTEN");
    }
    let mut elsewhere = world.raw().await;
    elsewhere.query("LISTEN elsewhere; UNLISTEN elsewhere").await.expect("UNLISTEN");
    let behind = world.behind().await;
    let terminate = format!("SELECT pg_terminate_backend(pid) FROM ({HUB}) hub");
    assert_eq!(column(&behind, &terminate).await, ["t"]);
    for client in &mut clients {
        let told = client.next().await.expect("a warning");
        let Event::Notice(report) = &told else { panic!("{told:?}") };
        assert_eq!((report.field('V'), report.state()), (Some("WARNING"), "01000"));
    }
    behind.batch_execute("NOTIFY news, 'later'").await.expect("NOTIFY");
    for client in &mut clients {
        assert_eq!(next(client).await.2, "later");
    }
    let told = elsewhere.query("SELECT 1").await.expect("an answer");
    assert!(!told.iter().any(|event| matches!(event, Event::Notice(_))), "{told:?}");
}

/// A client that doesn't read is given up before what waits for it fills memory, and nobody else
/// notices.
#[tokio::test]
async fn a_slow_listener_is_given_up() {
    let Some(world) = Setup::default().main("pool_size = 3").start().await else { return };
    let mut slow = world.raw().await;
    slow.query("LISTEN news").await.expect("LISTEN");
    slow.query("BEGIN").await.expect("BEGIN");
    let mut other = world.raw().await;
    other.query("LISTEN news").await.expect("LISTEN");
    let behind = world.behind().await;
    let many =
        "SELECT count(pg_notify('news', repeat('x', 7000) || n)) FROM generate_series(1, 500) n";
    let mut heard_by_other = 0;
    for _ in 0..6 {
        column(&behind, many).await;
        for _ in 0..500 {
            next(&mut other).await;
            heard_by_other += 1;
        }
    }
    assert_eq!(heard_by_other, 3000);
    slow.send(&[Message::query("COMMIT")]).await.expect("COMMIT");
    let told = slow.until_closed().await.expect("an error");
    let Some(Event::Error(report)) = told.last() else { panic!("{told:?}") };
    assert_eq!((report.field('V'), report.state()), (Some("FATAL"), "53400"));
}

/// Nobody listens any more: the connection goes.
#[tokio::test]
async fn without_listeners_there_is_no_connection() {
    let Some(world) = Setup::default().main("pool_size = 2").start().await else { return };
    let behind = world.behind().await;
    let mut client = world.raw().await;
    client.query("LISTEN news").await.expect("LISTEN");
    assert_eq!(column(&behind, HUB).await.len(), 1);
    drop(client);
    until("the connection is gone", async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        column(&behind, HUB).await.is_empty()
    })
    .await;
}
