//! How long a store's operations take, and how they fail.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flywheel_store::{Call, Method, Observer, Outcome, StoreError};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use crate::families::{Families, Labels};

/// Where the buckets end, in seconds.
const BUCKETS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// The methods of a store that are told, by their names. What a transaction writes over its own
/// locks is told as what is written without.
const METHODS: [(Method, &str); 19] = [
    (Method::Ping, "ping"),
    (Method::CreateTable, "create_table"),
    (Method::DropTable, "drop_table"),
    (Method::CheckTable, "check_table"),
    (Method::Get, "get"),
    (Method::Range, "range"),
    (Method::IndexRange, "index_range"),
    (Method::FindIndexes, "find_indexes"),
    (Method::ByScore, "by_score"),
    (Method::CountByScore, "count_by_score"),
    (Method::Rank, "rank"),
    (Method::Scan, "scan"),
    (Method::Write, "write"),
    (Method::DeleteEach, "delete_each"),
    (Method::WriteAll, "write_all"),
    (Method::Prepare, "prepare"),
    (Method::CommitPrepared, "commit_prepared"),
    (Method::RollbackPrepared, "rollback_prepared"),
    (Method::CheckFollow, "check_follow"),
];

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
    of: [Operation; METHODS.len()],
}

#[derive(Debug)]
struct Operation {
    count: AtomicU64,
    took: Histogram,
    faults: [AtomicU64; Fault::ALL.len()],
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
        Self { store: store.into(), of: std::array::from_fn(operation) }
    }

    fn of(&self, method: Method) -> Option<&Operation> {
        let method = if method == Method::WriteOwn { Method::WriteAll } else { method };
        self.of.get(METHODS.iter().position(|(each, _)| *each == method)?)
    }

    fn labels(&self, name: &'static str) -> Labels {
        vec![("store", self.store.clone()), ("operation", name.to_owned())]
    }

    /// Those that there have been.
    fn known(&self) -> impl Iterator<Item = (&'static str, &Operation)> {
        let all = METHODS.iter().map(|(_, name)| *name).zip(&self.of);
        all.filter(|(_, operation)| operation.count.load(Ordering::Relaxed) > 0)
    }

    /// Writes the families of several stores.
    pub(crate) fn encode<'o>(
        all: impl Iterator<Item = &'o Self> + Clone,
        families: &mut Families<'_>,
    ) -> fmt::Result {
        families.histogram(
            "flywheel_store_operation_duration",
            "How long operations of a store took, whether they succeeded or not",
            Unit::Seconds,
            all.clone().flat_map(|store| {
                store.known().map(|(name, operation)| (store.labels(name), &operation.took))
            }),
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

impl Observer for Operations {
    fn ended(&self, call: &Call<'_>, took: Duration, outcome: Outcome<'_>) {
        let Some(operation) = self.of(call.method) else { return };
        operation.count.fetch_add(1, Ordering::Relaxed);
        operation.took.observe(took.as_secs_f64());
        let fault = match outcome {
            Outcome::Done(_) => return,
            Outcome::Failed(error) => Fault::of(error),
            Outcome::Abandoned => Fault::Abandoned,
        };
        operation.faults[fault as usize].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_in_their_order() {
        assert!(Fault::ALL.iter().enumerate().all(|(at, (fault, _))| *fault as usize == at));
    }

    /// Every method is found by its place, `write_own` by that of `write_all`.
    #[test]
    fn every_method_is_told() {
        let operations = Operations::new("one");
        for (method, _) in METHODS {
            assert!(operations.of(method).is_some(), "{method:?}");
        }
        let own = operations.of(Method::WriteOwn).map(std::ptr::from_ref);
        assert_eq!(own, operations.of(Method::WriteAll).map(std::ptr::from_ref));
    }
}
