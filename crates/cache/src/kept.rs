//! What is kept, within a limit of memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use crate::counters::Counters;
use crate::entry::Entry;
use crate::key::{Asked, Hashing, Key};

/// What an entry takes beside its bytes and those of its key: the entry, its versions, its place in
/// the table.
const OVERHEAD: usize = 256;
/// How much an answer is expected to take, which decides how many that have gone are remembered.
const USUAL: u64 = 512;
/// Parts with a lock each, at most, and how many of the longest answers each has room for at least.
const SHARDS: u64 = 16;
const LONGEST_IN_SHARD: u64 = 4;

/// The answers. Of those that were asked for once, the oldest go first (CLOCK-Pro).
#[derive(Debug)]
pub(crate) struct Kept {
    entries: Cache<Key, Arc<Entry>, Weights, Hashing, Counting>,
    usual_entries: usize,
    counters: Arc<[Counters]>,
}

#[derive(Debug, Clone)]
struct Weights;

impl Weighter<Key, Arc<Entry>> for Weights {
    fn weight(&self, key: &Key, entry: &Arc<Entry>) -> u64 {
        (key.len() + entry.weight() + OVERHEAD) as u64
    }
}

/// Counts what goes.
#[derive(Debug, Clone)]
struct Counting(Arc<[Counters]>);

impl Lifecycle<Key, Arc<Entry>> for Counting {
    /// What has gone is dropped when the lock is free again; as a rule it is one.
    type RequestState = Option<(Key, Arc<Entry>)>;

    fn on_evict(&self, gone: &mut Self::RequestState, key: Key, entry: Arc<Entry>) {
        count_gone(&self.0, &key, &entry);
        *gone = Some((key, entry));
    }
}

fn count_gone(counters: &[Counters], key: &Key, entry: &Arc<Entry>) {
    let of_rule = &counters[entry.rule];
    of_rule.bytes.fetch_sub(weight(key, entry), Ordering::Relaxed);
    of_rule.entries.fetch_sub(1, Ordering::Relaxed);
}

fn weight(key: &Key, entry: &Arc<Entry>) -> i64 {
    i64::try_from(Weights.weight(key, entry)).unwrap_or(i64::MAX)
}

impl Kept {
    /// At most about `bytes`, of answers of which the longest that are kept take `longest`.
    pub(crate) fn new(bytes: u64, longest: u64, counters: Arc<[Counters]>) -> Self {
        let shards = (bytes / (LONGEST_IN_SHARD * longest).max(1)).clamp(1, SHARDS);
        // The power of two below: it is rounded up.
        let shards = 1 << shards.ilog2();
        let usual_entries = usize::try_from(bytes / USUAL).unwrap_or(usize::MAX).max(1);
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(usual_entries)
            .weight_capacity(bytes)
            .build();
        // Both of the values that it asks for are there.
        let entries = match options {
            Ok(options) => Cache::with_options(
                options,
                Weights,
                Hashing::default(),
                Counting(counters.clone()),
            ),
            Err(_) => {
                Cache::with(1, bytes, Weights, Hashing::default(), Counting(counters.clone()))
            }
        };
        Self { entries, usual_entries, counters }
    }

    /// How many are expected to have room.
    pub(crate) const fn usual_entries(&self) -> usize {
        self.usual_entries
    }

    pub(crate) fn get(&self, key: Asked<'_>) -> Option<Arc<Entry>> {
        self.entries.get(&key)
    }

    pub(crate) fn insert(&self, key: Key, entry: Arc<Entry>) {
        let of_rule = &self.counters[entry.rule];
        of_rule.bytes.fetch_add(weight(&key, &entry), Ordering::Relaxed);
        of_rule.entries.fetch_add(1, Ordering::Relaxed);
        self.entries.insert(key, entry);
    }

    /// Forgets an answer that isn't one any more.
    pub(crate) fn remove(&self, key: Asked<'_>) {
        if let Some((key, entry)) = self.entries.remove(&key) {
            count_gone(&self.counters, &key, &entry);
        }
    }

    #[cfg(test)]
    pub(crate) fn weight(&self) -> u64 {
        self.entries.weight()
    }
}
