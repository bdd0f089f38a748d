//! Which rows of a table can matter, from the conditions on its key.

use flywheel_sql::{Comparison, Constant, Fact};
use flywheel_store::{Bound, KeyRange};
use flywheel_types::{Key, Scalar, Table, Value};

use crate::Parameters;

/// The most keys that an IN-list, or the product of several, may make.
const MAX_KEYS: usize = 10_000;

/// One end of a range over the first sort column, with its constant not yet resolved.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End {
    pub(crate) value: Constant,
    pub(crate) inclusive: bool,
}

/// The rows that a table's conditions leave, with constants not yet resolved.
#[derive(Debug, Clone, PartialEq)]
pub enum Access {
    /// The rows of these keys: each a constant for every key column, in the key's order.
    Keys(Vec<Vec<Constant>>),
    /// Of the partitions with these values, the rows between two ends of the first sort column.
    #[allow(private_interfaces, reason = "read through `resolve` and `Display` only")]
    Partitions {
        /// The partition column's values.
        values: Vec<Constant>,
        /// Lower end.
        lower: Option<End>,
        /// Upper end.
        upper: Option<End>,
    },
    /// All rows.
    All,
}

/// The same with values.
#[derive(Debug, Clone, PartialEq)]
pub enum ResolvedAccess {
    /// The rows of these keys, no key twice.
    Keys(Vec<Key>),
    /// The rows of these ranges, no partition twice.
    Ranges(Vec<KeyRange>),
    /// All rows.
    All,
}

/// A fact about columns of one table, the columns by position.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TableFact {
    Compare(usize, Comparison, Constant),
    In(Vec<usize>, Vec<Vec<Constant>>),
}

impl TableFact {
    /// The fact, when all its columns are found by `column`.
    pub(crate) fn of(fact: &Fact, column: impl Fn(&flywheel_sql::ColumnRef) -> Option<usize>) -> Option<Self> {
        match fact {
            Fact::Compare(name, comparison, constant) => Some(Self::Compare(column(name)?, *comparison, constant.clone())),
            Fact::In(names, rows) => Some(Self::In(names.iter().map(column).collect::<Option<_>>()?, rows.clone())),
            Fact::Same(..) | Fact::Member { .. } | Fact::Other => None,
        }
    }
}

impl Access {
    /// The narrowest access that `facts` allow, and whether it says all that they say (so that nothing is left to recheck).
    pub(crate) fn of(table: &Table, facts: &[TableFact]) -> (Self, bool) {
        let key = &table.primary_key;
        let equals: Vec<Option<(usize, Vec<Constant>)>> = key.iter().map(|&column| equal_to(facts, column)).collect();
        if let Some(all) = equals.iter().cloned().collect::<Option<Vec<_>>>() {
            let exact = facts.len() == key.len();
            let values: Vec<_> = all.into_iter().map(|(_, values)| values).collect();
            if let Some(keys) = product(&values) {
                return (Self::Keys(keys), exact);
            }
        }
        if let Some(keys) = facts.iter().find_map(|fact| key_tuples(key, fact)) {
            return (Self::Keys(keys), facts.len() == 1);
        }
        let Some((_, values)) = equals[0].clone() else {
            return (Self::All, facts.is_empty());
        };
        let (mut lower, mut upper, mut used) = (None, None, 1);
        if let Some(&sort) = key.get(1).filter(|&&sort| table.columns[sort].byte_ordered) {
            for fact in facts {
                let TableFact::Compare(column, comparison, value) = fact else {
                    continue;
                };
                let end = |inclusive| {
                    Some(End {
                        value: value.clone(),
                        inclusive,
                    })
                };
                let (slot, end) = match comparison {
                    Comparison::Greater => (&mut lower, end(false)),
                    Comparison::GreaterOrEqual => (&mut lower, end(true)),
                    Comparison::Less => (&mut upper, end(false)),
                    Comparison::LessOrEqual => (&mut upper, end(true)),
                    Comparison::Equal => continue,
                };
                if *column == sort && slot.is_none() {
                    *slot = end;
                    used += 1;
                }
            }
        }
        (Self::Partitions { values, lower, upper }, used == facts.len())
    }

    /// The access with its constants as values. `None`: a constant can't be read exactly, or one outside its column's type makes a comparison
    /// that no key expresses.
    #[must_use]
    pub fn resolve(&self, table: &Table, parameters: &Parameters<'_>) -> Option<ResolvedAccess> {
        match self {
            Self::All => Some(ResolvedAccess::All),
            Self::Keys(keys) => {
                let mut resolved: Vec<Key> = Vec::with_capacity(keys.len());
                for key in keys {
                    let values = key
                        .iter()
                        .zip(&table.primary_key)
                        .map(|(constant, &column)| parameters.resolve_each(constant, &table.columns[column].ty));
                    let values: Vec<Vec<Value>> = values.collect::<Option<_>>()?;
                    let alternatives = product(&values)?;
                    // A comparison with NULL is never true.
                    let keys = alternatives.into_iter().filter(|values| !values.iter().any(Value::is_null));
                    resolved.extend(keys.map(Key::new));
                }
                Some(ResolvedAccess::Keys(distinct(resolved)))
            }
            Self::Partitions { values, lower, upper } => {
                let mut partitions = Vec::with_capacity(values.len());
                for value in values {
                    partitions.extend(parameters.resolve_each(value, &table.partition_column().ty)?);
                }
                Self::ranges(table, partitions, lower.as_ref(), upper.as_ref(), parameters)
            }
        }
    }

