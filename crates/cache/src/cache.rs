//! The answers of one process.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::counters::{Counters, count};
use crate::entry::{Entry, Freshness, Lifetimes};
use crate::flight::{Filling, InFlight, Waiting};
use crate::kept::Kept;
use crate::key::{Asked, Hashing};
use crate::worth::{Doorkeeper, Tally};

/// Answers by key, within a limit of memory.
#[derive(Debug)]
pub struct Cache {
    pub(crate) kept: Kept,
    pub(crate) in_flight: InFlight,
    hashing: Hashing,
    counters: Arc<[Counters]>,
    tallies: Box<[Tally]>,
    /// Made when a rule hardly ever hits.
    doorkeeper: OnceLock<Doorkeeper>,
}

/// What is known of a key.
#[derive(Debug)]
pub enum Found {
    /// Its answer.
    Hit(Arc<Entry>),
    /// An answer that is past its time, and can be given. Another is to be found, and to be told.
    Stale(Arc<Entry>, Filling),
    /// There is an answer that isn't kept.
    Pass,
    /// Nothing, and it isn't worth keeping: with this rule hardly anything is asked for again, and
    /// this wasn't before.
    Seldom,
    /// Nothing: the answer is to be found, and to be told.
    Fill(Filling),
    /// Nothing yet. With it, the answer that may be given if the fill fails.
    Wait(Waiting, Option<Arc<Entry>>),
}

/// What stands under a key.
enum Known {
    Fresh(Found),
    /// An answer that can be given in need.
    Old(Arc<Entry>, Freshness),
    Nothing,
}

impl Cache {
    /// One that takes at most about so many bytes, of answers of at most `longest` bytes, for so
    /// many rules.
    #[must_use]
    pub fn new(bytes: u64, longest: u64, rules: usize) -> Arc<Self> {
        let counters: Arc<[Counters]> = (0..rules).map(|_| Counters::default()).collect();
        Arc::new(Self {
            kept: Kept::new(bytes, longest, counters.clone()),
            in_flight: InFlight::default(),
            hashing: Hashing::default(),
            counters,
            tallies: (0..rules).map(|_| Tally::default()).collect(),
            doorkeeper: OnceLock::new(),
        })
    }

    /// The counts of a rule, by its position.
    #[must_use]
    pub fn counters(&self, rule: usize) -> &Counters {
        &self.counters[rule]
    }

    /// What is known of a key, for a statement that this rule is for. The key's bytes must hold all
    /// that the answer depends on.
    #[must_use]
    pub fn look(self: &Arc<Self>, key: &[u8], rule: usize, lifetimes: &Lifetimes) -> Found {
        let counters = &self.counters[rule];
        let asked = Asked::new(&self.hashing, key);
        let ended = self.in_flight.ended(asked.hash);
        let mut old = match self.known(asked, lifetimes) {
            Known::Fresh(found) => return found.inspect_hit(counters),
            Known::Old(entry, freshness) => Some((entry, freshness)),
            Known::Nothing => None,
        };
        if old.is_none() && !self.is_worth_keeping(asked, rule) {
            return Found::Seldom;
        }
        let key = asked.keep();
        if let Err(waiting) = self.in_flight.begin(key.clone()) {
            return match old {
                Some((entry, Freshness::Stale)) => {
                    count(&counters.stale);
                    Found::Hit(entry)
                }
                old => {
                    count(&counters.waits);
                    Found::Wait(waiting, old.map(|(entry, _)| entry))
                }
            };
        }
        let mut filling =
            Filling { cache: self.clone(), key, rule, stale: None, replaces: false, result: None };
        // Somebody may have filled it in between.
        if self.in_flight.ended(asked.hash) != ended {
            old = match self.known(asked, lifetimes) {
                Known::Fresh(found) => {
                    drop(filling);
                    return found.inspect_hit(counters);
                }
                Known::Old(entry, freshness) => Some((entry, freshness)),
                Known::Nothing => None,
            };
        }
        filling.replaces = old.is_some();
        if let Some((entry, Freshness::Stale)) = old {
            count(&counters.stale);
            return Found::Stale(entry, filling);
        }
        count(&counters.misses);
        filling.stale = old.map(|(entry, _)| entry);
        Found::Fill(filling)
    }

    /// Whether an answer is worth keeping that isn't there. Where lookups hit it always is, so that
    /// one fills what many ask for at once.
    fn is_worth_keeping(&self, key: Asked<'_>, rule: usize) -> bool {
        let hardly_hits = self.tallies[rule].note_miss(|| self.counters[rule].answered());
        !hardly_hits
            || self
                .doorkeeper
                .get_or_init(|| Doorkeeper::new(self.kept.usual_entries()))
                .knows(key.hash)
    }

