//! The nodes of a cluster that have rows, or may get some: its primaries, those too that have no
//! slots yet, since a slot's rows move before the slot does.

use std::collections::HashMap;

use flywheel_store::StoreError;
use redis::{Client, Value, from_redis_value};

use super::node::Place;
use crate::cluster::Cluster;
use crate::error::store_error;
use crate::key::Keyspace;
use crate::servers::query_at;
use crate::slot;

/// A primary, as CLUSTER NODES has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: String,
    /// `host:port`
    pub(super) address: String,
    /// First and last.
    slots: Vec<(u16, u16)>,
}

impl Member {
    /// The name of a key in one of its slots.
    pub(super) fn heartbeat(&self, keys: &Keyspace) -> Option<String> {
        if self.slots.is_empty() {
            return None;
        }
        let has = |name: &String| {
            let slot = slot::of(name.as_bytes());
            self.slots.iter().any(|&(first, last)| (first..=last).contains(&slot))
        };
        std::iter::repeat_with(|| keys.heartbeat(rand::random())).find(has)
    }
}

/// The primaries in an answer to CLUSTER NODES.
pub(super) fn members(answer: &str) -> Vec<Member> {
    answer.lines().filter_map(member).collect()
}

/// `id ip:port@bus,hostname flags primary ping pong epoch state slot slot…`
fn member(line: &str) -> Option<Member> {
    let mut words = line.split_ascii_whitespace();
    let (id, address, flags) = (words.next()?, words.next()?, words.next()?);
    let has = |flag: &str| flags.split(',').any(|each| each == flag);
    let slot = |word: &str| {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    // What is on its way stands in brackets.
    let slots: Vec<_> =
        words.skip(5).filter(|word| !word.starts_with('[')).filter_map(slot).collect();
    let is_gone = has("handshake") || has("noaddr") || has("fail") && slots.is_empty();
    (has("master") && !is_gone).then(|| Member {
        id: id.to_owned(),
        address: address.split(['@', ',']).next().unwrap_or_default().to_owned(),
        slots,
    })
}

/// Where the cluster's primaries are.
pub(super) async fn places(cluster: &Cluster) -> Result<Vec<Place>, StoreError> {
    let mut failure = StoreError::Unavailable { reason: "no node of the cluster is known".into() };
    // Requests find out that nodes have changed; here nothing may have been asked for long.
    cluster.look_again().await?;
    for link in cluster.primaries().await? {
        let nodes = query_at::<String>(&link, redis::cmd("CLUSTER").arg("NODES")).await;
        let slots = query_at::<Vec<Vec<Value>>>(&link, redis::cmd("CLUSTER").arg("SLOTS")).await;
        match (nodes, slots) {
            (Ok(nodes), Ok(slots)) => {
                let preferred = preferred(slots);
                let place = |mut member: Member| {
                    // By the name that certificates are for, where the cluster tells it.
                    if let Some(address) = preferred.get(&member.id) {
                        member.address.clone_from(address);
                    }
                    let client = Client::open(cluster.at(&member.address)?).map_err(store_error)?;
                    Ok(Place::of_member(client, member))
                };
                return members(&nodes).into_iter().map(place).collect();
            }
            (Err(error), _) | (_, Err(error)) => failure = error,
        }
    }
    Err(failure)
}

/// The addresses that CLUSTER SLOTS tells clients, by the nodes' names.
fn preferred(ranges: Vec<Vec<Value>>) -> HashMap<String, String> {
    let of_range = |range: Vec<Value>| {
        let mut primary =
            from_redis_value::<Vec<Value>>(range.into_iter().nth(2)?).ok()?.into_iter();
        let host: String = from_redis_value(primary.next()?).ok()?;
        let port: u16 = from_redis_value(primary.next()?).ok()?;
        let id: String = from_redis_value(primary.next()?).ok()?;
        (!host.is_empty() && host != "?").then(|| (id, format!("{host}:{port}")))
    };
    ranges.into_iter().filter_map(of_range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primaries_are_read() {
        let answer = "a 127.0.0.1:30001@31001,host myself,master - 0 0 1 connected 0-5460 9000 [93-<-b]\n\
            b 127.0.0.1:30002@31002 master - 0 1 2 connected\n\
            c 127.0.0.1:30003@31003 slave a 0 1 2 connected\n\
            d 127.0.0.1:30004@31004 master,fail - 0 1 2 disconnected\n\
            e 127.0.0.1:30005@31005 master,fail - 0 1 2 disconnected 9001\n\
            f :0@0 master,noaddr - 0 1 2 disconnected\n";
        let member = |id: &str, port: u16, slots: &[(u16, u16)]| Member {
            id: id.into(),
            address: format!("127.0.0.1:{port}"),
            slots: slots.to_vec(),
        };
        let (a, b, e) = (
            member("a", 30001, &[(0, 5460), (9000, 9000)]),
            member("b", 30002, &[]),
            member("e", 30005, &[(9001, 9001)]),
        );
        let keys = Keyspace::new("app:");
        for member in [&a, &e] {
            let slot = slot::of(member.heartbeat(&keys).expect("a name").as_bytes());
            assert!(member.slots.iter().any(|&(first, last)| (first..=last).contains(&slot)));
        }
        assert_eq!(b.heartbeat(&keys), None);
        assert_eq!(members(answer), [a, b, e]);
    }
}
