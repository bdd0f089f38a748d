//! Conditional writes: first what would become of each row, then all of it.

use flywheel_store::{
    Applied, Assignment, Change, Effect, Expect, Layout, StoreError, TransactionId, score,
    score_addends,
};
use flywheel_types::{Key, Value};

use crate::rows::{Fields, View, key_bytes};

/// A change whose condition holds.
#[derive(Debug)]
pub(crate) struct Prepared {
    key: Vec<u8>,
    /// What the row becomes; `None`: it goes.
    fields: Option<Fields>,
    pub(crate) applied: Applied,
}

impl View<'_> {
    /// Refuses a row that another block than `own`'s has locked. `position` is the change's place
    /// among others.
    pub(crate) fn check_lock(
        &self,
        key: &Key,
        own: Option<TransactionId>,
        position: usize,
    ) -> Result<(), StoreError> {
        match self.lock(&key_bytes(key)) {
            Some(holder) if own.is_none_or(|own| !own.is_of_same_block(&holder)) => {
                Err(StoreError::Locked { position, transaction: holder })
            }
            _ => Ok(()),
        }
    }

    /// What `change` would do; `None` when its condition doesn't hold.
    pub(crate) fn prepare(&self, change: &Change) -> Result<Option<Prepared>, StoreError> {
        let key = key_bytes(&change.key);
        let current = self.live(&key);
        let holds = match (&change.expect, current) {
            (Expect::Any, _) | (Expect::Absent, None) | (Expect::Present, Some(_)) => true,
            (Expect::Unchanged(row), Some(fields)) => self.unchanged(fields, row),
            _ => false,
        };
        if !holds {
            return Ok(None);
        }
        let row = match (&change.effect, current) {
            (Effect::Put(row), _) => row.clone(),
            (Effect::Set(values), Some(fields)) => {
                let mut row = self.decode(fields)?;
                for (position, assignment) in values {
                    let Some(value) = self.assigned(*position, assignment, &row[*position]) else {
                        return Ok(None);
                    };
                    row[*position] = value;
                }
                row
            }
            (Effect::Set(_), None) => return Ok(None),
            (Effect::Delete, _) => {
                let before = current.map(|fields| self.decode(fields)).transpose()?;
                return Ok(Some(Prepared { key, fields: None, applied: Applied::Done(before) }));
            }
        };
        if let Layout::SortedSet { score: position } = self.table.layout {
            score(&row[position])?;
        }
        // A row that is written with its time over is as good as never there.
        let fields = (!self.table.is_expired(&row, self.now)).then(|| self.encode(&row, current));
        Ok(Some(Prepared { key, fields, applied: Applied::Done(Some(row)) }))
    }

    pub(crate) fn commit(&mut self, prepared: Prepared) -> Applied {
        match prepared.fields {
            Some(fields) => self.put(prepared.key, fields),
            None => self.remove(&prepared.key),
        }
        prepared.applied
    }

    /// What the column becomes; `None` where the change is refused.
    fn assigned(&self, position: usize, assignment: &Assignment, current: &Value) -> Option<Value> {
        let scalar = self.table.table.columns[position].ty.scalar;
        // Beyond what a score can be, the sum is refused as a sorted set refuses it.
        if let (Assignment::Add(amount), Layout::SortedSet { .. }, Value::Int(number)) =
            (assignment, self.table.layout, current)
            && !score_addends(scalar, *amount)?.contains(number)
        {
            return None;
        }
        assignment.apply(scalar, current)
    }

    fn unchanged(&self, fields: &Fields, row: &[Value]) -> bool {
        let columns = row.iter().enumerate();
        columns
            .filter(|(position, _)| !self.table.table.is_key(*position))
            .all(|(position, value)| self.holds(fields, position, value))
    }
}
