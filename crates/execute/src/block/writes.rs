//! The rows that a block has written or locked, with a journal by which it goes back to savepoints.
//!
//! A savepoint is a place in the journal: it costs nothing, however much the block has written.
//! The journal holds what a row was when it was changed for the first time after a savepoint.

use flywheel_types::{Key, TableName};
use indexmap::IndexMap;

use super::row::Buffered;

/// A row with the savepoint behind which it was last put into the journal.
#[derive(Debug, Clone)]
struct Entry<T> {
    state: T,
    noted: u64,
}

/// Where the journal stands at a savepoint.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Counts savepoints; later ones are larger.
    number: u64,
    journal: usize,
}

/// What a row was before a change; `None`: the block had nothing to say of it.
#[derive(Debug)]
struct Undo<T> {
    table: TableName,
    key: Key,
    before: Option<Entry<T>>,
}

/// Rows written or locked, by table and key.
#[derive(Debug)]
pub struct Writes<T = Buffered> {
    tables: IndexMap<TableName, IndexMap<Key, Entry<T>>>,
    journal: Vec<Undo<T>>,
    /// How many savepoints there have been.
    savepoints: u64,
    /// The number of the latest that is there; 0: there is none.
    latest: u64,
}

impl<T> Default for Writes<T> {
    fn default() -> Self {
        Self { tables: IndexMap::new(), journal: Vec::new(), savepoints: 0, latest: 0 }
    }
}

impl<T: Clone> Writes<T> {
    pub fn is_empty(&self) -> bool {
        self.tables.values().all(IndexMap::is_empty)
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// All of them: table by table, each table's in the order in which they were written first.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &T)> {
        self.tables.values().flatten().map(|(key, entry)| (key, &entry.state))
    }

    pub fn of_table(&self, table: &TableName) -> impl Iterator<Item = (&Key, &T)> {
        self.tables.get(table).into_iter().flatten().map(|(key, entry)| (key, &entry.state))
    }

    pub fn count_of_table(&self, table: &TableName) -> usize {
        self.tables.get(table).map_or(0, IndexMap::len)
    }

    pub fn get(&self, table: &TableName, key: &Key) -> Option<&T> {
        Some(&self.tables.get(table)?.get(key)?.state)
    }

    /// Changes a row, or gives it a first state: what `change` makes of `None`.
    pub fn change(
        &mut self,
        table: &TableName,
        key: Key,
        change: impl FnOnce(Option<&mut T>) -> Option<T>,
    ) {
        let latest = self.latest;
        if !self.tables.contains_key(table) {
            self.tables.insert(table.clone(), IndexMap::new());
        }
        let Some(rows) = self.tables.get_mut(table) else { return };
        let undo = |key: Key, before| Undo { table: table.clone(), key, before };
        match rows.get_mut(&key) {
            Some(entry) => {
                if entry.noted < latest {
                    self.journal.push(undo(key, Some(entry.clone())));
                    entry.noted = latest;
                }
                change(Some(&mut entry.state));
            }
            None => {
                if let Some(state) = change(None) {
                    if latest > 0 {
                        self.journal.push(undo(key.clone(), None));
                    }
                    rows.insert(key, Entry { state, noted: latest });
                }
            }
        }
    }

    /// A savepoint.
    pub fn savepoint(&mut self) -> Place {
        self.savepoints += 1;
        self.latest = self.savepoints;
        Place { number: self.latest, journal: self.journal.len() }
    }

    /// Back to a savepoint, which stays.
    pub fn rollback_to(&mut self, place: Place) {
        for undo in self.journal.drain(place.journal.min(self.journal.len())..).rev() {
            let Some(rows) = self.tables.get_mut(&undo.table) else { continue };
            match undo.before {
                Some(before) => drop(rows.insert(undo.key, before)),
                // The newest row is the last one: no other changes its place.
                None => drop(rows.swap_remove(&undo.key)),
            }
        }
        self.latest = place.number;
    }

    /// Later savepoints than this one have gone; `None`: all have.
    pub fn release_to(&mut self, latest: Option<Place>) {
        self.latest = latest.map_or(0, |latest| latest.number);
        if latest.is_none() {
            self.journal.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flywheel_types::Value;
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Write(u8, u8),
        Savepoint,
        RollbackTo(usize),
        Release(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..6_u8, any::<u8>()).prop_map(|(key, value)| Step::Write(key, value)),
            2 => Just(Step::Savepoint),
            1 => any::<prop::sample::Index>().prop_map(|at| Step::RollbackTo(at.index(8))),
            1 => any::<prop::sample::Index>().prop_map(|at| Step::Release(at.index(8))),
        ]
    }

    fn table() -> TableName {
        TableName { schema: "public".to_owned(), name: "t".to_owned() }
    }

    fn put(writes: &mut Writes<u8>, key: u8, value: u8) {
        let key = Key::new(vec![Value::Int(i64::from(key))]);
        writes.change(&table(), key, |known| match known {
            Some(known) => {
                *known = value;
                None
            }
            None => Some(value),
        });
    }

    fn all(writes: &Writes<u8>) -> BTreeMap<u8, u8> {
        let key = |key: &Key| match key.partition() {
            Value::Int(key) => u8::try_from(*key).expect("a small key"),
            _ => unreachable!("keys are integers"),
        };
        writes.iter().map(|(each, value)| (key(each), *value)).collect()
    }

    proptest! {
        /// The journal leads to what copies of everything would have kept.
        #[test]
        fn savepoints_are_copies(steps in prop::collection::vec(step(), 0..60)) {
            let mut writes = Writes::default();
            let mut copy = BTreeMap::new();
            let mut savepoints = Vec::new();
            for step in steps {
                match step {
                    Step::Write(key, value) => {
                        put(&mut writes, key, value);
                        copy.insert(key, value);
                    }
                    Step::Savepoint => savepoints.push((writes.savepoint(), copy.clone())),
                    Step::RollbackTo(at) if at < savepoints.len() => {
                        savepoints.truncate(at + 1);
                        writes.rollback_to(savepoints[at].0);
                        copy.clone_from(&savepoints[at].1);
                    }
                    Step::Release(at) if at < savepoints.len() => {
                        savepoints.truncate(at);
                        writes.release_to(savepoints.last().map(|(place, _)| *place));
                    }
                    Step::RollbackTo(_) | Step::Release(_) => {}
                }
                prop_assert_eq!(all(&writes), copy.clone());
            }
        }
    }
}
