//! One multiplexed connection, made when it is first needed and again when it was lost.
//!
//! Not the library's `ConnectionManager`: that keeps a connection on which requests time out, and
//! answers the first request after an outage with the outage's error.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use flywheel_store::StoreError;
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, RedisResult,
    ServerErrorKind, Value,
};
use tokio::sync::Mutex;

use crate::error::store_error;
use crate::sentinel::Sentinels;

/// After this long without an answer a write asks first whether the connection still stands: a
/// write that was sent can't be sent again, so it had better not find out itself.
const IDLE: Duration = Duration::from_millis(500);

/// Requests that may wait in the connection's queue.
const QUEUE: usize = 1024;

/// Where a connection leads.
#[derive(Debug)]
pub(crate) enum Server {
    /// To one address.
    Fixed(Client),
    /// To the primary of the moment.
    Primary(Sentinels),
}

/// What became of a request that isn't answered well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It can't have been carried out.
    Unsent(StoreError),
    /// The server answered with this error, or the connection was lost with the request on its way.
    Answered(RedisError),
}

impl Failure {
    /// The error of a request that changes nothing.
    pub(crate) fn of_read(self) -> StoreError {
        match self {
            Self::Unsent(error) => error,
            Self::Answered(error) => store_error(error),
        }
    }

    /// The error of a request that changes something.
    pub(crate) fn of_write(self) -> StoreError {
        match self {
            Self::Unsent(error) => error,
            Self::Answered(error) if error.is_io_error() => {
                StoreError::Unknown { reason: error.to_string() }
            }
            Self::Answered(error) => store_error(error),
        }
    }

    /// Whether the connection is gone, so that another one is to be tried.
    fn is_lost(&self) -> bool {
        matches!(self, Self::Answered(error) if error.is_connection_dropped())
    }
}

pub(crate) struct Link {
    server: Server,
    timeout: Duration,
    current: RwLock<Option<Live>>,
    /// Held while connecting, so that one caller does and the others share its result.
    connecting: Mutex<Option<ConnectFailure>>,
    started: Instant,
    /// When the last answer came, in milliseconds since `started`.
    answered: AtomicU64,
}

#[derive(Clone)]
struct Live {
    number: u64,
    connection: MultiplexedConnection,
}

struct ConnectFailure {
    at: Instant,
    error: StoreError,
}

impl Link {
    pub(crate) fn new(server: Server, timeout: Duration) -> Self {
        Self {
            server,
            timeout,
            current: RwLock::default(),
            connecting: Mutex::default(),
            started: Instant::now(),
            answered: AtomicU64::new(0),
        }
    }

    /// How to connect to the server, of the moment where that changes.
    pub(crate) async fn client(&self) -> Result<Client, StoreError> {
        match &self.server {
            Server::Fixed(client) => Ok(client.clone()),
            Server::Primary(sentinels) => Ok(sentinels.find(self.timeout).await?.0),
        }
    }

    /// Commands that may be sent twice.
    pub(crate) async fn read(
        &self,
        commands: &Pipeline,
    ) -> Result<Vec<RedisResult<Value>>, Failure> {
        let once = match self.send(commands).await {
            Err(failure) if failure.is_lost() => failure,
            result => return result,
        };
        tracing::debug!(?once, "connection to Redis lost, asking again");
        self.send(commands).await
    }

    /// Commands that are sent once.
    pub(crate) async fn write(
        &self,
        commands: &Pipeline,
    ) -> Result<Vec<RedisResult<Value>>, Failure> {
        if self.idle() > IDLE {
            let mut ping = Pipeline::new();
            ping.cmd("PING");
            self.read(&ping).await.map_err(|failure| Failure::Unsent(failure.of_read()))?;
        }
        self.send(commands).await
    }

    async fn send(&self, commands: &Pipeline) -> Result<Vec<RedisResult<Value>>, Failure> {
        let live = self.live().await.map_err(Failure::Unsent)?;
        let mut connection = live.connection.clone();
        let result: RedisResult<Vec<RedisResult<Value>>> =
            commands.query_async(&mut connection).await;
        self.watch(&live, &result);
        result.map_err(Failure::Answered)
    }

    fn idle(&self) -> Duration {
        let answered = Duration::from_millis(self.answered.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(answered)
    }

    /// Notes what a request's result says of the connection.
    fn watch(&self, live: &Live, result: &RedisResult<Vec<RedisResult<Value>>>) {
        let is_over = match result {
            // A connection on which nothing comes back may lead to a machine that is gone; TCP
            // alone would wait for minutes.
            Err(error) => {
                error.is_timeout()
                    || error.is_connection_dropped()
                    || error.is_unrecoverable_error()
            }
            // It was the primary; who is now is asked of the sentinels.
            Ok(answers) => {
                matches!(self.server, Server::Primary(_)) && answers.iter().any(is_replicas)
            }
        };
        if is_over {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            if current.as_ref().is_some_and(|current| current.number == live.number) {
                *current = None;
            }
        } else {
            let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.answered.store(now, Ordering::Relaxed);
        }
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
        let connected = match &self.server {
            Server::Fixed(client) => connect(client, self.timeout).await.map_err(store_error),
            Server::Primary(sentinels) => {
                sentinels.find(self.timeout).await.map(|(_, connection)| connection)
            }
        };
        match connected {
            Ok(connection) => {
                static NUMBER: AtomicU64 = AtomicU64::new(0);
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                let live = Live { number, connection };
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(live.clone());
                Ok(live)
            }
            Err(error) => {
                *last_failure = Some(ConnectFailure { at: Instant::now(), error: error.clone() });
                Err(error)
            }
        }
    }
}

/// Whether an answer is of a replica, which takes no writes.
fn is_replicas(answer: &RedisResult<Value>) -> bool {
    matches!(answer, Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly))
}

pub(crate) async fn connect(
    client: &Client,
    timeout: Duration,
) -> Result<MultiplexedConnection, RedisError> {
    connect_with(client, timeout, config(timeout)).await
}

/// The same where the server says things unasked, to `tell`; the client speaks RESP3.
pub(crate) async fn connect_told(
    client: &Client,
    timeout: Duration,
    tell: Arc<dyn AsyncPushSender>,
) -> Result<MultiplexedConnection, RedisError> {
    connect_with(client, timeout, config(timeout).set_push_sender(tell)).await
}

fn config(timeout: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(Some(timeout))
        .set_pipeline_buffer_size(QUEUE)
}

async fn connect_with(
    client: &Client,
    timeout: Duration,
    config: AsyncConnectionConfig,
) -> Result<MultiplexedConnection, RedisError> {
    let connect = client.get_multiplexed_async_connection_with_config(&config);
    // Around the library's own limits: those are of each step, this is of all.
    match tokio::time::timeout(timeout, connect).await {
        Ok(result) => result,
        Err(_) => Err(timed_out().into()),
    }
}

pub(crate) fn timed_out() -> std::io::Error {
    std::io::ErrorKind::TimedOut.into()
}

/// One command as a pipeline whose errors come as the command's answer.
pub(crate) fn single(command: &Cmd) -> Pipeline {
    let mut commands = Pipeline::with_capacity(1);
    commands.add_command(command.clone());
    commands.ignore_errors();
    commands
}

/// Without what the address holds beside the host: the password.
impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = match &self.server {
            Server::Fixed(client) => client.get_connection_info().addr().to_string(),
            Server::Primary(_) => "the sentinels' primary".to_owned(),
        };
        f.debug_struct("Link")
            .field("address", &address)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