    fn known(&self, key: Asked<'_>, lifetimes: &Lifetimes) -> Known {
        let Some(entry) = self.kept.get(key) else { return Known::Nothing };
        match entry.freshness(lifetimes, Instant::now()) {
            Freshness::Fresh if entry.bytes().is_some() => Known::Fresh(Found::Hit(entry)),
            Freshness::Fresh => Known::Fresh(Found::Pass),
            freshness @ (Freshness::Stale | Freshness::IfError) => Known::Old(entry, freshness),
            Freshness::Gone => Known::Nothing,
        }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::worth::WINDOW;
    use crate::{Part, Snapshot, Touch, Versions, Waited};

    const MINUTE: Lifetimes = Lifetimes {
        ttl: Duration::from_secs(60),
        stale_while_revalidate: Duration::ZERO,
        stale_if_error: Duration::ZERO,
    };

    fn snapshot(versions: &Arc<Versions>) -> Snapshot {
        Snapshot::of(versions, [(1, Part::Whole)])
    }

    fn key(number: u32) -> [u8; 4] {
        number.to_be_bytes()
    }

    /// A rule of which nothing is asked for again.
    fn hardly_hitting(cache: &Arc<Cache>) {
        for number in 0..WINDOW {
            assert!(!is_hit(&cache.look(&key(number), 0, &MINUTE)));
        }
        assert!(matches!(cache.look(b"another", 0, &MINUTE), Found::Seldom));
    }

    #[test]
    fn what_is_asked_for_once_is_not_kept_where_nothing_hits() {
        let (cache, versions) = (Cache::new(1 << 20, 1 << 16, 1), Arc::<Versions>::default());
        hardly_hitting(&cache);
        // The second time it is filled, the third time it is there.
        fill(cache.look(b"another", 0, &MINUTE)).complete(
            Some(Bytes::from_static(b"v")),
            snapshot(&versions),
            Instant::now(),
        );
        assert!(is_hit(&cache.look(b"another", 0, &MINUTE)));
        // Another rule isn't concerned.
        let two = Cache::new(1 << 20, 1 << 16, 2);
        hardly_hitting(&two);
        fill(two.look(b"of the other", 1, &MINUTE));
    }

    #[test]
    fn where_lookups_hit_again_everything_is_kept_again() {
        let (cache, versions) = (Cache::new(1 << 20, 1 << 16, 1), Arc::<Versions>::default());
        hardly_hitting(&cache);
        fill(cache.look(b"another", 0, &MINUTE)).complete(
            Some(Bytes::from_static(b"v")),
            snapshot(&versions),
            Instant::now(),
        );
        for number in WINDOW..3 * WINDOW {
            drop(cache.look(&key(number), 0, &MINUTE));
            assert!(is_hit(&cache.look(b"another", 0, &MINUTE)));
        }
        fill(cache.look(b"a third", 0, &MINUTE));
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
        let (cache, versions) = (Cache::new(1 << 20, 1 << 16, 1), Arc::<Versions>::default());
        let filling = fill(cache.look(b"k", 0, &MINUTE));
        let before = snapshot(&versions);
        versions.invalidate(&Touch::Tables(vec![(1, Part::Whole)]));
        filling.complete(Some(Bytes::from_static(b"old")), before, Instant::now());
        let filling = fill(cache.look(b"k", 0, &MINUTE));
        filling.complete(Some(Bytes::from_static(b"new")), snapshot(&versions), Instant::now());
        assert!(
            matches!(cache.look(b"k", 0, &MINUTE), Found::Hit(entry) if entry.bytes().unwrap() == "new")
        );
        assert!(!is_hit(&cache.look(b"other", 0, &MINUTE)));
    }

    #[tokio::test]
    async fn one_fills_and_when_it_goes_one_takes_over() {
        let (cache, versions) = (Cache::new(1 << 20, 1 << 16, 1), Arc::<Versions>::default());
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
        fillers.remove(0).complete(
            Some(Bytes::from_static(b"v")),
            snapshot(&versions),
            Instant::now(),
        );
        for one in others {
            assert!(
                matches!(one.wait().await, Waited::Answer(entry) if entry.bytes().unwrap() == "v")
            );
        }
        assert!(is_hit(&cache.look(b"k", 0, &MINUTE)));
    }

    #[tokio::test]
    async fn what_isnt_kept_is_asked_for_by_everybody() {
        let (cache, versions) = (Cache::new(1 << 20, 1 << 16, 1), Arc::<Versions>::default());
        let first = fill(cache.look(b"k", 0, &MINUTE));
        let Found::Wait(waiting, None) = cache.look(b"k", 0, &MINUTE) else { panic!() };
        first.complete(None, snapshot(&versions), Instant::now());
        assert!(matches!(waiting.wait().await, Waited::Pass));
        assert!(matches!(cache.look(b"k", 0, &MINUTE), Found::Pass));
    }

    const STALE: Lifetimes = Lifetimes {
        ttl: Duration::ZERO,
        stale_while_revalidate: Duration::from_secs(60),
        stale_if_error: Duration::ZERO,
    };

    #[test]
    fn a_stale_answer_is_given_to_all_while_one_fills() {
        let (cache, versions) = (Cache::new(1 << 20, 1 << 16, 1), Arc::<Versions>::default());
        fill(cache.look(b"k", 0, &STALE)).complete(
            Some(Bytes::from_static(b"v")),
            snapshot(&versions),
            Instant::now(),
        );
        let Found::Stale(entry, filling) = cache.look(b"k", 0, &STALE) else { panic!() };
        assert_eq!(entry.bytes().unwrap(), "v");
        assert!(is_hit(&cache.look(b"k", 0, &STALE)));
        filling.complete(Some(Bytes::from_static(b"w")), snapshot(&versions), Instant::now());
        let Found::Stale(entry, filling) = cache.look(b"k", 0, &STALE) else { panic!() };
        assert_eq!(entry.bytes().unwrap(), "w");
        // One has taken the other's place.
        assert_eq!(cache.counters(0).entries.load(Ordering::Relaxed), 1);
        versions.invalidate(&Touch::All);
        assert!(matches!(cache.look(b"k", 0, &STALE), Found::Wait(_, None)));
        drop(filling);
        fill(cache.look(b"k", 0, &STALE));
    }

    #[test]
    fn a_stale_answer_goes_when_there_is_none_any_more() {
        let (cache, versions) = (Cache::new(1 << 20, 1 << 16, 1), Arc::<Versions>::default());
        fill(cache.look(b"k", 0, &STALE)).complete(
            Some(Bytes::from_static(b"v")),
            snapshot(&versions),
            Instant::now(),
        );
        let Found::Stale(_, filling) = cache.look(b"k", 0, &STALE) else { panic!() };
        drop(filling);
        let Found::Stale(_, filling) = cache.look(b"k", 0, &STALE) else { panic!() };
        filling.pass();
        fill(cache.look(b"k", 0, &STALE));
        assert_eq!(cache.kept.weight(), 0);
    }

    #[test]
    fn an_old_answer_is_given_when_the_fill_fails() {
        let (cache, versions) = (Cache::new(1 << 20, 1 << 16, 1), Arc::<Versions>::default());
        let lifetimes = Lifetimes {
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::from_secs(60),
            ..STALE
        };
        fill(cache.look(b"k", 0, &lifetimes)).complete(
            Some(Bytes::from_static(b"v")),
            snapshot(&versions),
            Instant::now(),
        );
        let filling = fill(cache.look(b"k", 0, &lifetimes));
        assert!(matches!(cache.look(b"k", 0, &lifetimes), Found::Wait(_, Some(_))));
        assert_eq!(filling.if_error().unwrap(), "v");
        versions.invalidate(&Touch::All);
        assert_eq!(filling.if_error(), None);
        assert!(matches!(cache.look(b"k", 0, &lifetimes), Found::Wait(_, None)));
    }

    #[test]
    fn memory_stays_within_its_limit() {
        let limit = 256 * 1024;
        let (cache, versions) = (Cache::new(limit, 1 << 12, 2), Arc::<Versions>::default());
        for number in 0..20_000_u32 {
            let rule = usize::from(number % 2 == 0);
            // Where nothing hits, what is asked for twice is kept.
            let found = match cache.look(&key(number), rule, &MINUTE) {
                Found::Seldom => cache.look(&key(number), rule, &MINUTE),
                found => found,
            };
            let filling = fill(found);
            filling.complete(Some(Bytes::from(vec![0; 500])), snapshot(&versions), Instant::now());
        }
        let bytes = |rule: usize| cache.counters(rule).bytes.load(Ordering::Relaxed);
        let all = u64::try_from(bytes(0) + bytes(1)).unwrap();
        assert!(all <= limit, "{all}");
        assert!(all > limit / 2, "{all}");
        assert_eq!(all, cache.kept.weight());
    }
}
