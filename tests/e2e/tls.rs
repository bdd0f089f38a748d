//! TLS to clients: who gets it, who must have it, and what it proves.

use flywheel_tests::child::{psql, run};
use flywheel_tests::raw::{Client, Event, Message};
use flywheel_tests::tls::{Authority, Certificate, Tls};
use flywheel_tests::world::{Servers, column, try_connect};
use flywheel_tests::{Home, Setup, Told, World};
use tokio::process::Command;

const USED: &str = "SELECT 1";
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// `[tls]` with a certificate for 127.0.0.1, and further keys.
fn section(shown: &Certificate, keys: &str) -> String {
    format!("[tls]\ncert_file = {:?}\nkey_file = {:?}\n{keys}", shown.cert, shown.key)
}

async fn shown(authority: &Authority) -> Certificate {
    authority.sign("gateway", "IP:127.0.0.1,DNS:localhost").await
}

/// A gateway with TLS and its authority.
async fn world(setup: Setup, keys: &str) -> Option<(World, Authority)> {
    let authority = Authority::new().await;
    let shown = shown(&authority).await;
    let world = setup.section(&section(&shown, keys)).start().await?;
    Some((world, authority))
}

fn with_user() -> Setup {
    Setup::default().user("app", "correct horse")
}

fn verified(url: &str, authority: &Authority) -> String {
    format!("{url}?sslmode=verify-full&sslrootcert={}", authority.cert().display())
}

#[tokio::test]
async fn psql_is_encrypted_as_it_asks_for() {
    let Some((world, authority)) = world(with_user(), "").await else { return };
    let url = world.url_of("app:correct%20horse");
    for (query, encrypted) in
        [("?sslmode=disable", false), ("?sslmode=prefer", true), ("?sslmode=require", true)]
    {
        let ran = psql(&format!("{url}{query}"), "\\conninfo\nSELECT 'rows';").await.well();
        assert_eq!(ran.stdout.contains("SSL connection"), encrypted, "{query} {ran:?}");
        assert!(ran.stdout.contains("rows"), "{ran:?}");
    }
    psql(&verified(&url, &authority), USED).await.well();
    // The login is bound to the connection, and must be where the client says so.
    let bound = format!("{}&channel_binding=require", verified(&url, &authority));
    psql(&bound, USED).await.well();
    let another = Authority::new().await;
    let ran = psql(&verified(&url, &another), USED).await;
    assert!(ran.stderr.contains("certificate verify failed"), "{ran:?}");
}

#[tokio::test]
async fn clients_in_the_clear_are_turned_away_where_tls_is_required() {
    let Some((world, authority)) = world(Setup::default(), "mode = \"require\"").await else {
        return;
    };
    Told::by(try_connect(&world.url()).await.map(drop)).is("28000", &["TLS", "sslmode"]);
    // libpq tries it in the clear first, and then with TLS.
    for mode in ["allow", "prefer", "require"] {
        psql(&format!("{}?sslmode={mode}", world.url()), USED).await.well();
    }
    psql(&verified(&world.url(), &authority), USED).await.well();
}

#[tokio::test]
async fn a_cancel_request_in_the_clear_reaches_an_encrypted_session() {
    let Some((world, authority)) = world(Setup::default(), "mode = \"require\"").await else {
        return;
    };
    let tls = Tls::new(&authority.cert(), None, None);
    let client = tls.connect(&world.url()).await.expect("a login");
    for encrypted in [false, true] {
        let token = client.cancel_token();
        let sleeping = client.batch_execute("SELECT pg_sleep(60)");
        let cancelling = async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            if encrypted {
                token.cancel_query(tls.clone()).await.expect("sent");
            } else {
                token.cancel_query(tokio_postgres::NoTls).await.expect("sent");
            }
        };
        // tokio-postgres sends it as the session was made, when it can.
        let (slept, ()) = tokio::join!(sleeping, cancelling);
        Told::by(slept).is("57014", &[]);
    }
}

#[tokio::test]
async fn tls_from_the_first_byte_names_the_protocol() {
    let Some((world, authority)) = world(with_user(), "").await else { return };
    let url =
        format!("{}?sslmode=require&sslnegotiation=direct", world.url_of("app:correct%20horse"));
    let named = Tls::new(&authority.cert(), None, Some(b"postgresql"));
    let client = named.connect(&url).await.expect("a login");
    assert_eq!(column(&client, USED).await, ["1"]);
    for other in [None, Some(&b"h2"[..])] {
        let nameless = Tls::new(&authority.cert(), None, other);
        nameless.connect(&url).await.map(drop).expect_err("nobody is let in");
    }
    // Asked for first, it needs no name.
    let nameless = Tls::new(&authority.cert(), None, None);
    nameless.connect(&world.url_of("app:correct%20horse")).await.expect("a login");
}

