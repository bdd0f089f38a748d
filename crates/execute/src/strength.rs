//! How a statement locks rows, by its words.

use flywheel_sql::Locking;
use flywheel_sql::lex::lex;

use crate::block::Guard;

/// What becomes of a statement that meets another block's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// It waits.
    Wait,
    /// NOWAIT: it fails.
    Not,
    /// SKIP LOCKED: it goes on without the row.
    Skip,
}

/// How a statement locks the rows of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Strength {
    pub(super) guard: Guard,
    pub(super) waiting: Waiting,
}

impl Strength {
    /// The strongest of the statement's locking clauses: PostgreSQL takes the same.
    pub(super) fn of(text: &str, locking: &[Locking]) -> Self {
        let mut strength = Self { guard: Guard::Shared, waiting: Waiting::Wait };
        for clause in locking {
            let clause = &text[clause.range.clone()];
            let tokens = lex(clause);
            let is = |at: usize, word: &str| {
                tokens.get(at).is_some_and(|token| token.is_keyword(clause, word))
            };
            if is(1, "update") || is(1, "no") {
                strength.guard = Guard::Alone;
            }
            let last = tokens.len().saturating_sub(1);
            if is(last, "nowait") {
                strength.waiting = Waiting::Not;
            } else if is(last, "locked")
                && is(last.saturating_sub(1), "skip")
                && strength.waiting == Waiting::Wait
            {
                strength.waiting = Waiting::Skip;
            }
        }
        strength
    }
}
