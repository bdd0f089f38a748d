//! One run of `write.lua`: its keys and arguments.

use std::ops::RangeInclusive;

use flywheel_store::{
    Assignment, Change, Effect, Expect, StoreError, StoreTable, TransactionId, score_addends,
    text_row,
};
use flywheel_types::Value;

use crate::document::{Before, Document};
use crate::expiry::Expiry;
use crate::key::companion_member;
use crate::members::Members;
use crate::sorted_set;
use crate::store::RedisStore;

/// What a run of the script is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mode {
    Write,
    /// Writes rows that the transaction's block may have locked.
    WriteOwn(TransactionId),
    Prepare(TransactionId),
    Commit(TransactionId),
}

/// The columns of a SET that become known values.
fn assigned(values: &[(usize, Assignment)]) -> impl Iterator<Item = (usize, &Value)> {
    values.iter().filter_map(|(position, assignment)| match assignment {
        Assignment::Value(value) => Some((*position, value)),
        Assignment::Add(_) => None,
    })
}

/// The columns to which something is added, with how much.
fn added(effect: &Effect) -> Vec<(usize, i64)> {
    let Effect::Set(values) = effect else {
        return Vec::new();
    };
    let added = values.iter().filter_map(|(position, assignment)| match assignment {
        Assignment::Add(amount) => Some((*position, *amount)),
        Assignment::Value(_) => None,
    });
    added.collect()
}

/// Between what a stored integer must be for the amount to be added, and the amount.
fn addition(addends: Option<RangeInclusive<i64>>, amount: i64) -> [String; 3] {
    let (least, greatest) = addends.map_or((1, 0), RangeInclusive::into_inner);
    [least, greatest, amount].map(|number| number.to_string())
}

/// What a change is to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Nothing,
    Row,
}

/// The keys and arguments of one run of the script.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) keys: Vec<String>,
    pub(super) arguments: Vec<Vec<u8>>,
    pub(super) now: i64,
}

impl Request {
    pub(super) fn new(mode: Mode, now: i64) -> Self {
        let (mode, transaction) = match mode {
            Mode::Write => ("write", String::new()),
            Mode::WriteOwn(transaction) => ("write", transaction.to_string()),
            Mode::Prepare(transaction) => ("prepare", transaction.to_string()),
            Mode::Commit(transaction) => ("commit", transaction.to_string()),
        };
        Self { keys: Vec::new(), arguments: vec![mode.into(), transaction.into_bytes()], now }
    }

    pub(super) fn push_hash(
        &mut self,
        store: &RedisStore,
        table: &StoreTable,
        change: &Change,
        (answer, members): (Answer, Members),
    ) {
        let columns = &table.table.columns;
        self.keys.push(store.keys.row(table, &change.key));
        self.conditions("hash", change);
        self.companion(store, table, change);
        self.indexes(store, table, members);
        self.argument(table.expires_at.map_or("", |position| columns[position].name.as_str()));
        self.argument(text_row::encode(&Value::Timestamptz(self.now)).unwrap_or_default());
        self.argument(Expiry::of(table, &change.effect, self.now).argument());

        let expected = match &change.expect {
            Expect::Unchanged(row) => row.as_slice(),
            _ => &[],
        };
        let expected =
            expected.iter().enumerate().filter(|(position, _)| !table.table.is_key(*position));
        self.list(expected.flat_map(|(position, value)| {
            let text =
                text_row::encode(value).map_or_else(|| "~".to_owned(), |text| format!("={text}"));
            [columns[position].name.clone(), text]
        }));

        let key = table.table.primary_key.iter().copied().zip(change.key.values());
        let written: Vec<(usize, &Value)> = match &change.effect {
            Effect::Put(row) => row.iter().enumerate().collect(),
            // The key's fields too, so that a row is never without a field.
            Effect::Set(values) => key.chain(assigned(values)).collect(),
            Effect::Delete => Vec::new(),
        };
        let name = |position: usize| columns[position].name.clone();
        self.list(written.iter().flat_map(|&(position, value)| {
            text_row::encode(value).map(|text| [name(position), text]).into_iter().flatten()
        }));
        self.list(
            written
                .iter()
                .filter(|(_, value)| value.is_null())
                .map(|&(position, _)| name(position)),
        );

        let added = added(&change.effect);
        let mut sums = Vec::with_capacity(added.len() * 4);
        for (position, amount) in added {
            sums.push(name(position));
            sums.extend(addition(Assignment::addends(columns[position].ty.scalar, amount), amount));
        }
        self.list(sums.into_iter());

        // A put row is known already.
        let returned = answer == Answer::Row && !matches!(change.effect, Effect::Put(_));
        let returned = if returned { columns.as_slice() } else { &[] };
        self.list(returned.iter().map(|column| column.name.clone()));
    }

