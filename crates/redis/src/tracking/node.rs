//! One server that tells of changes.

use std::sync::Arc;
use std::time::Duration;

use flywheel_store::StoreError;
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::{Client, ProtocolVersion, RedisResult};
use tokio::sync::Notify;

use super::names::Names;
use super::nodes::{self, Member};
use crate::connection::{Failure, Link, connect_told, single};
use crate::error::store_error;
use crate::servers::query_at;

/// How long the key that is waited for stays, in milliseconds: much longer than it is waited for,
/// since its end is news, too.
const HEARTBEAT_STAYS: u64 = 600_000;

/// A server to be followed.
pub(super) struct Place {
    client: Client,
    kind: Kind,
}

enum Kind {
    /// The one that this link leads to; heartbeats go through it, so that none comes back from
    /// another server.
    One(Arc<Link>),
    /// A node of a cluster.
    Node(Member),
}

/// A server that tells.
pub(super) struct Node {
    connection: MultiplexedConnection,
    kind: Kind,
    /// `None`: a node that has no slots, where nothing can be written yet.
    heartbeat: Option<String>,
    came: Notify,
}

impl Place {
    pub(super) async fn of_link(link: &Arc<Link>) -> Result<Self, StoreError> {
        // Whether it is broken had better not be found out by the first heartbeat.
        query_at::<()>(link, &redis::cmd("PING")).await?;
        Ok(Self { client: link.client().await?, kind: Kind::One(link.clone()) })
    }

    pub(super) const fn of_member(client: Client, member: Member) -> Self {
        Self { client, kind: Kind::Node(member) }
    }
}

impl Node {
    pub(super) async fn track(
        place: Place,
        names: &Names<'_>,
        tell: Arc<dyn AsyncPushSender>,
        timeout: Duration,
    ) -> Result<Self, StoreError> {
        let heartbeat = match &place.kind {
            Kind::One(_) => Some(names.keys.heartbeat(rand::random())),
            Kind::Node(member) => member.heartbeat(names.keys),
        };
        let info = place.client.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings)).map_err(store_error)?;
        let mut connection = connect_told(&client, timeout, tell)
            .await
            .map_err(|error| refused(store_error(error)))?;
        let mut tracking = redis::cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON").arg("BCAST");
        for prefix in names.prefixes().iter().chain(&heartbeat) {
            tracking.arg("PREFIX").arg(prefix);
        }
        let on: RedisResult<()> = tracking.query_async(&mut connection).await;
        on.map_err(|error| refused(store_error(error)))?;
        Ok(Self { connection, kind: place.kind, heartbeat, came: Notify::new() })
    }

    pub(super) fn id(&self) -> Option<&str> {
        match &self.kind {
            Kind::One(_) => None,
            Kind::Node(member) => Some(&member.id),
        }
    }

    /// Whether the key is the one that is waited for.
    pub(super) fn came(&self, name: &str) -> bool {
        let is_heartbeat = self.heartbeat.as_deref() == Some(name);
        if is_heartbeat {
            self.came.notify_one();
        }
        is_heartbeat
    }

    /// What was written here before has come when this returns, and no node is missing among `all`.
    pub(super) async fn prove(&self, all: &[Self]) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        if self.id().is_some() {
            let known: RedisResult<String> =
                redis::cmd("CLUSTER").arg("NODES").query_async(&mut connection).await;
            let known = known.map_err(store_error)?;
            let is_followed =
                |member: &Member| all.iter().any(|node| node.id() == Some(&member.id));
            if let Some(new) = nodes::members(&known).iter().find(|member| !is_followed(member)) {
                return Err(StoreError::Unavailable {
                    reason: format!("the cluster has another primary, {}", new.address),
                });
            }
        }
        if let Some(heartbeat) = &self.heartbeat {
            let mut set = redis::cmd("SET");
            set.arg(heartbeat).arg(1).arg("PX").arg(HEARTBEAT_STAYS);
            match &self.kind {
                Kind::One(link) => {
                    let mut answers = link.write(&single(&set)).await.map_err(Failure::of_write)?;
                    if let Some(Err(error)) = answers.pop() {
                        return Err(store_error(error));
                    }
                }
                Kind::Node(_) => {
                    set.query_async::<()>(&mut connection).await.map_err(store_error)?
                }
            }
            self.came.notified().await;
        }
        // What else has changed in the turn in which that key was written may be told after it.
        redis::cmd("PING").query_async(&mut connection).await.map_err(store_error)
    }
}

/// The refusal with what would help.
fn refused(error: StoreError) -> StoreError {
    let what = |reason: String| {
        format!(
            "{reason} (client tracking takes Redis 6 or later, and a user that may HELLO and CLIENT TRACKING: ACL category @connection)"
        )
    };
    match error {
        StoreError::Refused { reason } => StoreError::Refused { reason: what(reason) },
        StoreError::Forbidden { reason } => StoreError::Forbidden { reason: what(reason) },
        error => error,
    }
}
