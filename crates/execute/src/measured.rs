//! A store whose operations are counted and timed, for EXPLAIN ANALYZE.
//!
//! EXPLAIN ANALYZE carries out the same plan with its stores wrapped, and `EXPLAIN ANALYZE` in
//! front of whatever PostgreSQL runs; so it tells what happened, not what would.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flywheel_plan::Home;
use flywheel_store::{Call, Method, Observed, Observer, Outcome, StoreTable};
use flywheel_types::TableName;

/// Operations of one kind on one table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measure {
    pub(super) table: TableName,
    /// As the store calls it.
    pub(super) operation: String,
    /// How often.
    pub(super) count: usize,
    /// Rows read or changed.
    pub(super) rows: usize,
    pub(super) took: Duration,
}

/// What was measured, in the order in which it began to.
#[derive(Debug, Clone, Default)]
pub(super) struct Measures(Arc<Mutex<Vec<Measure>>>);

impl Measures {
    /// The table, with its store measured.
    pub(super) fn of(&self, home: &Arc<Home>) -> Arc<Home> {
        Arc::new(Home {
            store: Arc::new(Observed::new(home.store.clone(), self.clone())),
            ..Home::clone(home)
        })
    }

    pub(super) fn take(&self) -> Vec<Measure> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, table: &StoreTable, operation: String, rows: usize, took: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = &table.table.name;
        match all.iter_mut().find(|each| each.table == *name && each.operation == operation) {
            Some(known) => {
                known.count += 1;
                known.rows += rows;
                known.took += took;
            }
            None => all.push(Measure { table: name.clone(), operation, count: 1, rows, took }),
        }
    }
}

impl Observer for Measures {
    fn ended(&self, call: &Call<'_>, took: Duration, outcome: Outcome<'_>) {
        let (Some(table), Some(operation)) = (call.table, call.operation) else {
            return;
        };
        let operation = call.store.describe(operation, table);
        // A transaction's step on several stores is told with all its changes, however it ends.
        let phase = match call.method {
            Method::WriteOwn => Some("written"),
            Method::Prepare => Some("prepared"),
            Method::CommitPrepared => Some("carried out"),
            _ => None,
        };
        match (phase, outcome) {
            (_, Outcome::Abandoned) => {}
            (Some(phase), _) => {
                self.add(table, format!("{operation}, {phase}"), call.changes, took);
            }
            (None, Outcome::Done(rows)) => self.add(table, operation, rows, took),
            (None, Outcome::Failed(_)) => self.add(table, operation, 0, took),
        }
    }
}
