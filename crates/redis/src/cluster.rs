//! A cluster: which node has which slots, and requests that find out that it is another now.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use flywheel_store::StoreError;
use redis::{
    Client, Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind,
    Value, from_redis_value,
};
use tokio::sync::Mutex;

use crate::connection::{Failure, Link, Server, single};
use crate::error::store_error;
use crate::options::{at, host};
use crate::slot::SLOTS;

/// How often one request is sent on to another node.
const REDIRECTIONS: u32 = 8;

/// The first pause before a request is sent again to a cluster that can't answer yet; it doubles.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Cluster {
    seeds: Vec<ConnectionInfo>,
    timeout: Duration,
    map: RwLock<Arc<Map>>,
    /// Held while the nodes are asked who has which slots.
    asking: Mutex<()>,
}

/// Who has which slots.
#[derive(Debug, Default)]
struct Map {
    /// The links by address, kept from one map to the next.
    nodes: HashMap<String, Arc<Link>>,
    /// The node of each slot; empty: not known yet.
    slots: Vec<Option<Arc<Link>>>,
    /// Counts the maps.
    version: u64,
}

/// Whether a request may be sent again when nothing came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing.
    Read,
    /// It changes something.
    Write,
}

impl Cluster {
    pub(crate) fn new(seeds: Vec<ConnectionInfo>, timeout: Duration) -> Self {
        Self { seeds, timeout, map: RwLock::default(), asking: Mutex::default() }
    }

    /// The nodes that have slots.
    pub(crate) async fn primaries(&self) -> Result<Vec<Arc<Link>>, StoreError> {
        let map = self.known().await?;
        let mut primaries: Vec<Arc<Link>> = Vec::new();
        for link in map.slots.iter().flatten() {
            if !primaries.iter().any(|each| Arc::ptr_eq(each, link)) {
                primaries.push(link.clone());
            }
        }
        Ok(primaries)
    }

    /// The link to the node of each slot, where it is known.
    pub(crate) async fn nodes_of(
        &self,
        slots: &[u16],
    ) -> Result<Vec<Option<Arc<Link>>>, StoreError> {
        let map = self.known().await?;
        Ok(slots.iter().map(|slot| map.slots.get(usize::from(*slot)).cloned().flatten()).collect())
    }

    /// One command on keys of one slot.
    pub(crate) async fn send(
        &self,
        slot: u16,
        command: &Cmd,
        repeat: Repeat,
    ) -> Result<Value, Failure> {
        let until = Instant::now() + self.timeout;
        let mut pause = PAUSE;
        let mut asked: Option<Arc<Link>> = None;
        let mut last = None;
        for _ in 0..REDIRECTIONS {
            let map = self.known().await.map_err(Failure::Unsent)?;
            let is_asked = asked.is_some();
            let Some(link) =
                asked.take().or_else(|| map.slots.get(usize::from(slot)).cloned().flatten())
            else {
                self.renew(map.version).await.map_err(Failure::Unsent)?;
                last = Some(Failure::Unsent(StoreError::Unavailable {
                    reason: format!("no node of the cluster has slot {slot}"),
                }));
                if self.wait(&mut pause, until).await {
                    continue;
                }
                break;
            };
            let mut commands = Pipeline::new();
            if is_asked {
                commands.cmd("ASKING");
            }
            commands.add_command(command.clone());
            commands.ignore_errors();
            let answers = match repeat {
                Repeat::Read => link.read(&commands).await,
                Repeat::Write => link.write(&commands).await,
            };
            let error = match answers {
                Ok(mut answers) => match answers.pop() {
                    Some(Ok(value)) => return Ok(value),
                    Some(Err(error)) => error,
                    None => return Ok(Value::Nil),
                },
                // The node can't be reached: another may have taken its place.
                Err(failure) => {
                    let may_repeat =
                        repeat == Repeat::Read || matches!(failure, Failure::Unsent(_));
                    let renewed = self.renew(map.version).await;
                    let is_replaced = renewed.is_ok() && self.has_moved(slot, &link);
                    if !may_repeat || !(is_replaced || self.wait(&mut pause, until).await) {
                        return Err(failure);
                    }
                    last = Some(failure);
                    continue;
                }
            };
            match error.kind() {
                ErrorKind::Server(ServerErrorKind::Ask) => {
                    asked = self.redirected(&error, &link, false)
                }
                ErrorKind::Server(ServerErrorKind::Moved) => {
                    asked = None;
                    if self.redirected(&error, &link, true).is_none() {
                        self.renew(map.version).await.map_err(Failure::Unsent)?;
                    }
                }
                // Not carried out: the cluster has lost a node, a slot is on its way, or the node
                // is a replica now.
                ErrorKind::Server(
                    ServerErrorKind::ClusterDown
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ReadOnly
                    | ServerErrorKind::MasterDown,
                ) => {
                    // Whoever answers may not know better yet.
                    let _ = self.renew(map.version).await;
                    if !self.wait(&mut pause, until).await {
                        return Err(Failure::Answered(error));
                    }
                }
                _ => return Err(Failure::Answered(error)),
            }
            last = Some(Failure::Answered(error));
        }
        Err(last.unwrap_or_else(|| {
            Failure::Unsent(StoreError::Unavailable {
                reason: "the cluster's nodes send a request from one to another".into(),
            })
        }))
    }

