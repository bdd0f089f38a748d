//! A stream's beginning: it tells of what is committed from then on, and a transaction that was
//! committed before may not be visible yet.

use std::sync::{Mutex, PoisonError};

use crate::Visibility;

/// The transactions that ran when the stream had begun, until they are over.
#[derive(Debug, Default)]
pub(crate) struct Start {
    running: Mutex<Option<Vec<u32>>>,
}

/// Whether all is told or visible.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Started {
    Not,
    Now,
    Before,
}

impl Start {
    /// Looks at what is visible later in the stream.
    pub(crate) fn look(&self, visible: &Visibility) -> Started {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = running.is_none();
        let left = running.get_or_insert_with(|| visible.running().to_vec());
        let had = is_first || !left.is_empty();
        left.retain(|&transaction| !visible.has(transaction));
        match (had, left.is_empty()) {
            (_, false) => Started::Not,
            (true, true) => Started::Now,
            (false, true) => Started::Before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_ran_at_the_beginning_are_waited_for() {
        let start = Start::default();
        let look = |text: &str| start.look(&Visibility::read(text).expect("a snapshot"));
        assert_eq!(look("10:20:10,14"), Started::Not);
        assert_eq!(look("14:30:14,25"), Started::Not);
        assert_eq!(look("25:31:25"), Started::Now);
        assert_eq!(look("25:31:25"), Started::Before);
        assert_eq!(
            Start::default().look(&Visibility::read("5:5:").expect("a snapshot")),
            Started::Now
        );
    }
}
