//! Rows of the outbox that stay in it, and of which this process has told: each once, however often
//! the outbox is looked through.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// So many rows are known one by one. Everybody may put rows into the outbox, and memory is
/// bounded.
const MOST: usize = 100_000;

/// Why a row stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// No gateway has written it.
    Foreign,
    /// It can't be carried out here, or not yet.
    Problem,
}

/// The rows, by their ids.
#[derive(Debug, Default)]
pub(super) struct Noted {
    rows: Mutex<HashMap<u128, Why>>,
}

impl Noted {
    /// Puts a row aside that no gateway has written; whether that is new.
    pub(super) fn put_aside(&self, id: u128) -> bool {
        self.note(id, Why::Foreign)
    }

    /// Whether it was put aside.
    pub(super) fn is_aside(&self, id: u128) -> bool {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).get(&id) == Some(&Why::Foreign)
    }

    /// Notes that a row can't be carried out; whether that is new.
    pub(super) fn note_problem(&self, id: u128) -> bool {
        self.note(id, Why::Problem)
    }

    /// How many were put aside.
    pub(super) fn aside(&self) -> usize {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.values().filter(|why| **why == Why::Foreign).count()
    }

    /// Past the bound nothing is new any more.
    fn note(&self, id: u128, why: Why) -> bool {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        (rows.len() < MOST || rows.contains_key(&id)) && rows.insert(id, why) != Some(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_new_once() {
        let noted = Noted::default();
        assert!(noted.put_aside(1) && !noted.put_aside(1));
        assert!(noted.note_problem(2) && !noted.note_problem(2));
        assert!(noted.is_aside(1) && !noted.is_aside(2) && noted.aside() == 1);
        (10..10 + MOST as u128 + 5).for_each(|id| _ = noted.put_aside(id));
        assert!(!noted.put_aside(9));
        assert_eq!(noted.aside(), MOST - 1);
    }
}
