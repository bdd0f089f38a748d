//! Conditional writes of single rows.
//!
//! `n = n + 1` is native for integers only: a store adds where the sum is of the column's type, and
//! refuses the change otherwise (NULL, overflow); then PostgreSQL computes it, or tells its own
//! error.

use std::ops::RangeInclusive;

use flywheel_types::{Key, Row, Scalar, Value};

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
    /// These columns (by position, none of the key) are assigned to, the others stay. Only together
    /// with [`Expect::Present`].
    Set(Vec<(usize, Assignment)>),
    /// The row goes.
    Delete,
}

/// What becomes of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Assignment {
    /// This value.
    Value(Value),
    /// The stored integer and this one. The change is refused where that is none of the column's
    /// type: the column is NULL, or the sum is out of [`Self::addends`]' range.
    Add(i64),
}

impl Assignment {
    /// The stored integers of a column of type `scalar` to which `amount` can be added; `None`:
    /// none.
    #[must_use]
    pub fn addends(scalar: Scalar, amount: i64) -> Option<RangeInclusive<i64>> {
        match scalar {
            Scalar::Int2 => within(i16::MIN.into()..=i16::MAX.into(), amount),
            Scalar::Int4 => within(i32::MIN.into()..=i32::MAX.into(), amount),
            Scalar::Int8 => within(i64::MIN..=i64::MAX, amount),
            _ => None,
        }
    }

    /// What a column of type `scalar` becomes that is `current`; `None` where the change is
    /// refused.
    #[must_use]
    pub fn apply(&self, scalar: Scalar, current: &Value) -> Option<Value> {
        match (self, current) {
            (Self::Value(value), _) => Some(value.clone()),
            (Self::Add(amount), Value::Int(number))
                if Self::addends(scalar, *amount)?.contains(number) =>
            {
                Some(Value::Int(number.wrapping_add(*amount)))
            }
            (Self::Add(_), _) => None,
        }
    }
}

/// The integers of a range that stay in it when `amount` is added.
pub(crate) fn within(range: RangeInclusive<i64>, amount: i64) -> Option<RangeInclusive<i64>> {
    let (least, greatest) = range.into_inner();
    let lower = if amount < 0 { least.checked_sub(amount)? } else { least };
    let upper = if amount > 0 { greatest.checked_sub(amount)? } else { greatest };
    (lower <= upper).then_some(lower..=upper)
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
    /// Done. For [`Effect::Put`] and [`Effect::Set`] the row as it is now, for [`Effect::Delete`]
    /// the row that was there (`None`: there was none).
    Done(Option<Row>),
    /// The condition didn't hold; nothing was written.
    Refused,
}