    /// A pause; false when there is no time for it.
    async fn wait(&self, pause: &mut Duration, until: Instant) -> bool {
        if Instant::now() + *pause > until {
            return false;
        }
        tokio::time::sleep(*pause).await;
        *pause *= 2;
        true
    }

    fn has_moved(&self, slot: u16, link: &Arc<Link>) -> bool {
        let map = self.map();
        let now = map.slots.get(usize::from(slot)).and_then(Option::as_ref);
        now.is_some_and(|now| !Arc::ptr_eq(now, link))
    }

    fn map(&self) -> Arc<Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn known(&self) -> Result<Arc<Map>, StoreError> {
        let map = self.map();
        if !map.slots.is_empty() {
            return Ok(map);
        }
        self.renew(map.version).await?;
        Ok(self.map())
    }

    /// The node that an answer names, which has the slot from now on if it has `moved`.
    fn redirected(&self, error: &RedisError, link: &Arc<Link>, moved: bool) -> Option<Arc<Link>> {
        let (address, slot) = error.redirect_node()?;
        let (host, port) = address.rsplit_once(':')?;
        let mut place = self.map.write().unwrap_or_else(PoisonError::into_inner);
        // An empty host is the one that answered (CLUSTER SLOTS).
        let name = if host.is_empty() {
            let own = place.nodes.iter().find(|(_, each)| Arc::ptr_eq(each, link))?.0;
            format!("{}:{port}", own.rsplit_once(':')?.0)
        } else {
            address.to_owned()
        };
        let mut nodes = place.nodes.clone();
        let node = self.node(&mut nodes, &name).ok()?;
        let mut slots = place.slots.clone();
        if moved && let Some(slot) = slots.get_mut(usize::from(slot)) {
            *slot = Some(node.clone());
        }
        *place = Arc::new(Map { nodes, slots, version: place.version + 1 });
        Some(node)
    }

    /// How to reach a node by its address.
    pub(crate) fn at(&self, name: &str) -> Result<ConnectionInfo, StoreError> {
        let refuse =
            || StoreError::Refused { reason: format!("the cluster names a node at \"{name}\"") };
        let (host, port) = name.rsplit_once(':').ok_or_else(refuse)?;
        let seed = self.seeds.first().ok_or_else(refuse)?;
        Ok(at(seed, host, port.parse().map_err(|_| refuse())?))
    }

    /// Asks again who has which slots.
    pub(crate) async fn look_again(&self) -> Result<(), StoreError> {
        self.renew(self.map().version).await
    }

    /// The link of an address.
    fn node(
        &self,
        nodes: &mut HashMap<String, Arc<Link>>,
        name: &str,
    ) -> Result<Arc<Link>, StoreError> {
        if let Some(node) = nodes.get(name) {
            return Ok(node.clone());
        }
        let client = Client::open(self.at(name)?).map_err(store_error)?;
        let node = Arc::new(Link::new(Server::Fixed(client), self.timeout));
        nodes.insert(name.to_owned(), node.clone());
        Ok(node)
    }

