//! A server that is down, or refuses, isn't asked by every client that waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flywheel_tests::child::in_time;
use flywheel_tests::proxy::{Network, Proxy};
use flywheel_tests::world::{Servers, column, try_connect};
use flywheel_tests::{Setup, Told, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server that refuses every login, and counts them.
async fn refusing() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("postgres://app@{}/app", listener.local_addr().expect("its address"));
    let count = Arc::new(AtomicUsize::new(0));
    let logins = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            logins.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut startup = [0; 1024];
                let _ = stream.read(&mut startup).await;
                // Time for those to come who would all try at once.
                tokio::time::sleep(Duration::from_millis(100)).await;
                let fields = b"SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0";
                let length = u32::try_from(fields.len() + 4).expect("a length");
                let _ =
                    stream.write_all(&[&b"E"[..], &length.to_be_bytes(), fields].concat()).await;
            });
        }
    });
    (url, count)
}

#[tokio::test]
async fn hundreds_of_clients_are_a_few_logins() {
    let (url, logins) = refusing().await;
    let setup =
        Setup::default().primary_at(&url).main("pool_size = 50").main("login_retry = \"200ms\"");
    let Some(world) = setup.start().await else { return };
    let clients = 100;
    let rounds = 6;
    for _ in 0..rounds {
        let url = world.url();
        let told = (0..clients).map(|_| async { Told::by(try_connect(&url).await.map(drop)) });
        for told in in_time(futures_util::future::join_all(told)).await {
            told.is("53300", &["sorry, too many clients already"]);
        }
    }
    let logins = logins.load(Ordering::Relaxed);
    // As many as may be at first, then one for all who wait. On a busy machine not all of a round
    // come at once.
    assert!((rounds..150).contains(&logins), "{logins} logins for {} clients", clients * rounds);
}

async fn behind_proxy(setup: Setup) -> Option<(World, Proxy)> {
    let servers = Servers::from_environment()?;
    let (_, address) = servers.postgres.split_once('@').expect("a user");
    let proxy = Proxy::to(address.split('/').next().expect("an address")).await;
    let url = format!("postgres://postgres@{}/postgres", proxy.address());
    Some((setup.primary_at(&url).start().await?, proxy))
}

#[tokio::test]
async fn a_server_that_is_back_is_used() {
    let Some((world, proxy)) = behind_proxy(Setup::default().main("login_retry = \"300ms\"")).await
    else {
        return;
    };
    let clients = futures_util::future::join_all((0..30).map(|_| world.gateway())).await;
    for _ in 0..2 {
        proxy.becomes(Network::Down);
        for _ in 0..3 {
            let told = clients.iter().map(|client| Told::of(client, "BEGIN"));
            for told in in_time(futures_util::future::join_all(told)).await {
                told.is("08006", &["url"]);
            }
        }
        proxy.becomes(Network::Up);
        // Whoever asks from now on waits for the next login, which succeeds.
        let answers = clients.iter().map(|client| column(client, "SELECT 1"));
        for answer in in_time(futures_util::future::join_all(answers)).await {
            assert_eq!(answer, ["1"]);
        }
    }
}
