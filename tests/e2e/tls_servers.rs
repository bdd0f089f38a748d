//! TLS to PostgreSQL: every connection that a gateway makes, to a server that refuses others.

use flywheel_tests::cache::shown as shown_of;
use flywheel_tests::tls::{Authority, Certificate};
use flywheel_tests::world::{column, connect, until};
use flywheel_tests::{Cluster, Setup, Told, World};

/// Only encrypted connections are let in, also to replicate.
const ONLY_TLS: &str = "hostssl all all 127.0.0.1/32 trust
hostssl replication all 127.0.0.1/32 trust
hostnossl all all 127.0.0.1/32 reject
";
const IS_ENCRYPTED: &str = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

async fn shown(authority: &Authority) -> Certificate {
    authority.sign("postgres", "DNS:localhost").await
}

/// Servers with a certificate of this authority, which let in whom `hba` says.
async fn servers(replicas: usize, authority: &Authority, hba: &str) -> Option<Cluster> {
    let mut cluster = Cluster::start(replicas).await?;
    let shown = shown(authority).await;
    for server in 0..=replicas {
        cluster.encrypt(server, &shown, &authority.cert(), hba).await;
    }
    Some(cluster)
}

/// The url by a name that the certificate is for.
fn named(cluster: &Cluster, servers: &[usize], query: &str) -> String {
    format!("{}?{query}", cluster.url_of(servers).replace("127.0.0.1", "localhost"))
}

async fn gateway(url: &str, keys: &[&str]) -> World {
    let setup = keys.iter().fold(Setup::default().primary_at(url), |setup, key| setup.main(key));
    setup.start().await.expect("servers")
}

fn ca(authority: &Authority) -> String {
    format!("tls_ca_cert_file = {:?}", authority.cert())
}

#[tokio::test]
async fn statements_cancels_listening_and_copy_are_encrypted() {
    let authority = Authority::new().await;
    let Some(cluster) = servers(0, &authority, ONLY_TLS).await else { return };
    let url = named(&cluster, &[0], "sslmode=verify-full");
    let world = gateway(&url, &[&ca(&authority)]).await;
    let client = world.gateway().await;
    // A shared connection, and one of its own.
    for _ in 0..3 {
        assert_eq!(column(&client, IS_ENCRYPTED).await, ["t"]);
    }
    client.batch_execute("BEGIN").await.expect("a block");
    assert_eq!(column(&client, IS_ENCRYPTED).await, ["t"]);
    client.batch_execute("COMMIT; CREATE TABLE t (n int)").await.expect("a table");
    let token = client.cancel_token();
    let sleeping = client.batch_execute("SELECT pg_sleep(60)");
    let cancelling = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        token.cancel_query(tokio_postgres::NoTls).await.expect("sent");
    };
    let (slept, ()) = tokio::join!(sleeping, cancelling);
    Told::by(slept).is("57014", &[]);
    let long = "x".repeat(5_000_000);
    let row = client.query_one("SELECT $1::text", &[&long]).await.expect("a row");
    assert_eq!(row.get::<_, &str>(0).len(), long.len());
    client.batch_execute("LISTEN news; NOTIFY news").await.expect("a listener");
}

#[tokio::test]
async fn modes_are_as_in_libpq() {
    let authority = Authority::new().await;
    let Some(cluster) = servers(0, &authority, "host all all 127.0.0.1/32 trust\n").await else {
        return;
    };
    let other = Authority::new().await;
    for (query, authority, encrypted) in [
        ("sslmode=disable", None, "f"),
        ("sslmode=allow", None, "f"),
        ("sslmode=prefer", None, "t"),
        ("", None, "t"),
        ("sslmode=require", None, "t"),
        ("sslmode=verify-ca", Some(&authority), "t"),
        ("sslmode=verify-full", Some(&authority), "t"),
    ] {
        let keys = authority.map(ca);
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let world = gateway(&named(&cluster, &[0], query), &keys).await;
        let found = column(&world.gateway().await, IS_ENCRYPTED).await;
        assert_eq!(found, [encrypted], "{query}");
    }
    // An authority that hasn't signed it, one that isn't known, and another host's name.
    let address = format!("{}?sslmode=verify-full", cluster.url(0));
    for (url, keys) in [
        (named(&cluster, &[0], "sslmode=require"), vec![ca(&other)]),
        (named(&cluster, &[0], "sslmode=verify-ca"), vec![ca(&other)]),
        (named(&cluster, &[0], "sslmode=verify-ca"), vec![]),
        (address, vec![ca(&authority)]),
    ] {
        let mut keys: Vec<_> = keys.iter().map(String::as_str).collect();
        keys.push("acquire_timeout = \"1s\"");
        let world = gateway(&url, &keys).await;
        let refused = flywheel_tests::world::try_connect(&world.url()).await.map(drop);
        Told::by(refused).is("08006", &["certificate"]);
    }
    // Whose address is in no certificate is told by its authority.
    let world = gateway(&format!("{}?sslmode=verify-ca", cluster.url(0)), &[&ca(&authority)]).await;
    assert_eq!(column(&world.gateway().await, IS_ENCRYPTED).await, ["t"]);
}

