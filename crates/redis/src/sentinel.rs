//! The primary that sentinels know (Redis documentation, "Guidelines for Redis clients with support
//! for Redis Sentinel").

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flywheel_store::StoreError;
use redis::aio::MultiplexedConnection;
use redis::{Client, ConnectionInfo, RedisResult};

use crate::connection::{connect, timed_out};
use crate::error::store_error;
use crate::options::{at, host};

/// Sentinels, and whom they are asked for.
#[derive(Debug)]
pub(crate) struct Sentinels {
    /// The primary's login, with its name for a host.
    primary: ConnectionInfo,
    sentinels: Vec<Client>,
    /// The one that is asked first: that which knew last.
    first: AtomicUsize,
}

impl Sentinels {
    pub(crate) fn new(
        primary: ConnectionInfo,
        sentinels: Vec<ConnectionInfo>,
    ) -> Result<Self, StoreError> {
        let sentinels = sentinels
            .into_iter()
            .map(Client::open)
            .collect::<RedisResult<_>>()
            .map_err(store_error)?;
        Ok(Self { primary, sentinels, first: AtomicUsize::new(0) })
    }

    /// The server that is the primary by its own word too, and a connection to it.
    pub(crate) async fn find(
        &self,
        timeout: Duration,
    ) -> Result<(Client, MultiplexedConnection), StoreError> {
        let name = host(&self.primary);
        let count = self.sentinels.len();
        let first = self.first.load(Ordering::Relaxed);
        let mut reasons = Vec::new();
        for turn in 0..count {
            let place = (first + turn) % count;
            let sentinel = &self.sentinels[place];
            // The others must get their turn within the time.
            let share = timeout / u32::try_from(count).unwrap_or(u32::MAX);
            let asked = tokio::time::timeout(share, self.primary_by(sentinel, name, timeout)).await;
            match asked.unwrap_or_else(|_| Err(timed_out().to_string())) {
                Ok(primary) => {
                    self.first.store(place, Ordering::Relaxed);
                    return Ok(primary);
                }
                Err(reason) => {
                    reasons.push(format!("{}: {reason}", sentinel.get_connection_info().addr()))
                }
            }
        }
        Err(StoreError::Unavailable {
            reason: format!(
                "no sentinel leads to a primary of \"{name}\" ({})",
                reasons.join("; ")
            ),
        })
    }

    async fn primary_by(
        &self,
        sentinel: &Client,
        name: &str,
        timeout: Duration,
    ) -> Result<(Client, MultiplexedConnection), String> {
        let described = |error: redis::RedisError| error.to_string();
        let mut asked = connect(sentinel, timeout).await.map_err(described)?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        let address: Option<(String, u16)> =
            command.query_async(&mut asked).await.map_err(described)?;
        let (host, port) = address.ok_or("it watches no primary of this name")?;
        let client = Client::open(at(&self.primary, &host, port)).map_err(described)?;
        let at_primary = |error: redis::RedisError| format!("{host}:{port}: {error}");
        let mut connection = connect(&client, timeout).await.map_err(at_primary)?;
        // A sentinel that was cut off may name one that was the primary.
        let role: Vec<redis::Value> =
            redis::cmd("ROLE").query_async(&mut connection).await.map_err(at_primary)?;
        let role =
            role.into_iter().next().and_then(|role| redis::from_redis_value::<String>(role).ok());
        match role.as_deref() {
            Some("master") => Ok((client, connection)),
            _ => Err(format!("{host}:{port} isn't the primary")),
        }
    }
}
