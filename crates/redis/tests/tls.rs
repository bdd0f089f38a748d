//! TLS with certificates of one's own, and users with few rights.

mod server;

use std::process::{Command, Stdio};
use std::time::Duration;

use flywheel_redis::{Certificates, RedisOptions, RedisStore, Topology};
use flywheel_store::conformance::fixture::*;
use flywheel_store::{Applied, Change, Effect, Expect, Store, StoreError, StoreTable, Writes};
use server::{Folder, Server, free_port};

fn words(name: &str) -> StoreTable {
    table(name, &[("word", text_type()), ("n", int8_type())], &["word"])
}

fn put() -> Change {
    Change {
        key: key(&[text("a")]),
        expect: Expect::Any,
        effect: Effect::Put(vec![text("a"), int(1)]),
    }
}

fn openssl(arguments: &[&str]) {
    let made = Command::new("openssl")
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl").success(), "openssl {arguments:?}");
}

/// An authority called `ca`, and certificates by it for `server` and `client`.
fn make_certificates(folder: &Folder) {
    let path = |name: &str| folder.path(name);
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let (ca_key, ca) = (path("ca.key"), path("ca.crt"));
    openssl(
        &[&["req", "-x509"], &key[..], &["-subj", "/CN=Test CA", "-keyout", &ca_key, "-out", &ca]]
            .concat(),
    );
    for name in ["server", "client"] {
        let (own_key, certificate) = (path(&format!("{name}.key")), path(&format!("{name}.crt")));
        let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
        let own = ["-subj", "/CN=localhost", "-addext", names, "-CA", &ca, "-CAkey", &ca_key];
        let files =
            ["-addext", "basicConstraints=CA:FALSE", "-keyout", &own_key, "-out", &certificate];
        openssl(&[&["req", "-x509"], &key[..], &own[..], &files[..]].concat());
    }
}

#[tokio::test]
async fn certificates_of_ones_own() {
    let folder = Folder::new("tls");
    make_certificates(&folder);
    let read = |name: &str| std::fs::read(folder.path(name)).expect("a certificate");
    let port = free_port();
    let arguments = [
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &folder.path("server.crt"),
        "--tls-key-file",
        &folder.path("server.key"),
        "--tls-ca-cert-file",
        &folder.path("ca.crt"),
        "--tls-auth-clients",
        "yes",
    ];
    let Some(_server) = Server::start_with(&arguments).await else {
        return;
    };
    let authorities = Some(read("ca.crt"));
    let client = Some((read("client.crt"), read("client.key")));
    let store = |authorities: &Option<Vec<u8>>, client: &Option<(Vec<u8>, Vec<u8>)>| {
        RedisStore::new(&RedisOptions {
            topology: Topology::One(format!("rediss://localhost:{port}")),
            certificates: Certificates { authorities: authorities.clone(), client: client.clone() },
            key_prefix: String::new(),
            timeout: Duration::from_secs(2),
        })
    };
    let friend = store(&authorities, &client).expect("certificates");
    assert!(matches!(friend.write(&words("tls"), &put()).await, Ok(Applied::Done(_))));
    for (what, authorities, client) in [
        ("an authority that the system doesn't know", &None, &client),
        ("no certificate of the client's", &authorities, &None),
    ] {
        let answer = store(authorities, client).expect("certificates").ping().await;
        assert!(matches!(answer, Err(StoreError::Unavailable { .. })), "{what}: {answer:?}");
    }
    let refused = store(&authorities, &Some((read("client.crt"), b"no key".to_vec())));
    assert!(refused.is_err(), "{refused:?}");
}

#[tokio::test]
async fn users_with_few_rights() {
    let Some(server) = Server::start().await else { return };
    let mut redis = server::plain(&server.url()).await;
    for user in [
        "app on >secret ~{app:* +@read +@write +@scripting +@connection -@dangerous",
        "reader on >secret ~{app:* +@read +@connection",
    ] {
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER");
        for word in user.split(' ') {
            command.arg(word);
        }
        command.exec_async(&mut redis).await.expect("acl setuser");
    }
    let url = |user: &str| server.url().replace("redis://", &format!("redis://{user}@"));
    let app = server::store(&url("app:secret"), "app:");
    let table = words("public.words");
    assert!(matches!(app.write(&table, &put()).await, Ok(Applied::Done(_))));
    assert_eq!(app.scan(&table, 10).await.map(|rows| rows.len()), Ok(1));

    let is_forbidden = |answer: Result<(), StoreError>, what: &str| {
        let error = answer.expect_err(what);
        assert!(
            matches!(&error, StoreError::Forbidden { reason } if reason.contains(what)),
            "{what}: {error}"
        );
    };
    let reader = server::store(&url("reader:secret"), "app:");
    assert!(reader.get(&table, &[key(&[text("a")])]).await.is_ok());
    is_forbidden(reader.write(&table, &put()).await.map(drop), "evalsha");
    let other = server::store(&url("app:secret"), "other:");
    is_forbidden(other.get(&table, &[key(&[text("a")])]).await.map(drop), "keys");
    let answer = server::store(&url("app:wrong"), "app:").ping().await;
    assert!(matches!(answer, Err(StoreError::Refused { .. })), "{answer:?}");
}