#[tokio::test]
async fn prefer_and_allow_find_what_the_server_lets_in() {
    let authority = Authority::new().await;
    for (hba, encrypted) in [
        (ONLY_TLS, "t"),
        ("hostnossl all all 127.0.0.1/32 trust\nhostssl all all 127.0.0.1/32 reject\n", "f"),
    ] {
        let Some(cluster) = servers(0, &authority, hba).await else { return };
        for mode in ["allow", "prefer"] {
            let world = gateway(&named(&cluster, &[0], &format!("sslmode={mode}")), &[]).await;
            assert_eq!(column(&world.gateway().await, IS_ENCRYPTED).await, [encrypted], "{mode}");
        }
    }
}

#[tokio::test]
async fn a_certificate_is_shown_and_a_login_bound_to_the_connection() {
    let authority = Authority::new().await;
    let hba = "hostssl all robot 127.0.0.1/32 cert
hostssl all app 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
";
    let Some(cluster) = servers(0, &authority, hba).await else { return };
    let behind = cluster.client(0).await;
    behind
        .batch_execute(
            "CREATE ROLE robot LOGIN SUPERUSER; CREATE ROLE app LOGIN SUPERUSER PASSWORD 'word'",
        )
        .await
        .expect("roles");
    let robot = authority.sign("robot", "DNS:robot").await;
    let url = named(&cluster, &[0], "sslmode=verify-full").replace("postgres@", "robot@");
    let keys = [
        ca(&authority),
        format!("tls_cert_file = {:?}", robot.cert),
        format!("tls_key_file = {:?}", robot.key),
    ];
    let world = gateway(&url, &keys.each_ref().map(String::as_str)).await;
    let found = column(&world.gateway().await, "SELECT session_user").await;
    assert_eq!(found, ["robot"]);
    let url = named(&cluster, &[0], "sslmode=verify-full").replace("postgres@", "app:word@");
    let world = gateway(&url, &[&ca(&authority)]).await;
    assert_eq!(column(&world.gateway().await, "SELECT session_user").await, ["app"]);
}

#[tokio::test]
async fn replicas_and_the_look_at_them_are_encrypted() {
    let authority = Authority::new().await;
    let Some(cluster) = servers(1, &authority, ONLY_TLS).await else { return };
    let both = named(&cluster, &[0, 1], "sslmode=verify-full");
    let world = Setup::default()
        .primary_at(&both)
        .main(&format!("replicas = [{both:?}]"))
        .main("check_interval = \"100ms\"")
        .main(&ca(&authority))
        .section("[[routes]]\nwhen = { kind = \"read\" }\nto = \"main.replicas\"")
        .start()
        .await
        .expect("servers");
    let client = world.gateway().await;
    client.batch_execute("CREATE TABLE t (n int)").await.expect("the primary");
    until("a read on the replica", async || {
        column(&client, "SELECT pg_is_in_recovery()").await == ["t"]
    })
    .await;
    assert_eq!(column(&client, IS_ENCRYPTED).await, ["t"]);
}

#[tokio::test]
async fn changes_are_followed_over_an_encrypted_connection() {
    let authority = Authority::new().await;
    let Some(cluster) = servers(0, &authority, ONLY_TLS).await else { return };
    let rule = "[[cache]]\nwhen = { tables = [\"public.words\"] }\nttl = \"1h\"\ninvalidate = \"replication\"\nmax_lag = \"5s\"";
    let url = named(&cluster, &[0], "sslmode=verify-full");
    let past = gateway(&url, &[&ca(&authority)]).await;
    let behind = past.gateway().await;
    behind.batch_execute("CREATE TABLE words (word text PRIMARY KEY)").await.expect("a table");
    let world = Setup::default()
        .primary_at(&url)
        .main(&ca(&authority))
        .section(rule)
        .start()
        .await
        .expect("servers");
    let client = connect(&world.url()).await;
    until("a stream", async || !shown_of(&client, "lag_ms").await.is_empty()).await;
    assert_eq!(column(&client, "SELECT count(*) FROM words").await, ["0"]);
    // Written past the gateway.
    behind.batch_execute("INSERT INTO words VALUES ('new')").await.expect("a row");
    until("the row", async || column(&client, "SELECT count(*) FROM words").await == ["1"]).await;
}
