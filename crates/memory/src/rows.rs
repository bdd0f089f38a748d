//! One table's rows.

use std::collections::{BTreeMap, HashMap};

use flywheel_store::{StoreError, StoreTable, TransactionId, text_row};
use flywheel_types::{Key, Row, Scalar, Value, ordered, text};

/// A row: the text of each column, by its position in [`Rows::columns`]; beyond the end, and
/// `None`: NULL.
pub(crate) type Fields = Vec<Option<Box<str>>>;

/// Below this many writes a sweep for expired rows isn't worth it.
const SWEEP_AT_LEAST: usize = 64;

/// A table's rows under their keys. Columns are known by name, so that a definition may gain, lose
/// and reorder them while rows stay.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Every column that a definition or a snapshot ever named. Grows only.
    pub(crate) columns: Vec<String>,
    by_key: BTreeMap<Vec<u8>, Fields>,
    /// Which transactions have locked which keys, of rows that are there or not. Not in a snapshot:
    /// a store that comes back from one has lost what was written after it anyway.
    locks: HashMap<Vec<u8>, TransactionId>,
    /// The key columns by which `by_key` was made; empty when no definition was seen yet.
    keyed_by: Vec<(String, Scalar)>,
    /// Rows from a snapshot, whose keys can't be read before a definition is seen.
    unkeyed: Vec<Fields>,
    writes_since_sweep: usize,
}

impl Rows {
    /// Rows as a snapshot gives them.
    pub(crate) fn loaded(columns: Vec<String>, rows: Vec<Fields>) -> Self {
        Self { columns, unkeyed: rows, ..Self::default() }
    }

    /// All rows, expired ones too.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Fields> {
        self.by_key.values().chain(&self.unkeyed)
    }

    /// The rows as `table` defines them.
    pub(crate) fn view<'s>(&'s mut self, table: &'s StoreTable) -> Result<View<'s>, StoreError> {
        let places = table
            .table
            .columns
            .iter()
            .enumerate()
            .map(|(position, column)| self.place(position, &column.name))
            .collect();
        let mut view = View { table, rows: self, places, now: flywheel_store::now_micros() };
        view.rekey()?;
        Ok(view)
    }

    fn place(&mut self, guess: usize, name: &str) -> usize {
        if self.columns.get(guess).is_some_and(|column| column == name) {
            return guess;
        }
        self.columns.iter().position(|column| column == name).unwrap_or_else(|| {
            self.columns.push(name.to_owned());
            self.columns.len() - 1
        })
    }
}

/// A table's rows seen by its definition at one moment.
#[derive(Debug)]
pub(crate) struct View<'s> {
    pub(crate) table: &'s StoreTable,
    rows: &'s mut Rows,
    /// For each column of the definition its position in [`Rows::columns`].
    places: Vec<usize>,
    /// The moment, by which rows have expired or not.
    pub(crate) now: i64,
}

