//! Conditional writes of single rows.

use flywheel_types::{Key, Row, Value};

/// What must hold of the stored row for a change to be applied.
#[derive(Debug, Clone, PartialEq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// No row has the key.
    Absent,
    /// A row has the key.
    Present,
    /// A row has the key and every one of these values (as read before).
    Unchanged(Row),
}

/// What a change does to its row.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// The row becomes this one, whole.
    Put(Row),
    /// These columns (by position, none of the key) become these values, the others stay. Only together with [`Expect::Present`].
    Set(Vec<(usize, Value)>),
    /// The row goes.
    Delete,
}

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Of which row.
    pub key: Key,
    /// On which condition.
    pub expect: Expect,
    /// What becomes of it.
    pub effect: Effect,
}

/// What became of a single change.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// Done. For [`Effect::Put`] and [`Effect::Set`] the row as it is now, for [`Effect::Delete`] the row that was there (`None`: there was none).
    Done(Option<Row>),
    /// The condition didn't hold; nothing was written.
    Refused,
}
