//! One fills, the others wait.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::watch;

use crate::counters::count;
use crate::key::{Hashing, Key};
use crate::{Cache, Entry, Snapshot};

/// Locks for the keys that are being filled, so that clients with different keys seldom meet.
const SHARDS: usize = 16;

/// What has come of a fill: an answer, or that there is none to be kept.
type Result = Option<Arc<Entry>>;
/// Tells it to those who wait.
type Sender = watch::Sender<Option<Result>>;

/// Some of the keys that are being filled.
#[derive(Debug, Default)]
struct Shard {
    /// Who waits is told by a channel, which the first of them makes: as a rule there is none.
    flights: Mutex<HashMap<Key, Option<Sender>, Hashing>>,
    /// How many fills are over.
    ended: AtomicU64,
}

/// The keys that are being filled.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    shards: [Shard; SHARDS],
}

impl InFlight {
    fn shard(&self, hash: u64) -> &Shard {
        // Not the bits by which the tables themselves are ordered.
        &self.shards[usize::try_from(hash >> 40).unwrap_or_default() % SHARDS]
    }

    /// How many fills of this key, and of others, are over: while this number stays, what was
    /// looked for in vain isn't there.
    pub(crate) fn ended(&self, hash: u64) -> u64 {
        self.shard(hash).ended.load(Ordering::SeqCst)
    }

    /// To fill this key, unless somebody does.
    pub(crate) fn begin(&self, key: Key) -> std::result::Result<(), Waiting> {
        let mut flights =
            self.shard(key.hash).flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = flights.get_mut(&key) {
            let receiver = sender.get_or_insert_with(|| watch::channel(None).0).subscribe();
            return Err(Waiting { receiver });
        }
        flights.insert(key, None);
        Ok(())
    }

    /// The fill is over. Without a result, one of those who wait takes over.
    fn end(&self, key: &Key, result: Option<Result>) {
        let shard = self.shard(key.hash);
        let mut flights = shard.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = flights.remove(key).flatten();
        shard.ended.fetch_add(1, Ordering::SeqCst);
        drop(flights);
        if let (Some(sender), Some(result)) = (sender, result) {
            sender.send_replace(Some(result));
        }
    }
}

/// The right, and the duty, to fill a key. When it is dropped without an answer, one of those who
/// wait takes over.
#[derive(Debug)]
pub struct Filling {
    pub(crate) cache: Arc<Cache>,
    pub(crate) key: Key,
    pub(crate) rule: usize,
    /// An answer that may be given if the fill fails.
    pub(crate) stale: Option<Arc<Entry>>,
    /// There is an answer from before.
    pub(crate) replaces: bool,
    /// What those who wait are told.
    pub(crate) result: Option<Result>,
}

impl Filling {
    /// The answer to give if the fill fails.
    #[must_use]
    pub fn if_error(&self) -> Option<&Bytes> {
        let stale = self.stale.as_ref().filter(|entry| entry.is_current())?;
        stale.bytes()
    }

    /// The answer: read from `made` on, of what `snapshot` is of, which was taken before. Bytes
    /// that aren't kept are `None`.
    pub fn complete(self, bytes: Option<Bytes>, snapshot: Snapshot, made: Instant) -> Arc<Entry> {
        count(&self.cache.counters(self.rule).fills);
        self.end_with(bytes, snapshot, made)
    }

    /// The same with an answer that another gateway has kept.
    pub fn complete_shared(self, bytes: Bytes, snapshot: Snapshot, made: Instant) {
        count(&self.cache.counters(self.rule).shared);
        self.end_with(Some(bytes), snapshot, made);
    }

    fn end_with(mut self, bytes: Option<Bytes>, snapshot: Snapshot, made: Instant) -> Arc<Entry> {
        let entry = Arc::new(Entry::new(bytes, snapshot, made, self.rule));
        // One that is invalid already is no use to anybody.
        if entry.is_current() {
            self.cache.kept.insert(self.key.clone(), entry.clone());
        }
        self.result = Some(Some(entry.clone()));
        entry
    }

    /// There is nothing to be kept: those who wait ask for themselves, and an older answer is none
    /// any more.
    pub fn pass(mut self) {
        if self.replaces {
            self.cache.kept.remove(self.key.asked());
        }
        self.result = Some(None);
    }

    /// The fill has failed, and the answer kept before is given.
    pub fn give_stale(self) {
        count(&self.cache.counters(self.rule).stale);
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.cache.in_flight.end(&self.key, self.result.take());
    }
}

/// Waiting for another's fill.
#[derive(Debug)]
pub struct Waiting {
    receiver: watch::Receiver<Option<Result>>,
}

/// What has come of it.
#[derive(Debug)]
pub enum Waited {
    /// An answer that is one still.
    Answer(Arc<Entry>),
    /// There is none: to be asked for past the cache.
    Pass,
    /// The filler has gone: to be looked for again, and filled by the first who does.
    Again,
}

impl Waiting {
    /// Waits until the fill is over.
    pub async fn wait(mut self) -> Waited {
        match self.receiver.wait_for(Option::is_some).await {
            Ok(result) => match result.as_ref().and_then(Option::as_ref) {
                Some(entry) if entry.bytes().is_some() && entry.is_current() => {
                    Waited::Answer(entry.clone())
                }
                _ => Waited::Pass,
            },
            Err(_) => Waited::Again,
        }
    }
}
