//! What no client should send: each gets an error or a closed connection, and the gateway goes on.

use flywheel_tests::raw::{Bind, Client, Event, Format, Message};
use flywheel_tests::{Home, Setup, World};

fn errors(said: &[Event]) -> Vec<&str> {
    said.iter()
        .filter_map(|event| match event {
            Event::Error(report) => Some(report.state()),
            _ => None,
        })
        .collect()
}

async fn serves(world: &mut World) {
    assert!(world.process_mut().is_running(), "the process has ended");
    let mut client = world.raw().await;
    let said = client.query("SELECT 1").await.expect("an answer");
    assert!(said.contains(&Event::Done("SELECT 1".into())), "{said:?}");
}

#[tokio::test]
async fn before_the_login() {
    let Some(mut world) = World::start().await else { return };
    let packets: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0, 0, 0, 0],
        &[0, 0, 0, 8, 0, 0],
        &[0xff; 8],
        &[0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0],
        // Version 3.0, then a name without its end.
        &[0, 0, 0, 12, 0, 3, 0, 0, b'u', b's', b'e', b'r'],
        // A protocol version of the future.
        &[0, 0, 0, 9, 0, 9, 0, 0, 0],
        // CancelRequest that is too short.
        &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2e],
    ];
    for packet in packets {
        let mut client = Client::connect(world.process().address()).await.expect("a connection");
        client.send_bytes(packet).await.expect("sent");
        client.close_writing().await;
        let said = client.until_closed().await.unwrap_or_default();
        assert!(said.iter().all(|event| matches!(event, Event::Error(_))), "{packet:?}: {said:?}");
    }
    serves(&mut world).await;
}

#[tokio::test]
async fn frames_that_lie_about_their_length() {
    let Some(mut world) = World::start().await else { return };
    for (frame, state) in [
        (&[b'Q', 0, 0, 0, 3][..], "08P01"),
        (&[b'Q', 0xff, 0xff, 0xff, 0xff][..], "08P01"),
        (&[b'Q', 0x7f, 0xff, 0xff, 0xff][..], "54000"),
        (&[b'\0', 0, 0, 0, 4][..], "08P01"),
        (&[b'!', 0, 0, 0, 4][..], "08P01"),
    ] {
        let mut client = world.raw().await;
        client.send_bytes(frame).await.expect("sent");
        let said = client.until_closed().await.expect("a farewell");
        assert_eq!(errors(&said), [state], "{frame:?}: {said:?}");
    }
    serves(&mut world).await;
}

#[tokio::test]
async fn a_password_message_of_any_length_before_the_login() {
    let Some(mut world) = Setup::default().user("app", "x").start().await else {
        return;
    };
    for frame in [
        &[b'p', 0, 0, 0, 0][..],
        &[b'p', 0, 0, 0, 4],
        &[b'p', 0x10, 0, 0, 0],
        &[b'Q', 0, 0, 0, 5, 0],
    ] {
        let mut client = Client::connect(world.process().address()).await.expect("a connection");
        client
            .send(&[Message::startup(&[("user", "app"), ("database", "app")])])
            .await
            .expect("sent");
        client.next().await.expect("the question for the password");
        client.send_bytes(frame).await.expect("sent");
        client.close_writing().await;
        let said = client.until_closed().await.expect("a farewell");
        assert!(!said.iter().any(|event| matches!(event, Event::Ready(_))), "{frame:?}: {said:?}");
    }
    assert!(world.process_mut().is_running());
}

#[tokio::test]
async fn messages_whose_contents_are_cut_short_leave_the_session_usable() {
    let Some(world) = World::start().await else { return };
    let mut client = world.raw().await;
    let broken = [
        Message::new(b'P', b"no end"),
        Message::new(b'P', b"s\0SELECT 1\0\0\x07"),
        Message::new(b'B', b"\0\0\0\x01\0\0\0\x01\xff\xff"),
        Message::new(b'B', b"\0\0\x7f\xff"),
        Message::new(b'D', b"X\0"),
        Message::new(b'E', b"\0\0"),
        Message::new(b'C', b"S"),
    ];
    let broken = broken.map(|message| (message, "08P01")).into_iter();
    let not_utf8 = (Message::new(b'P', b"\0SELECT '\xff\xfe'\0\0\0"), "22021");
    for (message, state) in broken.chain([not_utf8]) {
        client.send(&[message, Message::execute("", 0), Message::sync()]).await.expect("sent");
        let said = client.until_ready().await.expect("an answer");
        assert_eq!(errors(&said), [state], "{said:?}");
        assert_eq!(said.last(), Some(&Event::Ready('I')));
    }
    for (text, state) in [
        (&b"SELECT '\xff\xfe'\0"[..], "22021"),
        (b"SELECT 1", "08P01"),
        (b"SELECT 1\0SELECT 2\0", "08P01"),
    ] {
        client.send(&[Message::new(b'Q', text)]).await.expect("sent");
        let said = client.until_ready().await.expect("an answer");
        assert_eq!(errors(&said), [state], "{said:?}");
    }
    let said = client.query("SELECT 1").await.expect("an answer");
    assert!(said.contains(&Event::Done("SELECT 1".into())), "{said:?}");
}