    pub(super) fn push_document(
        &mut self,
        store: &RedisStore,
        table: &StoreTable,
        change: &Change,
        (document, members): (&Document, Members),
    ) {
        self.keys.push(store.keys.row(table, &change.key));
        self.argument("json");
        self.argument(if document.before == Before::Any { "any" } else { "same" });
        self.argument(if document.after.is_some() { "put" } else { "delete" });
        self.companion(store, table, change);
        self.indexes(store, table, members);
        self.argument(match &document.before {
            Before::Is(Some(text)) => [b"=", &text[..]].concat(),
            Before::Is(None) | Before::Any => b"~".to_vec(),
        });
        self.argument(document.after.clone().unwrap_or_default());
        self.argument(document.expiry.argument());
    }

    /// The members of the table's indexes. In a cluster there are none.
    fn indexes(&mut self, store: &RedisStore, table: &StoreTable, members: Members) {
        if store.servers.slot("").is_some() {
            return self.argument("");
        }
        self.argument("indexes");
        self.keys.push(store.keys.indexes(table));
        let kept = members.kept.iter();
        self.list(
            kept.flat_map(|index| {
                [index.name.clone(), RedisStore::definition(table, &index.columns)]
            }),
        );
        self.argument(members.guard.len().to_string());
        self.arguments.extend(members.guard);
        for entries in [members.removed, members.added] {
            self.argument(entries.len().to_string());
            for entry in entries {
                self.keys.push(entry.set);
                self.arguments.push(entry.member);
            }
        }
    }

    /// The sorted set that keeps the order of the row's partition, and its member there.
    fn companion(&mut self, store: &RedisStore, table: &StoreTable, change: &Change) {
        if change.key.sort().is_empty() {
            self.argument("");
        } else {
            self.keys.push(store.keys.partition(table, change.key.partition()));
            self.argument(companion_member(change.key.sort()));
        }
    }

    pub(super) fn push_set(
        &mut self,
        store: &RedisStore,
        table: &StoreTable,
        change: &Change,
        score: usize,
    ) -> Result<(), StoreError> {
        let (key, member) = sorted_set::address(&store.keys, table, &change.key);
        self.keys.push(key);
        self.conditions("set", change);
        self.argument(member);
        let expected = match &change.expect {
            Expect::Unchanged(row) => Some(&row[score]),
            _ => None,
        };
        let written = match &change.effect {
            Effect::Put(row) => Some(&row[score]),
            Effect::Set(values) => {
                assigned(values).find(|(position, _)| *position == score).map(|(_, value)| value)
            }
            Effect::Delete => None,
        };
        for value in [expected, written] {
            let score = value.map(sorted_set::score_argument).transpose()?;
            self.argument(score.unwrap_or_default());
        }
        match added(&change.effect).first() {
            None => self.list(std::iter::empty()),
            Some(&(position, amount)) => {
                let addends = score_addends(table.table.columns[position].ty.scalar, amount);
                self.list(addition(addends, amount).into_iter());
            }
        }
        Ok(())
    }

    fn conditions(&mut self, layout: &str, change: &Change) {
        self.argument(layout);
        self.argument(match (&change.expect, &change.effect) {
            // Nothing can be set of a row that isn't there.
            (Expect::Any, Effect::Set(_)) | (Expect::Present, _) => "present",
            (Expect::Any, _) => "any",
            (Expect::Absent, _) => "absent",
            (Expect::Unchanged(_), _) => "unchanged",
        });
        self.argument(match change.effect {
            Effect::Put(_) | Effect::Set(_) => "put",
            Effect::Delete => "delete",
        });
    }

    fn argument(&mut self, argument: impl Into<Vec<u8>>) {
        self.arguments.push(argument.into());
    }

    fn list(&mut self, elements: impl Iterator<Item = String>) {
        let elements: Vec<Vec<u8>> = elements.map(String::into_bytes).collect();
        self.argument(elements.len().to_string());
        self.arguments.extend(elements);
    }
}
