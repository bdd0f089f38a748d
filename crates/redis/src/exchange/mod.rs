//! What gateways have in common, in Redis.
//!
//! ```text
//! {flywheel}:posts               string   how many posts there were: each has a number
//! {flywheel}                     channel  number sender kind words
//! {flywheel}:gateways            zset     a gateway's name, when it last posted
//! {flywheel}:versions:…          hash     the versions of a group
//! flywheel:answers:…             string   an answer, which expires
//! ```
//!
//! Pub/Sub delivers at most once: who isn't connected misses what is posted, and isn't told. So
//! each post has a number, counted in the script that publishes it; a number that doesn't follow
//! its predecessor, and every new subscription, mean that posts were missed.
//!
//! - `board`: reading and posting. `peers`: how old the news may be. `answers`: versions, and what
//!   is kept beside them.

mod answers;
mod board;
mod peers;

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use flywheel_store::{Exchange, ExchangeOptions, Looked, Member, StoreError, VersionName};

use crate::options::RedisOptions;
use crate::script::Program;
use crate::servers::Servers;
use peers::{Lag, Peers};

/// A member's place in an exchange on Redis.
pub struct RedisExchange {
    servers: Servers,
    names: Names,
    /// This gateway's name.
    sender: String,
    options: ExchangeOptions,
    timeout: Duration,
    post: Program,
    enter: Program,
    look: Program,
    peers: Mutex<Peers>,
    lag: Lag,
}

/// The names in Redis.
#[derive(Debug)]
struct Names {
    posts: String,
    channel: String,
    gateways: String,
    versions: String,
    answers: String,
}

impl RedisExchange {
    /// A place that asks nothing of Redis before it is used. It has connections of its own.
    ///
    /// # Errors
    /// When a URL isn't one, or a certificate can't be read.
    pub fn new(redis: &RedisOptions, options: ExchangeOptions) -> Result<Self, StoreError> {
        let (prefix, name) = (&redis.key_prefix, &options.name);
        // Braces, so that a cluster keeps in one slot what a script changes together.
        let board = format!("{{{prefix}{name}}}");
        Ok(Self {
            servers: Servers::new(redis)?,
            names: Names {
                posts: format!("{board}:posts"),
                gateways: format!("{board}:gateways"),
                versions: format!("{board}:versions:"),
                answers: format!("{prefix}{name}:answers:"),
                channel: board,
            },
            sender: format!("{:016x}", rand::random::<u64>()),
            timeout: redis.timeout,
            options,
            post: Program::new(board::POST),
            enter: Program::new(board::ENTER),
            look: Program::new(answers::LOOK),
            peers: Mutex::default(),
            lag: Lag::default(),
        })
    }

    fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_peers<T>(&self, change: impl FnOnce(&mut Peers) -> T) -> T {
        let mut peers = self.peers();
        let changed = change(&mut peers);
        self.lag.note(peers.known());
        changed
    }
}

#[async_trait]
impl Exchange for RedisExchange {
    async fn run(&self, member: &dyn Member) {
        self.take_part(member).await;
    }

    fn lag(&self) -> Option<Duration> {
        self.lag.now()
    }

    fn is_entered(&self) -> bool {
        self.peers().own().is_some()
    }

    async fn leave(&self) {
        self.say_goodbye().await;
    }

    fn has_read(&self, number: u64) -> bool {
        self.peers().last() >= Some(number)
    }

    async fn look(&self, key: &str, versions: &[VersionName]) -> Result<Looked, StoreError> {
        self.look_for(key, versions).await
    }

    async fn keep(&self, key: &str, bytes: &[u8], lifetime: Duration) -> Result<(), StoreError> {
        self.keep_answer(key, bytes, lifetime).await
    }
}

/// Without the servers' addresses.
impl fmt::Debug for RedisExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisExchange")
            .field("options", &self.options)
            .field("sender", &self.sender)
            .finish_non_exhaustive()
    }
}