impl View<'_> {
    /// The fields of the row under these [`ordered`] bytes, unless it has expired.
    pub(crate) fn live(&self, key: &[u8]) -> Option<&Fields> {
        self.rows.by_key.get(key).filter(|fields| !self.is_expired(fields))
    }

    /// Who has locked the row under this key.
    pub(crate) fn lock(&self, key: &[u8]) -> Option<TransactionId> {
        self.rows.locks.get(key).copied()
    }

    pub(crate) fn set_lock(&mut self, key: Vec<u8>, transaction: TransactionId) {
        self.rows.locks.insert(key, transaction);
    }

    /// Takes the transaction's lock away from the row; whether there was one.
    pub(crate) fn take_lock(&mut self, key: &[u8], transaction: TransactionId) -> bool {
        self.lock(key) == Some(transaction) && self.rows.locks.remove(key).is_some()
    }

    /// Takes the lock of whatever transaction of the block away from the row.
    pub(crate) fn take_own_lock(&mut self, key: &[u8], transaction: TransactionId) {
        if self.lock(key).is_some_and(|holder| holder.is_of_same_block(&transaction)) {
            self.rows.locks.remove(key);
        }
    }

    /// The rows between two keys, the first included, the end not; expired ones left out.
    pub(crate) fn between(
        &self,
        first: Vec<u8>,
        end: Option<Vec<u8>>,
    ) -> impl DoubleEndedIterator<Item = &Fields> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let end = end.map_or(Unbounded, Excluded);
        self.rows
            .by_key
            .range((Included(first), end))
            .map(|(_, fields)| fields)
            .filter(|fields| !self.is_expired(fields))
    }

    /// The text of a column of the definition.
    pub(crate) fn field<'f>(&self, fields: &'f Fields, position: usize) -> Option<&'f str> {
        fields.get(self.places[position])?.as_deref()
    }

    /// The row of these fields.
    pub(crate) fn decode(&self, fields: &Fields) -> Result<Row, StoreError> {
        let texts =
            (0..self.places.len()).map(|position| self.field(fields, position).map(str::as_bytes));
        text_row::decode(self.table, || self.print_key(fields), texts)
    }

    /// The fields of `row`; those that the definition doesn't know as they were in the row that it
    /// replaces.
    pub(crate) fn encode(&self, row: &[Value], replaced: Option<&Fields>) -> Fields {
        let mut fields = replaced.cloned().unwrap_or_default();
        fields.resize(self.rows.columns.len(), None);
        for (&place, value) in self.places.iter().zip(row) {
            fields[place] = text_row::encode(value).map(String::into_boxed_str);
        }
        fields
    }

    /// Whether the value at `position` is, as text, this one.
    pub(crate) fn holds(&self, fields: &Fields, position: usize, value: &Value) -> bool {
        self.field(fields, position) == text_row::encode(value).as_deref()
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, fields: Fields) {
        self.rows.by_key.insert(key, fields);
        self.sweep_at_times();
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        self.rows.by_key.remove(key);
    }

    /// Removes the row under this key if it has expired.
    pub(crate) fn remove_expired(&mut self, key: &[u8]) {
        let expired = self.table.expires_at.is_some()
            && self.rows.by_key.get(key).is_some_and(|fields| self.is_expired(fields));
        if expired {
            self.remove(key);
        }
    }

    fn is_expired(&self, fields: &Fields) -> bool {
        let Some(position) = self.table.expires_at else {
            return false;
        };
        let ty = &self.table.table.columns[position].ty;
        let until =
            self.field(fields, position).and_then(|until| text::decode_canonical(ty, until));
        matches!(until, Some(Value::Timestamptz(until)) if until <= self.now)
    }

    /// Removes all expired rows once there were half as many writes as there are rows: a write's
    /// share of it stays constant.
    fn sweep_at_times(&mut self) {
        self.rows.writes_since_sweep += 1;
        let due = self.rows.writes_since_sweep >= (self.rows.by_key.len() / 2).max(SWEEP_AT_LEAST);
        if self.table.expires_at.is_none() || !due {
            return;
        }
        let mut by_key = std::mem::take(&mut self.rows.by_key);
        by_key.retain(|_, fields| !self.is_expired(fields));
        self.rows.by_key = by_key;
        self.rows.writes_since_sweep = 0;
    }

    /// Puts all rows under the keys of this definition, if they aren't. On an error all stay where
    /// they are.
    fn rekey(&mut self) -> Result<(), StoreError> {
        let definition = &self.table.table;
        let key_columns =
            definition.primary_key.iter().map(|&position| &definition.columns[position]);
        if key_columns.clone().map(|column| (column.name.as_str(), column.ty.scalar)).eq(self
            .rows
            .keyed_by
            .iter()
            .map(|(name, scalar)| (name.as_str(), *scalar)))
        {
            return Ok(());
        }
        let keys =
            self.rows.all().map(|fields| self.key_bytes(fields)).collect::<Result<Vec<_>, _>>()?;
        // Other keys than those that the locks are on.
        self.rows.locks.clear();
        let rows = std::mem::take(&mut self.rows.by_key).into_values();
        let rows = rows.chain(std::mem::take(&mut self.rows.unkeyed));
        self.rows.by_key = keys.into_iter().zip(rows).collect();
        self.rows.keyed_by =
            key_columns.map(|column| (column.name.clone(), column.ty.scalar)).collect();
        Ok(())
    }

    fn key_bytes(&self, fields: &Fields) -> Result<Vec<u8>, StoreError> {
        let definition = &self.table.table;
        let values = definition.primary_key.iter().map(|&position| {
            let column = &definition.columns[position];
            self.field(fields, position)
                .and_then(|field| text::decode_canonical(&column.ty, field))
                .ok_or_else(|| StoreError::Malformed {
                    key: self.print_key(fields),
                    attribute: column.name.clone(),
                    expected: column.ty.name.clone(),
                })
        });
        Ok(key_bytes(&Key::new(values.collect::<Result<_, _>>()?)))
    }

    fn print_key(&self, fields: &Fields) -> String {
        let positions = self.table.table.primary_key.iter();
        let texts: Vec<&str> =
            positions.map(|&position| self.field(fields, position).unwrap_or("NULL")).collect();
        texts.join(", ")
    }
}

/// The bytes under which a row lies.
pub(crate) fn key_bytes(key: &Key) -> Vec<u8> {
    ordered::encode(key.values())
}
