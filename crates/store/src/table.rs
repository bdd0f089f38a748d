//! A table with its home: the definition and what the configuration says of it.

use std::sync::Arc;

use flywheel_types::{Row, Table, Value};

use crate::{Index, Own};

/// How a table's rows lie in a Redis-like store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A row is a hash; the rows of a composite key have a sorted set beside them that keeps their
    /// order.
    Hash,
    /// A row is one string, a JSON object; the rows of a composite key have the same sorted set
    /// beside them.
    Json,
    /// A partition is a sorted set: the sort key's value is the member, the column at this position
    /// the score.
    SortedSet {
        /// Position of the score column.
        score: usize,
    },
}

/// A table whose home is a store.
#[derive(Debug, Clone)]
pub struct StoreTable {
    /// The definition, from PostgreSQL's catalogue.
    pub table: Arc<Table>,
    /// The name in the store: DynamoDB's table name, the prefix of Redis' keys. `schema.name`
    /// unless configured.
    pub physical_name: String,
    /// How rows lie. Always [`Layout::Hash`] where the store has no layouts.
    pub layout: Layout,
    /// Position of the timestamptz column after which a row is no longer there.
    pub expires_at: Option<usize>,
    /// Whether a statement without a key condition may read the whole table (up to the limit on
    /// rows).
    pub allow_scan: bool,
    /// Whether DROP TABLE may drop a table that still has rows.
    pub allow_drop: bool,
    /// Strongly consistent reads, where the store has weaker ones too (DynamoDB).
    pub consistent_read: bool,
    /// Positions of the columns that a read needs, with the key's and the expiry's; `None`: all. A
    /// store may leave the others NULL.
    pub wanted: Option<Vec<usize>>,
    /// Secondary indexes.
    pub indexes: Vec<Index>,
    /// What the store alone knows of it.
    pub own: Own,
}

impl StoreTable {
    /// The table as a read of these columns needs it: with the key, the expiry and what the indexes
    /// are over.
    #[must_use]
    pub fn wanting(&self, columns: &[usize]) -> Self {
        let indexed = self.indexes.iter().flat_map(|index| &index.columns);
        let mut wanted: Vec<usize> = columns
            .iter()
            .chain(&self.table.primary_key)
            .chain(&self.expires_at)
            .chain(indexed)
            .copied()
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        Self { wanted: (wanted.len() < self.table.columns.len()).then_some(wanted), ..self.clone() }
    }

    /// Whether a read needs the column.
    #[must_use]
    pub fn wants(&self, position: usize) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&position))
    }

    /// Whether `row` has expired at `now` (microseconds since 2000-01-01 UTC, as
    /// [`Value::Timestamptz`]).
    #[must_use]
    pub fn is_expired(&self, row: &Row, now: i64) -> bool {
        self.expires_at
            .is_some_and(|position| matches!(row[position], Value::Timestamptz(at) if at <= now))
    }
}