#[tokio::test]
async fn names_and_counts_that_do_not_fit() {
    let Some(world) = World::start().await else { return };
    for mut client in [world.raw().await, world.raw_oracle().await] {
        let parameters = [Some(b"1".to_vec()), Some(b"2".to_vec())];
        let bind = |statement, parameters| {
            Message::bind(&Bind {
                portal: "",
                statement,
                parameter_format: Format::Text,
                parameters,
                result_format: Format::Text,
            })
        };
        client
            .send(&[
                Message::parse("one", "SELECT $1::int", &[]),
                bind("one", &parameters),
                Message::execute("", 0),
                Message::sync(),
                bind("none", &parameters),
                Message::execute("", 0),
                Message::sync(),
                Message::execute("nowhere", 0),
                Message::sync(),
                Message::describe(b'S', "none"),
                Message::sync(),
                Message::parse("one", "SELECT 2", &[]),
                Message::sync(),
            ])
            .await
            .expect("sent");
        for state in ["08P01", "26000", "34000", "26000", "42P05"] {
            let said = client.until_ready().await.expect("an answer");
            assert_eq!(errors(&said), [state], "{said:?}");
        }
    }
}

#[tokio::test]
async fn a_statement_past_the_limit() {
    let Some(mut world) = Setup::default().limit("max_message_size = \"64KB\"").start().await
    else {
        return;
    };
    let mut client = world.raw().await;
    let said = client.query(&format!("SELECT '{}'", "x".repeat(60_000))).await.expect("an answer");
    assert_eq!(errors(&said), [""; 0]);
    client
        .send(&[Message::query(&format!("SELECT '{}'", "x".repeat(70_000)))])
        .await
        .expect("sent");
    let said = client.until_closed().await.expect("a farewell");
    assert_eq!(errors(&said), ["54000"], "{said:?}");
    serves(&mut world).await;
}

#[tokio::test]
async fn a_client_that_goes_in_the_middle_of_a_message() {
    let Some(mut world) = World::start().await else { return };
    for _ in 0..20 {
        let mut client = world.raw().await;
        client.send_bytes(&[b'Q', 0, 0, 1, 0, b'S', b'E']).await.expect("sent");
        drop(client);
        let mut client = world.raw().await;
        client
            .send(&[Message::query("SELECT * FROM generate_series(1, 1000000)")])
            .await
            .expect("sent");
        drop(client);
    }
    serves(&mut world).await;
}

/// A condition that is a tree as deep as it is long: PostgreSQL reads it, but whoever walks such a
/// tree runs out of stack.
#[tokio::test]
async fn a_statement_as_deep_as_it_is_long() {
    let setup = Setup::default().table("public.words", Home::Memory);
    let setup = setup.section("[[cache]]\nwhen = { database = \"app\" }\nttl = \"1h\"");
    let Some(mut world) = setup.start().await else { return };
    let mut client = world.raw().await;
    client
        .query(
            "CREATE TABLE words (id int PRIMARY KEY); CREATE TABLE relational (id int PRIMARY KEY)",
        )
        .await
        .expect("tables");
    for (operator, table, state) in [
        ("AND", "words", vec!["0A000"]),
        ("OR", "words", vec!["0A000"]),
        ("OR", "relational", vec![]),
        ("AND", "relational", vec![]),
    ] {
        let condition = vec!["id = 1"; 60_000].join(&format!(" {operator} "));
        for verb in ["SELECT count(*) FROM", "DELETE FROM"] {
            let said = client
                .query(&format!("{verb} {table} WHERE {condition}"))
                .await
                .expect("an answer");
            assert_eq!(errors(&said), state, "{operator} {table}");
        }
    }
    // Of what isn't a tree there may be more.
    let rows: Vec<_> = (0..9_000).map(|id| format!("({id})")).collect();
    let said = client
        .query(&format!("INSERT INTO words VALUES {}", rows.join(", ")))
        .await
        .expect("an answer");
    assert_eq!(errors(&said), [""; 0]);
    serves(&mut world).await;
}
