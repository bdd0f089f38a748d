//! What anybody changes, as Redis' client tracking tells (Redis documentation, "Client-side caching
//! in Redis", broadcasting mode).
//!
//! A connection of its own to each server that has rows is told the names of keys that change under
//! the tables' prefixes. How old the news may be is proved: a small key of our own, under a prefix
//! of its own, is written through the connection that rows are read and written through, and waited
//! for where the news comes; what was told in the same turn of the server's loop has come once it
//! answers a PING there.
//!
//! - `names`: from a key's name to a row. `node`: one server. `nodes`: a cluster's, and whether
//!   they are still the same.

mod names;
mod node;
mod nodes;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flywheel_store::{ChangeListener, StoreError, StoreTable};
use futures_util::future::{join_all, try_join_all};
use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::connection::timed_out;
use crate::servers::Servers;
use crate::store::RedisStore;
use names::Names;
use node::{Node, Place};

/// What the connections tell, in its order.
enum News {
    /// A server has said something.
    Push(usize, PushInfo),
    /// What was written before then has been told.
    Told(Instant),
}

impl RedisStore {
    pub(crate) async fn follow_tables(
        &self,
        tables: &[&StoreTable],
        often: Duration,
        listener: &dyn ChangeListener,
    ) -> Result<Infallible, StoreError> {
        let names = Names::new(&self.keys, tables);
        let (sender, receiver) = unbounded_channel();
        let nodes = self.track(&names, &sender).await?;
        tracing::info!(servers = nodes.len(), "changes of tables in Redis are followed");
        // What was read before then may have changed unseen.
        listener.missed();
        tokio::select! {
            ended = listen(receiver, &nodes, &names, listener) => ended,
            ended = self.beat(&nodes, &sender, often) => ended,
        }
    }

    /// Whether the servers would tell.
    pub(crate) async fn try_tracking(&self, tables: &[&StoreTable]) -> Result<(), StoreError> {
        let names = Names::new(&self.keys, tables);
        let (sender, receiver) = unbounded_channel();
        let nodes = self.track(&names, &sender).await?;
        let listener = Nobody;
        tokio::select! {
            Err(error) = listen(receiver, &nodes, &names, &listener) => Err(error),
            proved = self.prove(&nodes) => proved,
        }
    }

    /// Connects to all servers that have rows, or may get some.
    async fn track(
        &self,
        names: &Names<'_>,
        news: &UnboundedSender<News>,
    ) -> Result<Vec<Node>, StoreError> {
        let places = match &*self.servers {
            Servers::One(link) => vec![Place::of_link(link).await?],
            Servers::Cluster(cluster) => nodes::places(cluster).await?,
        };
        let connect = |(at, place): (usize, Place)| {
            let news = news.clone();
            let tell = move |info| news.send(News::Push(at, info));
            Node::track(place, names, Arc::new(tell), self.timeout)
        };
        try_join_all(places.into_iter().enumerate().map(connect)).await
    }

    /// Proves from time to time how old the news may be.
    async fn beat(
        &self,
        nodes: &[Node],
        news: &UnboundedSender<News>,
        often: Duration,
    ) -> Result<Infallible, StoreError> {
        loop {
            let begun = Instant::now();
            self.prove(nodes).await?;
            // Behind all that has come: whoever listens is gone if this fails.
            let _ = news.send(News::Told(begun));
            tokio::time::sleep(often).await;
        }
    }

    /// All that was written before has come when this returns.
    async fn prove(&self, nodes: &[Node]) -> Result<(), StoreError> {
        let all = join_all(nodes.iter().map(|node| node.prove(nodes)));
        let proved =
            tokio::time::timeout(self.timeout, all).await.map_err(|_| StoreError::Unavailable {
                reason: format!("no news of a key of our own: {}", timed_out()),
            })?;
        proved.into_iter().collect()
    }
}

async fn listen(
    mut news: UnboundedReceiver<News>,
    nodes: &[Node],
    names: &Names<'_>,
    listener: &dyn ChangeListener,
) -> Result<Infallible, StoreError> {
    let ended =
        || StoreError::Unavailable { reason: "the connection for changes has ended".into() };
    loop {
        match news.recv().await.ok_or_else(ended)? {
            News::Told(until) => listener.told(until),
            News::Push(node, PushInfo { kind, data }) => match kind {
                PushKind::Invalidate => {
                    for part in data {
                        match part {
                            Value::Array(keys) => {
                                for key in keys {
                                    tell(key, &nodes[node], names, listener);
                                }
                            }
                            // FLUSHALL or FLUSHDB.
                            _ => listener.missed(),
                        }
                    }
                }
                PushKind::Disconnection => return Err(ended()),
                _ => {}
            },
        }
    }
}

fn tell(key: Value, node: &Node, names: &Names<'_>, listener: &dyn ChangeListener) {
    let name = match key {
        Value::BulkString(name) => name,
        Value::SimpleString(name) => name.into_bytes(),
        _ => return listener.missed(),
    };
    match std::str::from_utf8(&name) {
        Ok(name) if node.came(name) => {}
        Ok(name) => names.tell(name, listener),
        Err(_) => listener.missed(),
    }
}

struct Nobody;

impl ChangeListener for Nobody {
    fn changed(&self, _table: usize, _changed: flywheel_store::Changed) {}
    fn missed(&self) {}
    fn told(&self, _until: Instant) {}
}