    /// Asks who has which slots, unless somebody has since `version`.
    async fn renew(&self, version: u64) -> Result<(), StoreError> {
        let _one_at_a_time = self.asking.lock().await;
        let map = self.map();
        if map.version > version && !map.slots.is_empty() {
            return Ok(());
        }
        let command = single(redis::cmd("CLUSTER").arg("SLOTS"));
        let mut nodes = map.nodes.clone();
        let mut asked: Vec<(String, Arc<Link>)> =
            nodes.iter().map(|(name, link)| (name.clone(), link.clone())).collect();
        for seed in &self.seeds {
            let name = seed.addr().to_string();
            if !nodes.contains_key(&name) {
                let client = Client::open(seed.clone()).map_err(store_error)?;
                asked.push((
                    host(seed).to_owned() + ":",
                    Arc::new(Link::new(Server::Fixed(client), self.timeout)),
                ));
            }
        }
        let mut failure = None;
        for (name, link) in asked {
            // One that hangs must not take the time of all.
            let answer = tokio::time::timeout(self.timeout / 3, link.read(&command)).await;
            let answer = match answer {
                Ok(Ok(mut answers)) => answers.pop().unwrap_or(Ok(Value::Nil)).map_err(store_error),
                Ok(Err(failure)) => Err(failure.of_read()),
                Err(_) => Err(StoreError::Unavailable {
                    reason: crate::connection::timed_out().to_string(),
                }),
            };
            let own = name.rsplit_once(':').map_or("", |(host, _)| host);
            match answer.and_then(|answer| self.read_slots(&mut nodes, answer, own)) {
                Ok(slots) => {
                    // Nodes that have no slot any more are let go.
                    nodes.retain(|_, node| {
                        slots.iter().flatten().any(|each| Arc::ptr_eq(each, node))
                    });
                    *self.map.write().unwrap_or_else(PoisonError::into_inner) =
                        Arc::new(Map { nodes, slots, version: map.version + 1 });
                    return Ok(());
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| StoreError::Unavailable {
            reason: "no node of the cluster is known".into(),
        }))
    }

    /// CLUSTER SLOTS' answer: ranges of slots, each with its primary and the replicas behind it.
    fn read_slots(
        &self,
        nodes: &mut HashMap<String, Arc<Link>>,
        answer: Value,
        own: &str,
    ) -> Result<Vec<Option<Arc<Link>>>, StoreError> {
        let read = || -> RedisResult<Vec<(u16, u16, String)>> {
            let mut ranges = Vec::new();
            for range in from_redis_value::<Vec<Vec<Value>>>(answer)? {
                let mut range = range.into_iter();
                let mut next = || range.next().unwrap_or(Value::Nil);
                let (first, last) = (from_redis_value(next())?, from_redis_value(next())?);
                let mut primary = from_redis_value::<Vec<Value>>(next())?.into_iter();
                let host: Option<String> = from_redis_value(primary.next().unwrap_or(Value::Nil))?;
                let port: u16 = from_redis_value(primary.next().unwrap_or(Value::Nil))?;
                let host = host
                    .filter(|host| !host.is_empty() && host != "?")
                    .unwrap_or_else(|| own.to_owned());
                ranges.push((first, last, format!("{host}:{port}")));
            }
            Ok(ranges)
        };
        let mut slots = vec![None; usize::from(SLOTS)];
        let ranges = read().map_err(store_error)?;
        if ranges.is_empty() {
            return Err(StoreError::Unavailable {
                reason: "a node of the cluster knows nobody who has slots".into(),
            });
        }
        for (first, last, name) in ranges {
            let node = self.node(nodes, &name)?;
            for slot in slots.iter_mut().take(usize::from(last) + 1).skip(usize::from(first)) {
                *slot = Some(node.clone());
            }
        }
        Ok(slots)
    }
}
