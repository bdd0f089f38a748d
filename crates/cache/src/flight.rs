//! One fills, the others wait.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::watch;

use crate::counters::count;
use crate::{Cache, Entry, Snapshot};

/// Locks for the keys that are being filled, so that clients with different keys seldom meet.
const SHARDS: usize = 16;

/// What has come of a fill: nothing yet, or an answer, or that there is none to be kept.
type Result = Option<Option<Arc<Entry>>>;
type Flights = HashMap<Arc<[u8]>, watch::Receiver<Result>>;

/// The keys that are being filled.
#[derive(Debug)]
pub(crate) struct InFlight {
    shards: Box<[Mutex<Flights>]>,
    hasher: RandomState,
}

impl Default for InFlight {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl InFlight {
    fn shard(&self, key: &[u8]) -> &Mutex<Flights> {
        let place = self.hasher.hash_one(key) % SHARDS as u64;
        &self.shards[usize::try_from(place).unwrap_or_default()]
    }

    /// To fill this key, unless somebody does.
    pub(crate) fn begin(&self, key: &[u8]) -> std::result::Result<(Arc<[u8]>, watch::Sender<Result>), Waiting> {
        let mut flights = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = flights.get(key) {
            return Err(Waiting {
                receiver: receiver.clone(),
            });
        }
        let key: Arc<[u8]> = key.into();
        let (sender, receiver) = watch::channel(None);
        flights.insert(key.clone(), receiver);
        Ok((key, sender))
    }

    fn end(&self, key: &[u8]) {
        self.shard(key).lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// The right, and the duty, to fill a key. When it is dropped without an answer, one of those who wait takes over.
#[derive(Debug)]
pub struct Filling {
    pub(crate) cache: Arc<Cache>,
    pub(crate) key: Arc<[u8]>,
    pub(crate) sender: watch::Sender<Result>,
    pub(crate) rule: usize,
    /// An answer that may be given if the fill fails.
    pub(crate) stale: Option<Arc<Entry>>,
}

impl Filling {
    /// The answer to give if the fill fails.
    #[must_use]
    pub fn if_error(&self) -> Option<&Bytes> {
        let stale = self.stale.as_ref().filter(|entry| entry.is_current())?;
        stale.bytes()
    }

    /// The answer: read from `made` on, of what `snapshot` is of, which was taken before. Bytes that aren't kept are `None`.
    pub fn complete(self, bytes: Option<Bytes>, snapshot: Snapshot, made: Instant) -> Arc<Entry> {
        count(&self.cache.counters(self.rule).fills);
        self.end_with(bytes, snapshot, made)
    }

    /// The same with an answer that another gateway has kept.
    pub fn complete_shared(self, bytes: Bytes, snapshot: Snapshot, made: Instant) {
        count(&self.cache.counters(self.rule).shared);
        self.end_with(Some(bytes), snapshot, made);
    }

    fn end_with(self, bytes: Option<Bytes>, snapshot: Snapshot, made: Instant) -> Arc<Entry> {
        let entry = Arc::new(Entry::new(bytes, snapshot, made, self.rule));
        // One that is invalid already is no use to anybody.
        if entry.is_current() {
            self.cache.keep(self.key.clone(), entry.clone());
        }
        self.sender.send_replace(Some(Some(entry.clone())));
        entry
    }

    /// There is nothing to be kept: those who wait ask for themselves.
    pub fn pass(self) {
        self.sender.send_replace(Some(None));
    }

    /// The fill has failed, and the answer kept before is given.
    pub fn give_stale(self) {
        count(&self.cache.counters(self.rule).stale);
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.cache.in_flight.end(&self.key);
    }
}

/// Waiting for another's fill.
#[derive(Debug)]
pub struct Waiting {
    receiver: watch::Receiver<Result>,
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
                Some(entry) if entry.bytes().is_some() && entry.is_current() => Waited::Answer(entry.clone()),
                _ => Waited::Pass,
            },
            Err(_) => Waited::Again,
        }
    }
}
