//! How many statements were answered in which way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use flywheel_execute::Way;

/// How many parts there are: sessions of one part count in the same place.
const PARTS: usize = 16;

/// Counts of a database's statements, in parts that lie apart: threads that count at the same time
/// don't take the place from each other.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    parts: [Part; PARTS],
    /// Sessions that are in a transaction.
    open: AtomicUsize,
}

/// A session is in a transaction, until this is dropped.
#[derive(Debug)]
pub(crate) struct Open(Arc<Tally>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Part([AtomicU64; Way::ALL.len()]);

impl Tally {
    /// Counts a statement of the session with this process id.
    pub(crate) fn count(&self, session: i32, way: Way) {
        let part = session.unsigned_abs() as usize % PARTS;
        self.parts[part].0[way as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A session begins a transaction.
    pub(crate) fn begin(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(self.clone())
    }

    /// How many sessions are in a transaction.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many statements there have been, by the order of [`Way::ALL`].
    pub(crate) fn counts(&self) -> Vec<(Way, u64)> {
        let count = |way: Way| {
            self.parts.iter().map(|part| part.0[way as usize].load(Ordering::Relaxed)).sum()
        };
        Way::ALL.into_iter().map(|way| (way, count(way))).collect()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        let tally = Tally::default();
        for session in [0, 1, 17, i32::MAX, i32::MIN] {
            tally.count(session, Way::Shared);
        }
        tally.count(1, Way::Command);
        let counted: Vec<_> = tally.counts().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(Way::Shared, 5), (Way::Command, 1)]);
    }
}
