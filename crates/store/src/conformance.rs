//! The suite that every store passes: the same statements of the contract of [`crate::Store`],
//! against a live store.
//!
//! A store's test makes a [`Suite`] and awaits [`Suite::check`], which goes by the parts that the
//! store has; a failure panics with the part and the values. A store that is read only awaits
//! [`check_reads`] over rows that it holds. Tables are named `{prefix}_{part}` and dropped before
//! and after their part, so that parts, and runs with different prefixes, don't meet.

mod add;
mod concurrency;
mod definition;
mod expiry;
pub mod fixture;
mod get;
mod index;
mod order;
mod prepare;
mod range;
mod reads;
mod sorted_set;
mod told;
mod values;
mod write;
mod write_all;

pub use reads::check_reads;
pub use told::Notes;

use std::sync::Arc;

use flywheel_types::{Key, Row, Value};

use crate::{Applied, Assignment, Change, Effect, Expect, Layout, Store, StoreTable};

/// A store under test.
#[derive(Debug, Clone)]
pub struct Suite {
    store: Arc<dyn Store>,
    prefix: String,
    layout: Layout,
    partitions_apart: bool,
}

impl Suite {
    /// A suite over `store` whose tables are called `{prefix}_…`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, prefix: impl Into<String>) -> Self {
        Self { store, prefix: prefix.into(), layout: Layout::Hash, partitions_apart: false }
    }

    /// The same without changes of several partitions at once, for a store that doesn't take those.
    #[must_use]
    pub fn with_partitions_apart(self) -> Self {
        Self { partitions_apart: true, ..self }
    }

    /// The same over tables in another layout than [`Layout::Hash`].
    #[must_use]
    pub fn in_layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// What every store does that makes its tables and writes to them, and what its other parts do.
    ///
    /// # Panics
    /// It does otherwise, or it makes no tables or doesn't write.
    pub async fn check(&self) {
        assert!(self.store.defines().is_some() && self.store.writes().is_some(), "use check_reads");
        definition::check(self).await;
        get::check(self).await;
        write::check(self).await;
        if !self.partitions_apart {
            write_all::check(self).await;
            add::check(self).await;
            if self.store.two_phase().is_some() {
                prepare::check(self).await;
            }
        }
        range::check(self).await;
        order::check(self).await;
        values::check(self).await;
        expiry::check(self).await;
        concurrency::check(self).await;
    }

    /// What a store with secondary indexes does besides.
    pub async fn check_indexes(&self) {
        index::check(self).await;
    }

    /// What a store with [`crate::Layout::SortedSet`] does besides.
    pub async fn check_sorted_sets(&self) {
        sorted_set::check(self).await;
        add::check_scores(self).await;
        prepare::check_sorted_set(self).await;
    }

    /// An empty table in the store, called after `part`.
    async fn fresh(
        &self,
        part: &str,
        columns: &[(&str, flywheel_types::TypeInfo)],
        key: &[&str],
    ) -> StoreTable {
        let mut table = fixture::table(&format!("{}_{part}", self.prefix), columns, key);
        table.layout = self.layout;
        self.empty(&table).await;
        table
    }

    async fn empty(&self, table: &StoreTable) {
        self.store.accepts(table).expect("the store accepts the suite's table");
        self.store.drop_table(table).await.expect("drop_table of a table that may not be there");
        self.store.create_table(table).await.expect("create_table");
    }

    async fn drop(&self, table: &StoreTable) {
        self.store.drop_table(table).await.expect("drop_table");
    }

    async fn get_one(&self, table: &StoreTable, key: &Key) -> Option<Row> {
        let mut rows = self.store.get(table, std::slice::from_ref(key)).await.expect("get");
        assert_eq!(rows.len(), 1, "one key, one answer");
        rows.remove(0)
    }

    async fn write(&self, table: &StoreTable, change: Change) -> Applied {
        self.store.write(table, &change).await.expect("write")
    }

    /// Puts `row` whatever is there.
    async fn put(&self, table: &StoreTable, row: Row) {
        let applied = self.write(table, put(table, Expect::Any, row.clone())).await;
        same_applied(&applied, &Applied::Done(Some(row)), "put");
    }
}

fn put(table: &StoreTable, expect: Expect, row: Row) -> Change {
    Change { key: table.table.key_of(&row), expect, effect: Effect::Put(row) }
}

fn set(key: &Key, values: &[(usize, Value)]) -> Change {
    let value = |(position, value): &(usize, Value)| (*position, Assignment::Value(value.clone()));
    assign(key, values.iter().map(value).collect())
}

fn assign(key: &Key, values: Vec<(usize, Assignment)>) -> Change {
    Change { key: key.clone(), expect: Expect::Present, effect: Effect::Set(values) }
}

fn delete(key: &Key, expect: Expect) -> Change {
    Change { key: key.clone(), expect, effect: Effect::Delete }
}

/// Equal as PostgreSQL prints them: `==` would take `-0` for `0`, and NaN for different from
/// itself.
fn same<T: std::fmt::Debug + ?Sized>(actual: &T, expected: &T, what: &str) {
    assert_eq!(format!("{actual:?}"), format!("{expected:?}"), "{what}");
}

fn same_applied(actual: &Applied, expected: &Applied, what: &str) {
    same(actual, expected, what);
}
