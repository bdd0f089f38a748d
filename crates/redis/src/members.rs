//! What a change does to the members of the table's indexes.

use std::collections::BTreeSet;

use flywheel_store::{Change, Effect, Layout, StoreError, StoreTable, text_row};
use flywheel_types::Row;

use crate::document::{Before, Document};
use crate::expiry::Expiry;
use crate::index::{Entry, KeptIndex};
use crate::row::{self, Fields};
use crate::store::RedisStore;

/// The members that go and come with a change.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// The indexes that are kept.
    pub(crate) kept: Vec<KeptIndex>,
    /// Fields and their texts as they were read: the members are those of a row that is still so.
    pub(crate) guard: Vec<Vec<u8>>,
    pub(crate) removed: Vec<Entry>,
    pub(crate) added: Vec<Entry>,
}

impl RedisStore {
    /// The hashes of those changes whose tables have indexes.
    pub(crate) async fn indexed_rows(
        &self,
        changes: &[(&StoreTable, &Change)],
    ) -> Result<Vec<Fields>, StoreError> {
        let mut all = Vec::new();
        for (table, change) in changes {
            if table.layout == Layout::Hash && !self.kept(table).is_empty() {
                let name = self.keys.row(table, &change.key);
                all.push(self.servers.query(&name, &row::read_command(table, &name)).await?);
            }
        }
        Ok(all)
    }

    /// The members of a change of a hash; `None` when the change is refused. Takes the next of
    /// `rows` where the table has indexes.
    pub(crate) fn members_of_hash(
        &self,
        table: &StoreTable,
        change: &Change,
        rows: &mut impl Iterator<Item = Fields>,
        now: i64,
    ) -> Option<Members> {
        let kept = self.kept(table);
        if kept.is_empty() {
            return Some(Members::default());
        }
        let fields = rows.next().unwrap_or_default();
        let columns = &table.table.columns;
        // The key tells whether there is a row.
        let positions: BTreeSet<usize> = kept
            .iter()
            .flat_map(|index| index.columns.iter().copied())
            .chain([table.table.primary_key[0]])
            .collect();
        let expected = |position: usize| match fields.get(position).and_then(Option::as_ref) {
            Some(text) => [b"=", &text[..]].concat(),
            None => b"~".to_vec(),
        };
        let guard = positions
            .into_iter()
            .flat_map(|position| [columns[position].name.clone().into_bytes(), expected(position)])
            .collect();
        // A row that can't be read has no members that are known; readers compare.
        let there = fields.iter().any(Option::is_some);
        let before = text_row::decode(table, String::new, fields.iter().map(Option::as_deref))
            .ok()
            .filter(|_| there);
        let live = before.as_ref().filter(|row| !table.is_expired(row, now));
        let after = match &change.effect {
            Effect::Put(row) => Some(row.clone()),
            Effect::Set(values) => {
                let mut row = live?.clone();
                for (position, assignment) in values {
                    row[*position] =
                        assignment.apply(columns[*position].ty.scalar, &row[*position])?;
                }
                Some(row)
            }
            Effect::Delete => None,
        };
        let after = after.filter(|_| Expiry::of(table, &change.effect, now) != Expiry::Over);
        Some(self.difference(table, (kept, guard), before.as_ref(), after.as_ref()))
    }

    /// The members of a change of a JSON row, which is written only if the string is as it was
    /// read.
    pub(crate) fn members_of_document(
        &self,
        table: &StoreTable,
        change: &Change,
        document: &Document,
    ) -> Members {
        let kept = self.kept(table);
        if kept.is_empty() {
            return Members::default();
        }
        let string = match &document.before {
            Before::Is(string) => string.as_deref(),
            Before::Any => None,
        };
        let name = self.keys.row(table, &change.key);
        let before = row::decode_object(&self.keys, table, &name, string, i64::MIN).ok().flatten();
        let after = document.row.as_ref().filter(|_| document.after.is_some());
        self.difference(table, (kept, Vec::new()), before.as_ref(), after)
    }

    fn difference(
        &self,
        table: &StoreTable,
        (kept, guard): (Vec<KeptIndex>, Vec<Vec<u8>>),
        before: Option<&Row>,
        after: Option<&Row>,
    ) -> Members {
        let entries =
            |row: Option<&Row>| row.map(|row| self.entries(table, &kept, row)).unwrap_or_default();
        let added = entries(after);
        let mut removed = entries(before);
        removed.retain(|entry| !added.contains(entry));
        Members { removed, added, guard, kept }
    }
}
