//! What clients have asked of one row at the same time, and whether one order of it all explains
//! what they were told.
//!
//! The check is Wing and Gong's search with the states that Lowe's version remembers ("Testing for
//! linearizability", 2016): small enough to be written here, since no kept crate has it apart from
//! a model checker.

use std::collections::HashSet;
use std::time::Instant;

/// What was asked of the row, with what the client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// SELECT, and the value.
    Read(Option<i64>),
    /// INSERT of a value, and whether the key was free.
    Insert(i64, bool),
    /// INSERT … ON CONFLICT DO UPDATE.
    Put(i64),
    /// UPDATE to a value, and whether there was a row.
    Set(i64, bool),
    /// UPDATE from one value to another, and whether it was that.
    Swap(i64, i64, bool),
    /// UPDATE by one, and the new value.
    Increment(Option<i64>),
    /// DELETE, and the value that is gone.
    Delete(Option<i64>),
}

impl Operation {
    /// The row after it; `None`: it can't have been told this.
    #[allow(clippy::option_option, reason = "no row and no way are two things")]
    const fn apply(self, row: Option<i64>) -> Option<Option<i64>> {
        let (told, after) = match (self, row) {
            (Self::Read(seen), _) => (same(seen, row), row),
            (Self::Insert(new, is_new), None) => (is_new, Some(new)),
            (Self::Insert(_, is_new), Some(_)) => (!is_new, row),
            (Self::Put(new), _) => (true, Some(new)),
            (Self::Set(new, is_there), Some(_)) => (is_there, Some(new)),
            (Self::Swap(from, to, is_done), Some(value)) if value == from => (is_done, Some(to)),
            (Self::Set(_, is_done) | Self::Swap(_, _, is_done), _) => (!is_done, row),
            (Self::Increment(new), Some(value)) => (same(new, Some(value + 1)), Some(value + 1)),
            (Self::Increment(new), None) => (new.is_none(), None),
            (Self::Delete(old), _) => (same(old, row), None),
        };
        if told { Some(after) } else { None }
    }
}

const fn same(one: Option<i64>, other: Option<i64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one == other,
        (None, None) => true,
        _ => false,
    }
}

/// An operation with when it was asked and answered.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// When it was asked.
    pub asked: Instant,
    /// When its answer was there.
    pub answered: Instant,
    /// What.
    pub operation: Operation,
}

/// Whether one order of the operations on a row that isn't there at first explains all answers, an
/// operation that was answered before another was asked standing before it.
///
/// # Panics
/// There are more than 128 of them.
pub fn is_linearizable(events: &[Event]) -> bool {
    assert!(events.len() <= 128, "a history is short");
    let all = if events.len() == 128 { u128::MAX } else { (1 << events.len()) - 1 };
    let mut seen = HashSet::new();
    let mut open = vec![(0_u128, None)];
    while let Some((done, row)) = open.pop() {
        if done == all {
            return true;
        }
        if !seen.insert((done, row)) {
            continue;
        }
        let rest = || events.iter().enumerate().filter(|(at, _)| done & (1 << at) == 0);
        // What is asked later than this can't be next.
        let until = rest().map(|(_, event)| event.answered).min();
        for (at, event) in rest() {
            if until.is_some_and(|until| event.asked <= until)
                && let Some(after) = event.operation.apply(row)
            {
                open.push((done | (1 << at), after));
            }
        }
    }
    false
}
