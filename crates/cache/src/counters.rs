//! What came of the statements that a rule is for.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Why a statement went past the cache although a rule is for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// In a transaction block, or in the middle of a batch.
    Transaction,
    /// The session keeps a server connection, on which there may be what others don't have.
    Pinned,
    /// It says so.
    Hint,
    /// Its text: it isn't one query, or calls or names what can't be kept.
    Statement,
    /// What is needed of the catalogue can't be read.
    Catalogue,
    /// The answer is longer than the rule allows.
    Size,
    /// The answer came with something else: an error, a notice, a setting.
    Answer,
    /// It isn't known what has been written lately.
    Lag,
    /// The rule hardly ever hits, and this wasn't asked for before.
    Seldom,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Transaction,
        Self::Pinned,
        Self::Hint,
        Self::Statement,
        Self::Catalogue,
        Self::Size,
        Self::Answer,
        Self::Lag,
        Self::Seldom,
    ];

    /// As SHOW CACHE says it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transaction => "transaction",
            Self::Pinned => "pinned",
            Self::Hint => "hint",
            Self::Statement => "statement",
            Self::Catalogue => "catalogue",
            Self::Size => "size",
            Self::Answer => "answer",
            Self::Lag => "lag",
            Self::Seldom => "seldom",
        }
    }
}

/// Counts of one rule.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) fills: AtomicU64,
    pub(crate) shared: AtomicU64,
    pub(crate) waits: AtomicU64,
    pub(crate) stale: AtomicU64,
    pub(crate) entries: AtomicI64,
    pub(crate) bytes: AtomicI64,
    bypasses: [AtomicU64; Reason::ALL.len()],
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    /// A statement went past the cache.
    pub fn bypass(&self, reason: Reason) {
        count(&self.bypasses[reason as usize]);
    }

    /// How many were answered from memory, or by another's fill.
    pub(crate) fn answered(&self) -> u64 {
        [&self.hits, &self.shared, &self.stale, &self.waits]
            .iter()
            .map(|counter| counter.load(Ordering::Relaxed))
            .sum()
    }

    /// Names and values.
    #[must_use]
    pub fn values(&self) -> Vec<(&'static str, i64)> {
        let read = |counter: &AtomicU64| {
            i64::try_from(counter.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
        };
        vec![
            ("hits", read(&self.hits)),
            ("misses", read(&self.misses)),
            ("fills", read(&self.fills)),
            ("shared", read(&self.shared)),
            ("waits", read(&self.waits)),
            ("stale", read(&self.stale)),
            ("entries", self.entries.load(Ordering::Relaxed)),
            ("bytes", self.bytes.load(Ordering::Relaxed)),
        ]
    }

    /// All reasons, and how many statements went past for each.
    #[must_use]
    pub fn bypasses(&self) -> Vec<(Reason, u64)> {
        let of = |reason: Reason| (reason, self.bypasses[reason as usize].load(Ordering::Relaxed));
        Reason::ALL.into_iter().map(of).collect()
    }
}
