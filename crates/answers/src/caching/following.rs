//! Writes made past this gateway, as logical replication tells of them.
//!
//! PostgreSQL tells of a commit before others can see it, so what was told ends answers once more
//! when it is visible (`Listener::visible`), and only then the follower's lag speaks of that
//! moment. The lag is asked for before an answer is looked for.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use flywheel_cache::{Part, TableId, Touch};
use flywheel_replication::pgoutput::{Field, Tuple};
use flywheel_replication::{Listener, Relation, Visibility};
use flywheel_sql::RelationName;

use super::Caching;
use super::graph::Graph;
use super::row_key;

/// So many rows of a transaction are remembered one by one.
const MAX_ROWS: usize = 10_000;

/// What a transaction has written that may not be visible yet.
#[derive(Debug)]
struct Told {
    /// Of which the tables' numbers are.
    generation: u64,
    all: bool,
    parts: HashSet<(TableId, Part)>,
}

/// Ends answers as changes are told.
#[derive(Debug)]
pub struct Following {
    caching: Arc<Caching>,
    told: Mutex<(u32, HashMap<u32, Told>)>,
}

impl Following {
    /// Ends the answers of this cache.
    pub fn new(caching: Arc<Caching>) -> Self {
        Self { caching, told: Mutex::default() }
    }

    fn touch(&self, touched: impl FnOnce(&Graph) -> Option<Vec<(TableId, Part)>>) {
        let graph = self.caching.current_graph();
        let parts = graph.as_deref().and_then(touched);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (transaction, all) = &mut *told;
        let generation = graph.map_or(0, |graph| graph.generation);
        let of = all.entry(*transaction).or_insert_with(|| Told {
            generation,
            all: false,
            parts: HashSet::new(),
        });
        of.all |= parts.is_none() || of.generation != generation;
        let touch = parts.map_or(Touch::All, Touch::Tables);
        if let Touch::Tables(parts) = &touch
            && !of.all
        {
            let whole = |(table, _): &(TableId, Part)| (*table, Part::Whole);
            of.parts.extend(
                parts
                    .iter()
                    .filter(|part| !of.parts.contains(&whole(part)))
                    .copied()
                    .collect::<Vec<_>>(),
            );
            if of.parts.len() > MAX_ROWS {
                of.parts = of.parts.iter().map(whole).collect();
            }
        }
        drop(told);
        self.caching.followed.invalidate(&touch);
    }
}

/// A relation of the stream, and those that its rows are read through.
fn numbers(relation: &Relation, graph: &Graph) -> Option<Vec<TableId>> {
    let number = |table: &flywheel_types::TableName| {
        let name = RelationName { schema: Some(table.schema.clone()), name: table.name.clone() };
        graph.find(&name).first().copied()
    };
    relation.tables.iter().map(number).collect()
}

/// The row's number, by its primary key.
fn row(relation: &Relation, tuple: &Tuple, graph: &Graph, table: TableId) -> Option<u64> {
    row_key::told(graph.key(table)?, |name| {
        let at = relation.columns.iter().position(|column| column == name)?;
        match tuple.get(at)? {
            Field::Text(text) => std::str::from_utf8(text).ok(),
            Field::Null | Field::Unchanged => None,
        }
    })
}

impl Listener for Following {
    fn began(&self, transaction: u32) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).0 = transaction;
    }

    fn row_changed(&self, relation: &Relation, old: Option<&Tuple>, new: Option<&Tuple>) {
        self.touch(|graph| {
            let tables = numbers(relation, graph)?;
            let own = *tables.first()?;
            let rows = || {
                let rows = old.into_iter().chain(new).map(|tuple| row(relation, tuple, graph, own));
                relation.tells_key.then(|| rows.collect::<Option<Vec<_>>>())?
            };
            let mut touched: Vec<_> =
                tables[1..].iter().map(|&parent| (parent, Part::Whole)).collect();
            match rows() {
                Some(rows) => touched.extend(rows.into_iter().map(|row| (own, Part::Row(row)))),
                None => touched.push((own, Part::Whole)),
            }
            Some(touched)
        });
    }

    fn table_changed(&self, relation: &Relation) {
        self.touch(|graph| {
            Some(numbers(relation, graph)?.into_iter().map(|table| (table, Part::Whole)).collect())
        });
    }

    fn missed(&self) {
        self.caching.followed.invalidate(&Touch::All);
    }

    /// What was read after a change was told, and before it was visible, is of the time before it.
    fn visible(&self, visible: &Visibility) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for of in told.1.values() {
            if of.all || of.generation != self.caching.generation() {
                self.caching.followed.invalidate(&Touch::All);
            } else {
                let parts = of.parts.iter().copied().collect();
                self.caching.followed.invalidate(&Touch::Tables(parts));
            }
        }
        told.1.retain(|&transaction, _| !visible.has(transaction));
    }
}
