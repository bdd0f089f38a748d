//! What has been written, as far as it matters to answers that are kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use siphasher::sip::SipHasher13;

/// A table's number.
pub type TableId = u32;

/// How many versions a table's rows share. Two rows of the same one invalidate each other's
/// answers, which costs a read and nothing else.
const ROW_VERSIONS: usize = 1024;

/// Which part of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Any of its rows.
    Whole,
    /// The row of this key, by [`row`].
    Row(u64),
}

/// The number of a row, by its key. Other keys may have the same; a key has the same everywhere.
#[must_use]
pub fn row(key: &[u8]) -> u64 {
    SipHasher13::new().hash(key)
}

/// What a write touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touch {
    /// It can't be told: all tables.
    All,
    /// These parts of tables.
    Tables(Vec<(TableId, Part)>),
}

impl Touch {
    /// Whether it touches nothing.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Tables(tables) if tables.is_empty())
    }

    /// Both.
    pub fn add(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::All, _) => {}
            (_, Self::All) => *self = Self::All,
            (Self::Tables(tables), Self::Tables(others)) => {
                for other in others {
                    if !tables.contains(other) {
                        tables.push(*other);
                    }
                }
            }
        }
    }
}

/// The versions of one table.
#[derive(Debug, Default)]
struct Table {
    /// Moved by every write.
    any: AtomicU64,
    /// Moved by writes whose rows aren't known.
    unknown: AtomicU64,
    /// Moved by writes to a row; made when an answer of a single row is first kept.
    rows: OnceLock<Box<[AtomicU64]>>,
    /// When it was last written, in nanoseconds after the beginning; 0: never.
    written: AtomicU64,
}

fn moved(version: &AtomicU64) {
    version.fetch_add(1, Ordering::SeqCst);
}

fn place(row: u64) -> usize {
    usize::try_from(row % ROW_VERSIONS as u64).unwrap_or_default()
}

impl Table {
    fn row(&self, row: u64) -> &AtomicU64 {
        let rows = self.rows.get_or_init(|| (0..ROW_VERSIONS).map(|_| AtomicU64::new(0)).collect());
        &rows[place(row)]
    }

    fn now(&self, part: Part) -> (u64, u64) {
        match part {
            Part::Whole => (self.any.load(Ordering::SeqCst), 0),
            Part::Row(row) => {
                (self.unknown.load(Ordering::SeqCst), self.row(row).load(Ordering::SeqCst))
            }
        }
    }

    fn touch(&self, part: Part, at: u64) {
        // Before the version: who sees the version sees the time.
        self.written.fetch_max(at, Ordering::SeqCst);
        match part {
            Part::Whole => moved(&self.unknown),
            // Where no answer of a row was ever kept, a later one is made after this write.
            Part::Row(row) => {
                if let Some(rows) = self.rows.get() {
                    moved(&rows[place(row)]);
                }
            }
        }
        moved(&self.any);
    }
}

/// The versions of one database's tables.
#[derive(Debug)]
pub struct Versions {
    began: Instant,
    all: AtomicU64,
    all_written: AtomicU64,
    tables: RwLock<HashMap<TableId, Arc<Table>>>,
}

impl Default for Versions {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            all: AtomicU64::new(0),
            all_written: AtomicU64::new(0),
            tables: RwLock::default(),
        }
    }
}

impl Versions {
    fn table(&self, id: TableId) -> Arc<Table> {
        if let Some(table) = self.tables.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return table.clone();
        }
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.entry(id).or_default().clone()
    }

    /// From now on, what was read before of what is touched is no answer any more.
    pub fn invalidate(&self, touch: &Touch) {
        let at = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1);
        match touch {
            Touch::All => {
                self.all_written.fetch_max(at, Ordering::SeqCst);
                moved(&self.all);
            }
            Touch::Tables(touched) => {
                for &(id, part) in touched {
                    // Of a table that nobody has read there is nothing to forget.
                    let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
                    if let Some(table) = tables.get(&id) {
                        table.touch(part, at);
                    } else {
                        drop(tables);
                        self.table(id).touch(part, at);
                    }
                }
            }
        }
    }
}

#[derive(Debug)]
struct Seen {
    table: Arc<Table>,
    part: Part,
    seen: (u64, u64),
}

/// The versions that an answer was made at, or after.
#[derive(Debug)]
pub struct Snapshot {
    versions: Arc<Versions>,
    all: u64,
    parts: Box<[Seen]>,
}

impl Snapshot {
    /// The versions of these parts of tables as they are now: to be taken before the read begins.
    #[must_use]
    pub fn of(versions: &Arc<Versions>, parts: impl IntoIterator<Item = (TableId, Part)>) -> Self {
        let all = versions.all.load(Ordering::SeqCst);
        let of = |(id, part)| {
            let table = versions.table(id);
            let seen = table.now(part);
            Seen { table, part, seen }
        };
        Self { all, parts: parts.into_iter().map(of).collect(), versions: versions.clone() }
    }

    /// Whether nothing of it has been written since.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.all == self.versions.all.load(Ordering::SeqCst)
            && self.parts.iter().all(|part| part.table.now(part.part) == part.seen)
    }

    /// When what it is of was last written, as far as is known: a server that is read must have all
    /// that was committed before.
    #[must_use]
    pub fn written(&self) -> Option<Instant> {
        let of_tables = self.parts.iter().map(|part| part.table.written.load(Ordering::SeqCst));
        let last =
            of_tables.max().unwrap_or(0).max(self.versions.all_written.load(Ordering::SeqCst));
        (last > 0).then(|| self.versions.began + Duration::from_nanos(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(versions: &Arc<Versions>, part: Part) -> Snapshot {
        Snapshot::of(versions, [(1, part)])
    }

    #[test]
    fn a_write_ends_what_was_read_before() {
        let versions = Arc::default();
        let (whole, one, other) = (
            snapshot(&versions, Part::Whole),
            snapshot(&versions, Part::Row(1)),
            snapshot(&versions, Part::Row(2)),
        );
        assert!(whole.written().is_none());
        versions.invalidate(&Touch::Tables(vec![(2, Part::Whole)]));
        assert!(whole.is_current() && one.is_current());
        versions.invalidate(&Touch::Tables(vec![(1, Part::Row(1))]));
        assert!(!whole.is_current() && !one.is_current() && other.is_current());
        assert!(whole.written().is_some());
        versions.invalidate(&Touch::Tables(vec![(1, Part::Whole)]));
        assert!(!other.is_current());
        let again = snapshot(&versions, Part::Row(2));
        assert!(again.is_current());
        versions.invalidate(&Touch::All);
        assert!(!again.is_current());
        assert!(snapshot(&versions, Part::Whole).is_current());
    }

    #[test]
    fn touches_add_up() {
        let mut touch = Touch::Tables(vec![(1, Part::Whole)]);
        touch.add(&Touch::Tables(vec![(1, Part::Whole), (1, Part::Row(3))]));
        assert_eq!(touch, Touch::Tables(vec![(1, Part::Whole), (1, Part::Row(3))]));
        touch.add(&Touch::All);
        touch.add(&Touch::Tables(vec![(7, Part::Whole)]));
        assert_eq!(touch, Touch::All);
    }
}
