//! Servers for tests: the one that `FLYWHEEL_TEST_REDIS` names, or one of a test's own.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flywheel_redis::RedisStore;
use flywheel_store::Store;
use rand::Rng as _;

/// The server that all tests share.
pub(crate) fn shared() -> Option<String> {
    let url = std::env::var("FLYWHEEL_TEST_REDIS");
    Some(url.expect("FLYWHEEL_TEST_REDIS: ./test starts the server and sets it"))
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

/// How many ports are tried: one that is found free, or the one 10,000 above it by which the
/// servers of a cluster talk to each other, may be another's.
const PORTS: usize = 10;

/// What became of a start.
#[derive(PartialEq, Eq)]
enum Begun {
    Answers,
    Ended,
    Missing,
}

/// A redis-server of a test's own, ended with it.
pub(crate) struct Server {
    pub(crate) port: u16,
    arguments: Vec<String>,
    process: Option<Child>,
}

/// A port that nobody listens on, below those that outgoing connections get.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = rand::rng().random_range(10_240..22_240);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A folder of a test's own, removed with it.
pub(crate) struct Folder(pub(crate) std::path::PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!(
            "flywheel-redis-{name}-{}-{}",
            std::process::id(),
            free_port()
        ));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits until `ready` says so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut ready: impl FnMut() -> F) {
    let begun = Instant::now();
    while !ready().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Server {
    /// A server on a free port; `None` where there is no redis-server.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// The same with further arguments.
    pub(crate) async fn start_with(arguments: &[&str]) -> Option<Self> {
        for _ in 0..PORTS {
            let mut server = Self {
                port: free_port(),
                arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
                process: None,
            };
            match server.begin().await {
                Begun::Answers => return Some(server),
                Begun::Ended => {}
                Begun::Missing => {
                    eprintln!("no redis-server: nothing tested");
                    return None;
                }
            }
        }
        panic!("redis-server ends at once: {arguments:?}");
    }

    /// A sentinel by a configuration file, which it writes to.
    pub(crate) async fn start_sentinel(file: &str, folder: &Folder) -> Self {
        let port = free_port();
        let process = Command::new("redis-server")
            .arg(file)
            .args(["--sentinel", "--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(&folder.0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let sentinel =
            Self { port, arguments: Vec::new(), process: Some(process.expect("redis-server")) };
        let store = store(&sentinel.url(), "");
        until("the sentinel starts", async || store.ping().await.is_ok()).await;
        sentinel
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Runs it again on its port, empty; false where it doesn't start.
    pub(crate) async fn run(&mut self) -> bool {
        self.begin().await == Begun::Answers
    }

    async fn begin(&mut self) -> Begun {
        let started = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = started else { return Begun::Missing };
        let process = self.process.insert(process);
        let store = store(&format!("redis://127.0.0.1:{}", self.port), "");
        let begun = Instant::now();
        while store.ping().await.is_err() {
            if process.try_wait().expect("its state").is_some() {
                return Begun::Ended;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "redis-server starts");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Begun::Answers
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
        let status =
            Command::new("kill").arg(format!("-{signal}")).arg(process.id().to_string()).status();
        assert!(status.expect("kill").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
