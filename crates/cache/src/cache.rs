//! The answers of one process.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::counters::{Counters, count};
use crate::entry::{Entry, Freshness, Lifetimes};
use crate::flight::{Filling, InFlight, Waiting};

/// What an entry takes beside its bytes and those of its key: the entry, its versions, its place in the table.
const OVERHEAD: usize = 256;

/// Answers by key, within a limit of memory: those that are asked for seldom go first (TinyLFU).
#[derive(Debug)]
pub struct Cache {
    kept: moka::sync::Cache<Arc<[u8]>, Arc<Entry>>,
    pub(crate) in_flight: InFlight,
    counters: Arc<[Counters]>,
}

/// What is known of a key.
#[derive(Debug)]
pub enum Found {
    /// Its answer.
    Hit(Arc<Entry>),
    /// There is an answer that isn't kept.
    Pass,
    /// Nothing: the answer is to be found, and to be told.
    Fill(Filling),
    /// Nothing yet. With it, the answer that may be given if the fill fails.
    Wait(Waiting, Option<Arc<Entry>>),
}

impl Cache {
    /// One that takes at most about so many bytes, for so many rules.
    #[must_use]
    pub fn new(bytes: u64, rules: usize) -> Arc<Self> {
        let counters: Arc<[Counters]> = (0..rules).map(|_| Counters::default()).collect();
        let counted = counters.clone();
        let kept = moka::sync::Cache::builder()
            .max_capacity(bytes)
            .weigher(|key: &Arc<[u8]>, entry: &Arc<Entry>| weight(key, entry))
            .eviction_listener(move |key, entry: Arc<Entry>, _| {
                let of_rule = &counted[entry.rule];
                of_rule.bytes.fetch_sub(i64::from(weight(&key, &entry)), Ordering::Relaxed);
                of_rule.entries.fetch_sub(1, Ordering::Relaxed);
            })
            .build();
        Arc::new(Self {
            kept,
            in_flight: InFlight::default(),
            counters,
        })
    }

    /// The counts of a rule, by its position.
    #[must_use]
    pub fn counters(&self, rule: usize) -> &Counters {
        &self.counters[rule]
    }

    /// What is known of a key, for a statement that this rule is for. The key's bytes must hold all that the answer depends on.
    #[must_use]
    pub fn look(self: &Arc<Self>, key: &[u8], rule: usize, lifetimes: &Lifetimes) -> Found {
        let counters = &self.counters[rule];
        let mut stale = match self.fresh(key, lifetimes) {
            Ok(found) => return found.inspect_hit(counters),
            Err(stale) => stale,
        };
        let (key, sender) = match self.in_flight.begin(key) {
            Ok(begun) => begun,
            Err(waiting) => {
                return match stale {
                    Some((entry, Freshness::Stale)) => {
                        count(&counters.stale);
                        Found::Hit(entry)
                    }
                    stale => {
                        count(&counters.waits);
                        Found::Wait(waiting, stale.map(|(entry, _)| entry))
                    }
                };
            }
        };
        let mut filling = Filling {
            cache: self.clone(),
            key,
            sender,
            rule,
            stale: None,
        };
        // Somebody may have filled it in between.
        match self.fresh(&filling.key, lifetimes) {
            Ok(found) => {
                drop(filling);
                return found.inspect_hit(counters);
            }
            Err(known) => stale = known,
        }
        count(&counters.misses);
        filling.stale = stale.map(|(entry, _)| entry);
        Found::Fill(filling)
    }

    /// A fresh entry; or one that isn't, but can be given in need.
    fn fresh(&self, key: &[u8], lifetimes: &Lifetimes) -> Result<Found, Option<(Arc<Entry>, Freshness)>> {
        let entry = self.kept.get(key).ok_or(None)?;
        match entry.freshness(lifetimes, Instant::now()) {
            Freshness::Fresh if entry.bytes().is_some() => Ok(Found::Hit(entry)),
            Freshness::Fresh => Ok(Found::Pass),
            freshness @ (Freshness::Stale | Freshness::IfError) => Err(Some((entry, freshness))),
            Freshness::Gone => Err(None),
        }
    }

    pub(crate) fn keep(&self, key: Arc<[u8]>, entry: Arc<Entry>) {
        let of_rule = &self.counters[entry.rule];
        of_rule.bytes.fetch_add(i64::from(weight(&key, &entry)), Ordering::Relaxed);
        of_rule.entries.fetch_add(1, Ordering::Relaxed);
        self.kept.insert(key, entry);
    }

    /// Has what waits to be evicted evicted now, so that the counts are exact.
    pub fn settle(&self) {
        self.kept.run_pending_tasks();
    }
}

impl Found {
    fn inspect_hit(self, counters: &Counters) -> Self {
        if let Self::Hit(_) = self {
            count(&counters.hits);
        }
        self
    }
}

