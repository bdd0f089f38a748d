//! Servers for tests: the one that `FLYWHEEL_TEST_REDIS` names, or one of a test's own.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flywheel_redis::RedisStore;
use flywheel_store::Store;

/// The server that all tests share; says so when there is none.
pub(crate) fn shared() -> Option<String> {
    let url = std::env::var("FLYWHEEL_TEST_REDIS").ok();
    if url.is_none() {
        eprintln!("FLYWHEEL_TEST_REDIS isn't set: nothing tested");
    }
    url
}

/// A store whose answers may take a second.
pub(crate) fn store(url: &str, prefix: &str) -> RedisStore {
    RedisStore::connect_lazy(url, prefix, Duration::from_secs(1)).expect("a URL")
}

/// A plain connection, to look behind the store's back.
pub(crate) async fn plain(url: &str) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(url).expect("a URL");
    client.get_multiplexed_async_connection().await.expect("a connection")
}

/// A redis-server of a test's own, ended with it.
pub(crate) struct Server {
    port: u16,
    process: Option<Child>,
}

impl Server {
    /// A server on a free port; `None` where there is no redis-server.
    pub(crate) async fn start() -> Option<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let mut server = Self { port, process: None };
        if !server.run().await {
            eprintln!("no redis-server: nothing tested");
            return None;
        }
        Some(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Runs it again on its port, empty; false where there is no redis-server.
    pub(crate) async fn run(&mut self) -> bool {
        let started = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = started else { return false };
        self.process = Some(process);
        let store = store(&self.url(), "");
        let begun = Instant::now();
        while store.ping().await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10), "redis-server starts");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }

    /// Ends it without goodbye.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("kill");
            process.wait().expect("wait");
        }
    }

    /// Stops (`STOP`) or continues (`CONT`) it: a server that is there and doesn't answer.
    pub(crate) fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("a running server");
        let status = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(process.id().to_string())
            .status();
        assert!(status.expect("kill").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
