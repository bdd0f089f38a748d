//! A DynamoDB to test against.

#![allow(dead_code, unreachable_pub, reason = "each test crate uses its part")]

use std::{sync::mpsc, time::Duration};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};
use flywheel_dynamodb::{DynamoStore, Options};
use tokio::sync::oneshot;

/// A store, and the server behind it when it is this test's own.
pub struct World {
    pub store: DynamoStore,
    pub endpoint: String,
    _server: Option<oneshot::Sender<()>>,
}

impl World {
    /// An embedded server of its own, which ends with the world.
    pub async fn start() -> Self {
        let (stop, stopped) = oneshot::channel();
        let (started, address) = mpsc::channel();
        // On a runtime of its own: it works in the database within its tasks.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                started.send(listener.local_addr().expect("an address")).expect("a test");
                let database = dynoxide::Database::memory().expect("a database");
                let _ = dynoxide::server::serve_with_shutdown(listener, database, async {
                    let _ = stopped.await;
                })
                .await;
            });
        });
        let endpoint = format!("http://{}", address.recv().expect("an address"));
        Self { store: store(&endpoint).await, endpoint, _server: Some(stop) }
    }

    /// The SDK itself, for what another tool would do.
    pub fn other_tool(&self) -> Client {
        Client::from_conf(
            Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("eu-central-1"))
                .endpoint_url(&self.endpoint)
                .credentials_provider(Credentials::new("test", "test", None, None, "test"))
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .build(),
        )
    }

    /// The servers that the environment names.
    pub async fn endpoints() -> Vec<Self> {
        let endpoints = std::env::var("FLYWHEEL_TEST_DYNAMODB")
            .expect("FLYWHEEL_TEST_DYNAMODB: ./test starts the server and sets it");
        let mut worlds = Vec::new();
        for endpoint in endpoints.split(',').filter(|endpoint| !endpoint.is_empty()) {
            worlds.push(Self {
                store: store(endpoint).await,
                endpoint: endpoint.to_owned(),
                _server: None,
            });
        }
        worlds
    }

    /// The embedded server, then those of the environment.
    pub async fn all() -> Vec<Self> {
        let mut worlds = vec![Self::start().await];
        worlds.extend(Self::endpoints().await);
        worlds
    }
}

/// A store at an endpoint.
pub async fn store(endpoint: &str) -> DynamoStore {
    DynamoStore::connect(Options {
        region: Some("eu-central-1".to_owned()),
        endpoint: Some(endpoint.to_owned()),
        table_prefix: "test-".to_owned(),
        timeout: Duration::from_secs(10),
        credentials: Some(("test".to_owned(), "test".to_owned())),
    })
    .await
}
