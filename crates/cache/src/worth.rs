//! Whether an answer is worth keeping: where hardly anything is asked for again, only what was.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// After so many lookups without an answer it is asked anew how many had one.
pub(crate) const WINDOW: u32 = 4096;
/// Fewer hits than one in so many are hardly any: keeping costs more than they spare.
const FEW: u64 = 64;

/// How a rule's lookups have gone lately.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    misses: AtomicU32,
    /// How many hits there were when the window began.
    hits: AtomicU64,
    seldom: AtomicBool,
}

impl Tally {
    /// A lookup has found nothing, after so many hits in all. Whether hardly any hit lately.
    pub(crate) fn note_miss(&self, hits: impl FnOnce() -> u64) -> bool {
        if self.misses.fetch_add(1, Ordering::Relaxed) + 1 == WINDOW {
            let hits = hits();
            let before = self.hits.swap(hits, Ordering::Relaxed);
            self.seldom
                .store(hits.saturating_sub(before) < u64::from(WINDOW) / FEW, Ordering::Relaxed);
            self.misses.store(0, Ordering::Relaxed);
        }
        self.seldom.load(Ordering::Relaxed)
    }
}

/// Which keys were asked for lately: as many as could be kept, each until another takes its place.
#[derive(Debug)]
pub(crate) struct Doorkeeper {
    /// A part of a key's hash, at the place that the rest says.
    places: Box<[AtomicU16]>,
}

impl Doorkeeper {
    pub(crate) fn new(keys: usize) -> Self {
        Self { places: (0..keys.next_power_of_two()).map(|_| AtomicU16::new(0)).collect() }
    }

    /// Whether the key of this hash was asked for before, which once in some 65,000 times is said
    /// wrongly; from now on it was.
    pub(crate) fn knows(&self, hash: u64) -> bool {
        let [high, low, ..] = hash.to_be_bytes();
        let mark = u16::from_be_bytes([high, low]);
        let place =
            usize::try_from(hash & u64::from(u32::MAX)).unwrap_or_default() % self.places.len();
        self.places[place].swap(mark, Ordering::Relaxed) == mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Asked, Hashing};

    fn hashes() -> impl Fn(u32) -> u64 {
        let hashing = Hashing::default();
        move |number| Asked::new(&hashing, &number.to_be_bytes()).hash
    }

    #[test]
    fn the_doorkeeper_knows_what_came_lately() {
        let (keeper, hash) = (Doorkeeper::new(10_000), hashes());
        let known = |numbers: std::ops::Range<u32>| {
            numbers.filter(|&number| keeper.knows(hash(number))).count()
        };
        assert!(known(0..2000) < 10);
        // Some have lost their places to others.
        let again = known(0..2000);
        assert!(again > 1600, "{again} of 2,000");
        known(10_000..80_000);
        let left = known(0..2000);
        assert!(left < 200, "{left} of 2,000 are left");
    }

    #[test]
    fn few_hits_are_seldom() {
        let tally = Tally::default();
        let window = |hits: u64| (0..WINDOW).fold(false, |_, _| tally.note_miss(|| hits));
        assert!(!window(64));
        assert!(window(64 + 63));
        assert!(!window(64 + 63 + 64));
    }
}
