//! Logging in: who may, how it is proved, and what is refused.

use flywheel_tests::child::psql;
use flywheel_tests::raw::{Client, Event, Message};
use flywheel_tests::world::{column, try_connect, until};
use flywheel_tests::{Setup, Told, World};

fn with_user() -> Setup {
    Setup::default().user("app", "correct horse")
}

#[tokio::test]
async fn the_right_password_opens_a_session() {
    let Some(world) = with_user().start().await else { return };
    let client = try_connect(&world.url_of("app:correct%20horse")).await.expect("a login");
    assert_eq!(column(&client, "SELECT 1").await, ["1"]);
}

#[tokio::test]
async fn a_verifier_is_as_good_as_the_password() {
    let verifier = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    let Some(world) = Setup::default().user("pencil", verifier).start().await else {
        return;
    };
    try_connect(&world.url_of("pencil:pencil")).await.expect("a login");
    Told::by(try_connect(&world.url_of("pencil:pen")).await.map(drop)).is("28P01", &["pencil"]);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_refused_alike() {
    let Some(world) = with_user().start().await else { return };
    let wrong = Told::by(try_connect(&world.url_of("app:wrong")).await.map(drop));
    let unknown = Told::by(try_connect(&world.url_of("nobody:wrong")).await.map(drop));
    wrong.is("28P01", &["password authentication failed for user \"app\""]);
    unknown.is("28P01", &["password authentication failed for user \"nobody\""]);
}

/// The question that SCRAM asks of a user: the salt and how often it is hashed, without the part
/// that differs each time.
async fn question(world: &World, user: &str) -> String {
    let mut client = Client::connect(world.process().address()).await.expect("a connection");
    let startup = Message::startup(&[("user", user), ("database", "app")]);
    client.send(&[startup]).await.expect("sent");
    client.next().await.expect("the mechanisms");
    let first = b"n,,n=,r=rOprNGfwEbeRWgbNEkqO";
    let mut body = b"SCRAM-SHA-256\0".to_vec();
    body.extend_from_slice(&u32::try_from(first.len()).expect("a length").to_be_bytes());
    body.extend_from_slice(first);
    client.send(&[Message::new(b'p', &body)]).await.expect("sent");
    let said = client.next().await.expect("the question");
    let Event::Other('R', body) = said else { panic!("{said:?}") };
    let text = String::from_utf8_lossy(&body[4..]).into_owned();
    text.split_once(",s=").expect("a salt").1.to_owned()
}

#[tokio::test]
async fn an_unknown_user_is_asked_what_a_known_one_is_asked() {
    let Some(world) = with_user().start().await else { return };
    for user in ["app", "nobody"] {
        let (first, second) = (question(&world, user).await, question(&world, user).await);
        assert_eq!(first, second, "a salt that changes tells that {user} doesn't exist");
    }
    let (known, unknown) = (question(&world, "app").await, question(&world, "nobody").await);
    assert_eq!(known.len(), unknown.len(), "{known} {unknown}");
    assert_eq!(
        known.split_once(",i=").expect("a count").1,
        unknown.split_once(",i=").expect("a count").1
    );
}

#[tokio::test]
async fn without_passwords_anybody_may_or_only_those_listed() {
    let Some(world) = World::start().await else { return };
    let client = try_connect(&world.url_of("anybody")).await.expect("a login");
    assert_eq!(column(&client, "SELECT 1").await, ["1"]);

    let Some(world) = Setup::default().section("[[users]]\nname = \"app\"").start().await else {
        return;
    };
    try_connect(&world.url_of("app")).await.expect("a login");
    Told::by(try_connect(&world.url_of("nobody")).await.map(drop))
        .is("28000", &["role \"nobody\" does not exist"]);
}

#[tokio::test]
async fn a_password_that_is_needed_and_not_given_is_asked_for() {
    let Some(world) = with_user().start().await else { return };
    let ran = psql(&format!("{}?sslmode=disable", world.url_of("app:")), "SELECT 1").await;
    assert!(!ran.status.success(), "{ran:?}");
    assert!(ran.stderr.contains("password"), "{ran:?}");
}

#[tokio::test]
async fn a_client_that_insists_on_encryption_says_why_it_stops() {
    let Some(world) = World::start().await else { return };
    let ran = psql(&format!("{}?sslmode=require", world.url()), "SELECT 1").await;
    assert!(!ran.status.success(), "{ran:?}");
    assert!(ran.stderr.contains("server does not support SSL, but SSL was required"), "{ran:?}");
    for mode in ["allow", "prefer", "disable"] {
        psql(&format!("{}?sslmode={mode}", world.url()), "SELECT 1").await.well();
    }
}

#[tokio::test]
async fn a_login_names_a_user_and_the_database() {
    let Some(world) = World::start().await else { return };
    let mut client = Client::connect(world.process().address()).await.expect("a connection");
    client.send(&[Message::startup(&[("database", "app")])]).await.expect("sent");
    let said = client.until_closed().await.expect("an answer");
    assert!(matches!(&said[..], [Event::Error(error)] if error.state() == "28000"), "{said:?}");

    let elsewhere = world.url().replace("/app", "/elsewhere");
    Told::by(try_connect(&elsewhere).await.map(drop))
        .is("3D000", &["database \"elsewhere\" does not exist", "app"]);
}

#[tokio::test]
async fn encryption_is_declined_and_the_login_goes_on() {
    let Some(world) = World::start().await else { return };
    for code in [80_877_103_i32, 80_877_104] {
        let mut client = Client::connect(world.process().address()).await.expect("a connection");
        let request = [8_i32.to_be_bytes(), code.to_be_bytes()].concat();
        client.send_bytes(&request).await.expect("sent");
        assert_eq!(client.byte().await, Ok(b'N'));
        client
            .send(&[Message::startup(&[("user", "postgres"), ("database", "app")])])
            .await
            .expect("sent");
        let said = client.until_ready().await.expect("a login");
        assert!(matches!(said.last(), Some(Event::Ready('I'))), "{said:?}");
    }
}

/// What was refused isn't asked for twice; the other kind of encryption may be.
#[tokio::test]
async fn encryption_that_was_declined_is_not_asked_for_again() {
    let Some(world) = World::start().await else { return };
    let request = |code: i32| [8_i32.to_be_bytes(), code.to_be_bytes()].concat();
    let (tls, gssapi) = (request(80_877_103), request(80_877_104));
    let mut client = Client::connect(world.process().address()).await.expect("a connection");
    for each in [&tls, &gssapi, &tls] {
        client.send_bytes(each).await.expect("sent");
        assert_eq!(client.byte().await, Ok(b'N'));
    }
    client.send_bytes(&tls).await.expect("sent");
    let said = client.until_closed().await.expect("an answer");
    let [Event::Error(error)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(error.state(), "0A000");
    let message = error.field('M').unwrap_or_default();
    assert!(message.starts_with("unsupported frontend protocol 1234.5679"), "{message}");
}

#[tokio::test]
async fn bytes_sent_before_encryption_was_answered_are_not_taken_for_the_session() {
    let Some(world) = World::start().await else { return };
    let mut client = Client::connect(world.process().address()).await.expect("a connection");
    let mut request = [8_i32.to_be_bytes(), 80_877_103_i32.to_be_bytes()].concat();
    request
        .extend_from_slice(Message::startup(&[("user", "postgres"), ("database", "app")]).bytes());
    client.send_bytes(&request).await.expect("sent");
    let said = client.until_closed().await.unwrap_or_default();
    assert!(!said.iter().any(|event| matches!(event, Event::Ready(_))), "{said:?}");
}

#[tokio::test]
async fn startup_options_are_the_sessions_settings() {
    let Some(world) = World::start().await else { return };
    let url = format!(
        "{}?application_name=reports&options=-c%20statement_timeout%3D7777%20-c%20TimeZone%3DAsia/Tokyo",
        world.url()
    );
    let client = try_connect(&url).await.expect("a login");
    assert_eq!(
        column(&client, "SHOW statement_timeout; SHOW TimeZone; SHOW application_name").await,
        ["7777ms", "Asia/Tokyo", "reports"]
    );
    // A RESET goes back to them, not to the server's own.
    assert_eq!(column(&client, "SET TimeZone = 'UTC'").await, [""; 0]);
    assert_eq!(column(&client, "RESET TimeZone").await, [""; 0]);
    assert_eq!(column(&client, "SHOW TimeZone").await, ["Asia/Tokyo"]);
}

#[tokio::test]
async fn more_clients_than_allowed_are_told_so() {
    let Some(world) = Setup::default().key("max_connections = 2").start().await else {
        return;
    };
    let first = world.gateway().await;
    let _second = world.gateway().await;
    Told::by(try_connect(&world.url()).await.map(drop))
        .is("53300", &["too many clients", "max_connections"]);
    assert_eq!(column(&first, "SELECT 1").await, ["1"]);
}

#[tokio::test]
async fn a_client_that_does_not_get_on_with_its_login_is_let_go() {
    let setup = with_user().limit("login_timeout = \"300ms\"");
    let Some(world) = setup.start().await else { return };
    let startup = Message::startup(&[("user", "app"), ("database", "app")]);
    for piece in [&b""[..], &startup.bytes()[..6], startup.bytes()] {
        let mut client = Client::connect(world.process().address()).await.expect("a connection");
        client.send_bytes(piece).await.expect("sent");
        let said = client.until_closed().await.expect("an end");
        assert!(!said.iter().any(|event| matches!(event, Event::Ready(_))), "{said:?}");
    }
    // A busy machine may need longer for one.
    let url = world.url_of("app:correct%20horse");
    until("a login in time", async || try_connect(&url).await.is_ok()).await;
}