    /// Whether it is one key, or a part of one partition.
    pub(crate) fn is_single(&self) -> bool {
        let is_one = |constant: &Constant| !matches!(constant, Constant::Element(_));
        match self {
            Self::Keys(keys) => matches!(&keys[..], [key] if key.iter().all(is_one)),
            Self::Partitions { values, .. } => matches!(&values[..], [value] if is_one(value)),
            Self::All => false,
        }
    }

    /// The constants that columns of the key must equal, each with its column's type.
    #[must_use]
    pub fn equalities<'a>(&'a self, table: &'a Table) -> Vec<(&'a Constant, &'a flywheel_types::TypeInfo)> {
        let key_type = |place: usize| &table.columns[table.primary_key[place]].ty;
        match self {
            Self::All => Vec::new(),
            Self::Keys(keys) => keys
                .iter()
                .flat_map(|key| key.iter().enumerate().map(|(place, constant)| (constant, key_type(place))))
                .collect(),
            Self::Partitions { values, .. } => values.iter().map(|constant| (constant, key_type(0))).collect(),
        }
    }

    /// The ranges of the given partitions between two ends.
    pub(crate) fn ranges(
        table: &Table,
        partitions: Vec<Value>,
        lower: Option<&End>,
        upper: Option<&End>,
        parameters: &Parameters<'_>,
    ) -> Option<ResolvedAccess> {
        let bound = |end: Option<&End>| match (end, table.sort_columns().next()) {
            (Some(end), Some(sort)) => {
                let value = match parameters.resolve_key(&end.value, &sort.ty) {
                    Some(value) => value,
                    // PostgreSQL checks the end again: without it, only more rows are read.
                    None if parameters.computed.is_some() => return Some(Bound::Unbounded),
                    None => return None,
                };
                Some(if end.inclusive {
                    Bound::Included(value)
                } else {
                    Bound::Excluded(value)
                })
            }
            _ => Some(Bound::Unbounded),
        };
        let (lower, upper) = (bound(lower)?, bound(upper)?);
        let never = [&lower, &upper]
            .iter()
            .any(|bound| matches!(bound, Bound::Included(Value::Null) | Bound::Excluded(Value::Null)));
        let keys: Vec<Key> = partitions
            .into_iter()
            .filter(|value| !never && !value.is_null())
            .map(|value| Key::new(vec![value]))
            .collect();
        let range = |key: Key| KeyRange {
            partition: key.partition().clone(),
            lower: lower.clone(),
            upper: upper.clone(),
            descending: false,
        };
        Some(ResolvedAccess::Ranges(distinct(keys).into_iter().map(range).collect()))
    }
}

/// The values that a column must equal, with the position of the fact that says so.
fn equal_to(facts: &[TableFact], column: usize) -> Option<(usize, Vec<Constant>)> {
    facts.iter().enumerate().find_map(|(position, fact)| match fact {
        TableFact::Compare(each, Comparison::Equal, value) if *each == column => Some((position, vec![value.clone()])),
        TableFact::In(columns, rows) if columns[..] == [column] => Some((position, rows.iter().map(|row| row[0].clone()).collect())),
        _ => None,
    })
}

/// `(a, b) IN (…)` over exactly the key's columns, as keys in the key's order.
fn key_tuples(key: &[usize], fact: &TableFact) -> Option<Vec<Vec<Constant>>> {
    let TableFact::In(columns, rows) = fact else {
        return None;
    };
    if columns.len() != key.len() {
        return None;
    }
    let places: Vec<usize> = key
        .iter()
        .map(|column| columns.iter().position(|each| each == column))
        .collect::<Option<_>>()?;
    Some(
        rows.iter()
            .map(|row| places.iter().map(|&place| row[place].clone()).collect())
            .collect(),
    )
}

/// Every choice of one of each list; `None` when there are too many.
fn product<T: Clone>(lists: &[Vec<T>]) -> Option<Vec<Vec<T>>> {
    let mut keys: Vec<Vec<T>> = vec![Vec::new()];
    for list in lists {
        if keys.len() * list.len() > MAX_KEYS {
            return None;
        }
        keys = keys
            .iter()
            .flat_map(|head| list.iter().map(move |value| [&head[..], std::slice::from_ref(value)].concat()))
            .collect();
    }
    Some(keys)
}

pub(crate) fn distinct(keys: Vec<Key>) -> Vec<Key> {
    let mut seen = std::collections::HashSet::with_capacity(keys.len());
    keys.into_iter().filter(|key| seen.insert(key.clone())).collect()
}

/// Whether a range over the column's values in a store is PostgreSQL's: false for text that isn't ordered by bytes.
pub(crate) fn orders_exactly(column: &flywheel_types::Column) -> bool {
    column.byte_ordered && !matches!(column.ty.scalar, Scalar::Other)
}
