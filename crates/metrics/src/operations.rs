//! How long a store's operations take, and how they fail.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use flywheel_store::StoreError;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use crate::families::{Families, Labels};

/// Where the buckets end, in seconds.
const BUCKETS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// An operation of a store's, as [`flywheel_store::Store`] names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Ping,
    CreateTable,
    DropTable,
    CheckTable,
    Get,
    Range,
    IndexRange,
    FindIndexes,
    ByScore,
    CountByScore,
    Rank,
    Scan,
    Write,
    DeleteEach,
    WriteAll,
    Prepare,
    CommitPrepared,
    RollbackPrepared,
    CheckFollow,
}

impl Name {
    const ALL: [(Self, &'static str); 19] = [
        (Self::Ping, "ping"),
        (Self::CreateTable, "create_table"),
        (Self::DropTable, "drop_table"),
        (Self::CheckTable, "check_table"),
        (Self::Get, "get"),
        (Self::Range, "range"),
        (Self::IndexRange, "index_range"),
        (Self::FindIndexes, "find_indexes"),
        (Self::ByScore, "by_score"),
        (Self::CountByScore, "count_by_score"),
        (Self::Rank, "rank"),
        (Self::Scan, "scan"),
        (Self::Write, "write"),
        (Self::DeleteEach, "delete_each"),
        (Self::WriteAll, "write_all"),
        (Self::Prepare, "prepare"),
        (Self::CommitPrepared, "commit_prepared"),
        (Self::RollbackPrepared, "rollback_prepared"),
        (Self::CheckFollow, "check_follow"),
    ];
}

/// Why an operation has brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Unavailable,
    Throttled,
    Unknown,
    Full,
    Forbidden,
    Conflict,
    Locked,
    Refused,
    /// Who has asked doesn't wait for it any more.
    Abandoned,
}

impl Fault {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Unavailable, "unavailable"),
        (Self::Throttled, "throttled"),
        (Self::Unknown, "unknown"),
        (Self::Full, "full"),
        (Self::Forbidden, "forbidden"),
        (Self::Conflict, "conflict"),
        (Self::Locked, "locked"),
        (Self::Refused, "refused"),
        (Self::Abandoned, "abandoned"),
    ];

    fn of(error: &StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::Unavailable,
            StoreError::Throttled { .. } => Self::Throttled,
            StoreError::Unknown { .. } => Self::Unknown,
            StoreError::Full { .. } => Self::Full,
            StoreError::Forbidden { .. } => Self::Forbidden,
            StoreError::Conflict { .. } => Self::Conflict,
            StoreError::Locked { .. } => Self::Locked,
            // A statement that asks for what can't be: another would do.
            _ => Self::Refused,
        }
    }
}

/// The operations of one store.
#[derive(Debug)]
pub struct Operations {
    store: String,
    of: [Operation; Name::ALL.len()],
}

#[derive(Debug)]
struct Operation {
    count: AtomicU64,
    took: Histogram,
    faults: [AtomicU64; Fault::ALL.len()],
}

/// An operation that is under way. One that is dropped before it is over is abandoned.
pub(crate) struct UnderWay<'o> {
    operation: &'o Operation,
    since: Instant,
    fault: Option<Fault>,
}

impl Operations {
    /// Of the store with this name.
    #[must_use]
    pub fn new(store: impl Into<String>) -> Self {
        let operation = |_| Operation {
            count: AtomicU64::new(0),
            took: Histogram::new(BUCKETS),
            faults: Default::default(),
        };
        Self {
            store: store.into(),
            of: std::array::from_fn(operation),
        }
    }

    /// Takes the time of an operation, and notes how it ends.
    pub(crate) async fn take<T>(&self, name: Name, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let mut under_way = UnderWay {
            operation: &self.of[name as usize],
            since: Instant::now(),
            fault: Some(Fault::Abandoned),
        };
        let done = work.await;
        under_way.fault = done.as_ref().err().map(Fault::of);
        done
    }

    fn labels(&self, name: &'static str) -> Labels {
        vec![("store", self.store.clone()), ("operation", name.to_owned())]
    }

    /// Those that there have been.
    fn known(&self) -> impl Iterator<Item = (&'static str, &Operation)> {
        let all = Name::ALL.iter().map(|(name, text)| (*text, &self.of[*name as usize]));
        all.filter(|(_, operation)| operation.count.load(Ordering::Relaxed) > 0)
    }

    /// Writes the families of several stores.
    pub(crate) fn encode<'o>(all: impl Iterator<Item = &'o Self> + Clone, families: &mut Families<'_>) -> fmt::Result {
        families.histogram(
            "flywheel_store_operation_duration",
            "How long operations of a store took, whether they succeeded or not",
            Unit::Seconds,
            all.clone()
                .flat_map(|store| store.known().map(|(name, operation)| (store.labels(name), &operation.took))),
        )?;
        let faults = all.flat_map(|store| {
            store.known().flat_map(move |(name, operation)| {
                Fault::ALL.iter().map(move |(fault, text)| {
                    let mut labels = store.labels(name);
                    labels.push(("error", (*text).to_owned()));
                    (labels, operation.faults[*fault as usize].load(Ordering::Relaxed))
                })
            })
        });
        families.counter(
            "flywheel_store_operation_errors",
            "Operations of a store that failed, by what went wrong",
            faults,
        )
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.operation.count.fetch_add(1, Ordering::Relaxed);
        self.operation.took.observe(self.since.elapsed().as_secs_f64());
        if let Some(fault) = self.fault {
            self.operation.faults[fault as usize].fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_in_their_order() {
        assert!(Name::ALL.iter().enumerate().all(|(at, (name, _))| *name as usize == at));
        assert!(Fault::ALL.iter().enumerate().all(|(at, (fault, _))| *fault as usize == at));
    }

    #[tokio::test]
    async fn one_that_nobody_waits_for_is_counted() {
        let operations = Operations::new("one");
        let never = operations.take(Name::Get, std::future::pending::<Result<(), StoreError>>());
        assert!(tokio::time::timeout(std::time::Duration::ZERO, never).await.is_err());
        let done = operations.take(Name::Get, async { Ok(()) });
        assert_eq!(done.await, Ok(()));
        let [(name, get)] = operations.known().collect::<Vec<_>>()[..] else {
            panic!("{operations:?}")
        };
        let faults: Vec<_> = get.faults.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        assert_eq!(
            (name, get.count.load(Ordering::Relaxed), &faults[..]),
            ("get", 2, &[0, 0, 0, 0, 0, 0, 0, 0, 1][..])
        );
    }
}
