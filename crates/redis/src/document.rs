//! Changes of JSON rows. What becomes of the string is computed here, since Lua's numbers are
//! doubles and its JSON isn't exact; the script writes it if the string is still the one that it
//! was computed from.

use flywheel_store::{Change, Effect, Expect, StoreError, StoreTable};
use flywheel_types::Row;

use crate::expiry::Expiry;
use crate::store::RedisStore;
use crate::{json, row};

/// What is known of the string before it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Before {
    /// It may be any.
    Any,
    /// It is this one; `None`: there is none.
    Is(Option<Vec<u8>>),
}

/// A change that may be sent.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) before: Before,
    /// What the string becomes; `None`: it goes.
    pub(crate) after: Option<String>,
    pub(crate) expiry: Expiry,
    /// The row as the change leaves it; for a deletion from any string it is not known before the
    /// answer.
    pub(crate) row: Option<Row>,
}

/// Whether a change can be tried without reading its row: most keys that are inserted are free, and
/// a deletion gives back what was there.
pub(crate) fn needs_no_read(change: &Change) -> bool {
    matches!((&change.expect, &change.effect), (Expect::Absent, _) | (Expect::Any, Effect::Delete))
}

impl RedisStore {
    /// What `change` makes of a string; `None` when its condition doesn't hold.
    pub(crate) fn document(
        &self,
        table: &StoreTable,
        change: &Change,
        before: Before,
        now: i64,
    ) -> Result<Option<Document>, StoreError> {
        let name = self.keys.row(table, &change.key);
        let string = match &before {
            Before::Is(string) => string.as_deref(),
            Before::Any => None,
        };
        let current = match row::decode_object(&self.keys, table, &name, string, now) {
            // What can't be read can still be replaced.
            Err(StoreError::Malformed { .. })
                if matches!((&change.expect, &change.effect), (Expect::Any, Effect::Put(_))) =>
            {
                None
            }
            read => read?,
        };
        let holds = match (&change.expect, &current) {
            (Expect::Any, _) | (Expect::Absent, None) | (Expect::Present, Some(_)) => true,
            (Expect::Unchanged(expected), Some(current)) => expected == current,
            _ => false,
        };
        if !holds {
            return Ok(None);
        }
        let after = match (&change.effect, &current) {
            (Effect::Put(row), _) => Some(row.clone()),
            (Effect::Set(values), Some(current)) => {
                let mut row = current.clone();
                for (position, assignment) in values {
                    let scalar = table.table.columns[*position].ty.scalar;
                    let Some(value) = assignment.apply(scalar, &row[*position]) else {
                        return Ok(None);
                    };
                    row[*position] = value;
                }
                Some(row)
            }
            (Effect::Set(_), None) => return Ok(None),
            (Effect::Delete, _) => None,
        };
        let Some(row) = after else {
            return Ok(Some(Document { before, after: None, expiry: Expiry::Keep, row: current }));
        };
        let expiry = Expiry::of(table, &Effect::Put(row.clone()), now);
        // What has expired has no fields that stay.
        let replaced = if current.is_some() { string } else { None };
        let object = json::encode(table, &name, &row, replaced)?;
        Ok(Some(Document {
            after: (expiry != Expiry::Over).then_some(object),
            before,
            expiry,
            row: Some(row),
        }))
    }
}
