//! An answer that is kept.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::Snapshot;

/// How long an answer is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifetimes {
    /// For so long it is fresh.
    pub ttl: Duration,
    /// For so long after that it is given while somebody fills.
    pub stale_while_revalidate: Duration,
    /// For so long after its `ttl` it is given where a fill fails.
    pub stale_if_error: Duration,
}

/// An answer and what it was made from.
#[derive(Debug)]
pub struct Entry {
    /// `None`: there is an answer, but one that isn't kept (it is too long).
    bytes: Option<Bytes>,
    snapshot: Snapshot,
    /// Before the read began.
    made: Instant,
    /// When the read was over.
    read_until: Instant,
    pub(crate) rule: usize,
}

/// Whether an entry can be given now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    Fresh,
    /// While somebody fills.
    Stale,
    /// Where a fill fails.
    IfError,
    Gone,
}

impl Entry {
    /// An answer that was read from `made` on until now, of what `snapshot` is of.
    #[must_use]
    pub fn new(bytes: Option<Bytes>, snapshot: Snapshot, made: Instant, rule: usize) -> Self {
        Self { bytes, snapshot, made, read_until: Instant::now(), rule }
    }

    /// When the read was over: what it has seen was committed before.
    #[must_use]
    pub const fn read_until(&self) -> Instant {
        self.read_until
    }

    /// The answer's bytes.
    #[must_use]
    pub const fn bytes(&self) -> Option<&Bytes> {
        self.bytes.as_ref()
    }

    /// Whether nothing that it was made from has been written since.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.snapshot.is_current()
    }

    /// How old it is.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.made.elapsed()
    }

    pub(crate) fn freshness(&self, lifetimes: &Lifetimes, now: Instant) -> Freshness {
        if !self.snapshot.is_current() {
            return Freshness::Gone;
        }
        let age = now.saturating_duration_since(self.made);
        match age.checked_sub(lifetimes.ttl) {
            None => Freshness::Fresh,
            Some(past) if past < lifetimes.stale_while_revalidate && self.bytes.is_some() => {
                Freshness::Stale
            }
            Some(past) if past < lifetimes.stale_if_error && self.bytes.is_some() => {
                Freshness::IfError
            }
            Some(_) => Freshness::Gone,
        }
    }

    /// How much memory it takes, beside its key.
    pub(crate) fn weight(&self) -> usize {
        self.bytes.as_ref().map_or(0, Bytes::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Part, Touch, Versions};
    use std::sync::Arc;

    #[test]
    fn ages() {
        let versions: Arc<Versions> = Arc::default();
        let made = Instant::now();
        let snapshot = || Snapshot::of(&versions, [(1, Part::Whole)]);
        let entry = Entry::new(Some(Bytes::from_static(b"x")), snapshot(), made, 0);
        let lifetimes = Lifetimes {
            ttl: Duration::from_secs(10),
            stale_while_revalidate: Duration::from_secs(5),
            stale_if_error: Duration::from_secs(60),
        };
        let after = |seconds| entry.freshness(&lifetimes, made + Duration::from_secs(seconds));
        assert_eq!(
            [after(0), after(9), after(10), after(14), after(15), after(69), after(70)],
            [
                Freshness::Fresh,
                Freshness::Fresh,
                Freshness::Stale,
                Freshness::Stale,
                Freshness::IfError,
                Freshness::IfError,
                Freshness::Gone
            ]
        );
        // What isn't kept is never given, and what was written is no answer at any age.
        let long = Entry::new(None, snapshot(), made, 0);
        assert_eq!(long.freshness(&lifetimes, made + Duration::from_secs(11)), Freshness::Gone);
        versions.invalidate(&Touch::Tables(vec![(1, Part::Whole)]));
        assert_eq!([after(0), after(11), after(20)], [Freshness::Gone; 3]);
    }
}