fn weight(key: &[u8], entry: &Entry) -> u32 {
    u32::try_from(key.len() + entry.weight() + OVERHEAD).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::{Part, Reads, Touch, Versions, Waited};

    const MINUTE: Lifetimes = Lifetimes {
        ttl: Duration::from_secs(60),
        stale_while_revalidate: Duration::ZERO,
        stale_if_error: Duration::ZERO,
    };

    fn snapshot(versions: &Arc<Versions>) -> crate::Snapshot {
        Reads::of(versions, [(1, Part::Whole)]).snapshot()
    }

    fn fill(found: Found) -> Filling {
        match found {
            Found::Fill(filling) => filling,
            other => panic!("{other:?}"),
        }
    }

    fn is_hit(found: &Found) -> bool {
        matches!(found, Found::Hit(_))
    }

    #[test]
    fn a_fill_that_a_write_overtakes_is_discarded() {
        let (cache, versions) = (Cache::new(1 << 20, 1), Arc::<Versions>::default());
        let filling = fill(cache.look(b"k", 0, &MINUTE));
        let before = snapshot(&versions);
        versions.invalidate(&Touch::Tables(vec![(1, Part::Whole)]));
        filling.complete(Some(Bytes::from_static(b"old")), before, Instant::now());
        let filling = fill(cache.look(b"k", 0, &MINUTE));
        filling.complete(Some(Bytes::from_static(b"new")), snapshot(&versions), Instant::now());
        assert!(matches!(cache.look(b"k", 0, &MINUTE), Found::Hit(entry) if entry.bytes().unwrap() == "new"));
        assert!(!is_hit(&cache.look(b"other", 0, &MINUTE)));
    }

    #[tokio::test]
    async fn one_fills_and_when_it_goes_one_takes_over() {
        let (cache, versions) = (Cache::new(1 << 20, 1), Arc::<Versions>::default());
        let first = fill(cache.look(b"k", 0, &MINUTE));
        let wait = |found| match found {
            Found::Wait(waiting, None) => waiting,
            other => panic!("{other:?}"),
        };
        let waiting: Vec<_> = (0..10).map(|_| wait(cache.look(b"k", 0, &MINUTE))).collect();
        drop(first);
        let mut fillers = Vec::new();
        let mut others = Vec::new();
        for one in waiting {
            assert!(matches!(one.wait().await, Waited::Again));
            match cache.look(b"k", 0, &MINUTE) {
                Found::Fill(filling) => fillers.push(filling),
                other => others.push(wait(other)),
            }
        }
        assert_eq!((fillers.len(), others.len()), (1, 9));
        fillers
            .remove(0)
            .complete(Some(Bytes::from_static(b"v")), snapshot(&versions), Instant::now());
        for one in others {
            assert!(matches!(one.wait().await, Waited::Answer(entry) if entry.bytes().unwrap() == "v"));
        }
        assert!(is_hit(&cache.look(b"k", 0, &MINUTE)));
    }

    #[tokio::test]
    async fn what_isnt_kept_is_asked_for_by_everybody() {
        let (cache, versions) = (Cache::new(1 << 20, 1), Arc::<Versions>::default());
        let first = fill(cache.look(b"k", 0, &MINUTE));
        let Found::Wait(waiting, None) = cache.look(b"k", 0, &MINUTE) else {
            panic!()
        };
        first.complete(None, snapshot(&versions), Instant::now());
        assert!(matches!(waiting.wait().await, Waited::Pass));
        assert!(matches!(cache.look(b"k", 0, &MINUTE), Found::Pass));
    }

    #[test]
    fn a_stale_answer_is_given_while_one_fills() {
        let (cache, versions) = (Cache::new(1 << 20, 1), Arc::<Versions>::default());
        let lifetimes = Lifetimes {
            ttl: Duration::ZERO,
            stale_while_revalidate: Duration::from_secs(60),
            stale_if_error: Duration::from_secs(60),
        };
        fill(cache.look(b"k", 0, &lifetimes)).complete(Some(Bytes::from_static(b"v")), snapshot(&versions), Instant::now());
        let filling = fill(cache.look(b"k", 0, &lifetimes));
        assert!(is_hit(&cache.look(b"k", 0, &lifetimes)));
        assert_eq!(filling.if_error().unwrap(), "v");
        versions.invalidate(&Touch::All);
        assert_eq!(filling.if_error(), None);
        assert!(matches!(cache.look(b"k", 0, &lifetimes), Found::Wait(..)));
    }

    #[test]
    fn memory_stays_within_its_limit() {
        let limit = 256 * 1024;
        let (cache, versions) = (Cache::new(limit, 2), Arc::<Versions>::default());
        for number in 0..20_000_u32 {
            let rule = usize::from(number % 2 == 0);
            let filling = fill(cache.look(&number.to_be_bytes(), rule, &MINUTE));
            filling.complete(Some(Bytes::from(vec![0; 500])), snapshot(&versions), Instant::now());
        }
        cache.settle();
        let bytes = |rule: usize| cache.counters(rule).bytes.load(Ordering::Relaxed);
        let all = u64::try_from(bytes(0) + bytes(1)).unwrap();
        assert!(all <= limit, "{all}");
        assert!(all > limit / 2, "{all}");
        assert_eq!(all, cache.kept.weighted_size());
    }
}
