//! One multiplexed connection, made when it is first needed and again when it was lost.
//!
//! Not the library's `ConnectionManager`: that keeps a connection on which requests time out, and answers the first
//! request after an outage with the outage's error.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use flywheel_store::StoreError;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError, RedisResult,
    ScriptInvocation,
};
use rustls::crypto::CryptoProvider;
use tokio::sync::Mutex;

use crate::error::store_error;

/// After this long without an answer a write asks first whether the connection still stands: a write that was sent
/// can't be sent again, so it had better not find out itself.
const IDLE: Duration = Duration::from_millis(500);

/// Requests that may wait in the connection's queue.
const QUEUE: usize = 1024;

pub(crate) struct Link {
    client: Client,
    timeout: Duration,
    current: RwLock<Option<Live>>,
    /// Held while connecting, so that one caller does and the others share its result.
    connecting: Mutex<Option<Failure>>,
    started: Instant,
    /// When the last answer came, in milliseconds since `started`.
    answered: AtomicU64,
}

#[derive(Clone)]
struct Live {
    number: u64,
    connection: MultiplexedConnection,
}

struct Failure {
    at: Instant,
    error: StoreError,
}

impl Link {
    pub(crate) fn new(url: &str, timeout: Duration) -> Result<Self, StoreError> {
        let info = url.into_connection_info().map_err(store_error)?;
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) && CryptoProvider::get_default().is_none() {
            // Else rustls panics at the first connection, unless one of its providers happens to be the only one linked.
            // An error: another thread was first.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        Ok(Self {
            client: Client::open(info).map_err(store_error)?,
            timeout,
            current: RwLock::default(),
            connecting: Mutex::default(),
            started: Instant::now(),
            answered: AtomicU64::new(0),
        })
    }

    /// A command that may be sent twice.
    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let live = self.live().await?;
        let lost = match self.watch(&live, command.query_async(&mut live.connection.clone()).await) {
            Err(error) if error.is_connection_dropped() => error,
            result => return result.map_err(store_error),
        };
        tracing::debug!(%lost, "connection to Redis lost, asking again");
        let live = self.live().await?;
        let result = command.query_async(&mut live.connection.clone()).await;
        self.watch(&live, result).map_err(store_error)
    }

    /// Commands that may be sent twice.
    pub(crate) async fn query_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, StoreError> {
        let live = self.live().await?;
        let lost = match self.watch(&live, commands.query_async(&mut live.connection.clone()).await) {
            Err(error) if error.is_connection_dropped() => error,
            result => return result.map_err(store_error),
        };
        tracing::debug!(%lost, "connection to Redis lost, asking again");
        let live = self.live().await?;
        let result = commands.query_async(&mut live.connection.clone()).await;
        self.watch(&live, result).map_err(store_error)
    }

    /// A script that writes: sent once. When its answer is lost, whether it ran is unknown.
    pub(crate) async fn invoke<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, StoreError> {
        if self.idle() > IDLE {
            self.query::<()>(&redis::cmd("PING")).await?;
        }
        let live = self.live().await?;
        let result = script.invoke_async(&mut live.connection.clone()).await;
        self.watch(&live, result).map_err(store_error)
    }

    /// A script that only reads, and so may be sent twice.
    pub(crate) async fn invoke_read<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, StoreError> {
        let live = self.live().await?;
        let lost = match self.watch(&live, script.invoke_async(&mut live.connection.clone()).await) {
            Err(error) if error.is_connection_dropped() => error,
            result => return result.map_err(store_error),
        };
        tracing::debug!(%lost, "connection to Redis lost, asking again");
        let live = self.live().await?;
        let result = script.invoke_async(&mut live.connection.clone()).await;
        self.watch(&live, result).map_err(store_error)
    }

    fn idle(&self) -> Duration {
        let answered = Duration::from_millis(self.answered.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(answered)
    }

    /// Notes what a request's result says of the connection.
    fn watch<T>(&self, live: &Live, result: RedisResult<T>) -> RedisResult<T> {
        match &result {
            // A connection on which nothing comes back may lead to a machine that is gone; TCP alone would wait for minutes.
            Err(error) if error.is_timeout() || error.is_connection_dropped() || error.is_unrecoverable_error() => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                if current.as_ref().is_some_and(|current| current.number == live.number) {
                    *current = None;
                }
            }
            _ => {
                let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.answered.store(now, Ordering::Relaxed);
            }
        }
        result
    }

    fn current(&self) -> Option<Live> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn live(&self) -> Result<Live, StoreError> {
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let asked = Instant::now();
        let mut last_failure = self.connecting.lock().await;
        if let Some(live) = self.current() {
            return Ok(live);
        }
        if let Some(failure) = last_failure.as_ref().filter(|failure| failure.at >= asked) {
            return Err(failure.error.clone());
        }
        match self.connect().await {
            Ok(connection) => {
                static NUMBER: AtomicU64 = AtomicU64::new(0);
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                let live = Live { number, connection };
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(live.clone());
                Ok(live)
            }
            Err(error) => {
                let error = store_error(error);
                *last_failure = Some(Failure {
                    at: Instant::now(),
                    error: error.clone(),
                });
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout))
            .set_pipeline_buffer_size(QUEUE);
        let connect = self.client.get_multiplexed_async_connection_with_config(&config);
        // Around the library's own limits: those are of each step, this is of all.
        match tokio::time::timeout(self.timeout, connect).await {
            Ok(result) => result,
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
    }
}

/// Without the client, whose address holds the password.
impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("address", &self.client.get_connection_info().addr().to_string())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