#[tokio::test]
async fn what_was_sent_in_the_clear_is_not_taken_for_the_session() {
    let Some((world, _authority)) = world(Setup::default(), "").await else { return };
    let mut client = Client::connect(world.process().address()).await.expect("a connection");
    let startup = Message::startup(&[("user", "postgres"), ("database", "app")]);
    let request = [&SSL_REQUEST[..], startup.bytes()].concat();
    client.send_bytes(&request).await.expect("sent");
    let said = client.until_closed().await.expect("an end");
    let [Event::Error(error)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(error.state(), "08P01", "{error:?}");
}

#[tokio::test]
async fn a_certificate_is_the_login_of_those_who_must_show_one() {
    let Some(_) = Servers::from_environment() else { return };
    let authority = Authority::new().await;
    let shown = shown(&authority).await;
    let keys = format!("client_ca_file = {:?}", authority.cert());
    let world = with_user()
        .section("[[users]]\nname = \"robot\"\ncommon_names = [\"robot\", \"machine\"]")
        .section("[[users]]\nname = \"both\"\npassword = \"word\"\ncommon_names = [\"machine\"]")
        .section(&section(&shown, &keys))
        .start()
        .await
        .expect("servers");
    let machine = authority.sign("machine", "DNS:machine").await;
    let stranger = authority.sign("stranger", "DNS:stranger").await;
    let by = |shown| Tls::new(&authority.cert(), shown, None);
    let robot = world.url_of("robot");
    let client = by(Some(&machine)).connect(&robot).await.expect("a login");
    assert_eq!(column(&client, USED).await, ["1"]);
    Told::by(by(Some(&stranger)).connect(&robot).await.map(drop))
        .is("28000", &["certificate authentication failed for user \"robot\""]);
    // Without a certificate there is no session, whoever it is.
    by(None).connect(&world.url_of("app:correct%20horse")).await.map(drop).expect_err("none");
    // In the clear none can be shown.
    Told::by(try_connect(&robot).await.map(drop)).is("28000", &["certificate"]);
    // With a password both must be right.
    by(Some(&machine)).connect(&world.url_of("both:word")).await.expect("a login");
    Told::by(by(Some(&machine)).connect(&world.url_of("both:wrong")).await.map(drop))
        .is("28P01", &["both"]);
    Told::by(by(Some(&stranger)).connect(&world.url_of("both:word")).await.map(drop))
        .is("28000", &["both"]);
    // Another authority's certificate is nobody's.
    let another = Authority::new().await;
    let others = another.sign("machine", "DNS:machine").await;
    by(Some(&others)).connect(&robot).await.map(drop).expect_err("no login");
    // Others log in by password, with any certificate of the authority.
    by(Some(&stranger)).connect(&world.url_of("app:correct%20horse")).await.expect("a login");
}

#[tokio::test]
async fn much_goes_through_both_ways_at_once() {
    let Some((world, authority)) = world(Setup::default(), "").await else { return };
    let client = Tls::new(&authority.cert(), None, None).connect(&world.url()).await.expect("it");
    let long = "ü".repeat(3_000_000);
    let rows = client.query("SELECT $1::text || n FROM generate_series(1, 5) n", &[&long]).await;
    let rows = rows.expect("rows");
    assert_eq!(rows.len(), 5);
    assert!(rows.iter().all(|row| row.get::<_, &str>(0).len() == long.len() + 1));
    let many: Vec<_> =
        (0..500).map(|_| client.query_one("SELECT repeat('x', 9000)", &[])).collect();
    for row in futures_util::future::join_all(many).await {
        assert_eq!(row.expect("a row").get::<_, &str>(0).len(), 9000);
    }
}

/// A driver in another language with its table in `home`.
async fn passes(home: Home, start: impl Fn(&Servers) -> Option<Command>) {
    let setup = Setup::default().table("public.items", home);
    let Some((world, authority)) = world(setup, "mode = \"require\"").await else { return };
    let Some(mut command) = start(world.servers()) else { return };
    run(command.arg(verified(&world.url(), &authority))).await.well();
}

fn script(name: &str) -> String {
    format!("{}/drivers/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn python(servers: &Servers, name: &str) -> Option<Command> {
    let mut command = Command::new(servers.python.as_ref()?);
    command.arg(script(name));
    Some(command)
}

#[tokio::test]
async fn psycopg() {
    passes(Home::Memory, |servers| python(servers, "psycopg3.py")).await;
}

#[tokio::test]
async fn asyncpg() {
    passes(Home::Relational, |servers| python(servers, "asyncpg_pool.py")).await;
}

#[tokio::test]
async fn node_postgres() {
    passes(Home::Relational, |servers| {
        let mut command = Command::new("node");
        command.env("NODE_PATH", servers.node_path.as_ref()?).arg(script("node_postgres.js"));
        Some(command)
    })
    .await;
}

#[tokio::test]
async fn lib_pq() {
    passes(Home::Relational, |servers| Some(Command::new(servers.go.as_ref()?))).await;
}

#[tokio::test]
async fn pgjdbc() {
    passes(Home::Relational, |servers| {
        let mut command = Command::new("java");
        command.args(["-cp", servers.java.as_ref()?, "PgJdbc"]);
        Some(command)
    })
    .await;
}
