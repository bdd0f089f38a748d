//! Which rows of a table can matter, from the conditions on its key.

use flywheel_sql::{Comparison, Constant, Fact};
use flywheel_store::{Bound, KeyRange, Operation, StoreTable};
use flywheel_types::{Key, Scalar, Value};

use crate::Parameters;

/// The most keys that several IN-lists may make together. A single list may make as many as it has
/// elements: the client has sent all of them.
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
        /// The secondary index whose partitions they are, by its position; `None`: the primary
        /// key's.
        index: Option<usize>,
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
    Ranges {
        /// The secondary index whose ranges they are; `None`: the primary key's.
        index: Option<usize>,
        /// The ranges.
        ranges: Vec<KeyRange>,
    },
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
    pub(crate) fn of(
        fact: &Fact,
        column: impl Fn(&flywheel_sql::ColumnRef) -> Option<usize>,
    ) -> Option<Self> {
        match fact {
            Fact::Compare(name, comparison, constant) => {
                Some(Self::Compare(column(name)?, *comparison, constant.clone()))
            }
            Fact::In(names, rows) => {
                Some(Self::In(names.iter().map(column).collect::<Option<_>>()?, rows.clone()))
            }
            Fact::Same(..) | Fact::Member { .. } | Fact::Other => None,
        }
    }
}

impl Access {
    /// The narrowest access that `facts` allow.
    pub(crate) fn of(table: &StoreTable, facts: &[TableFact]) -> Self {
        Self::candidates(table, facts).swap_remove(0).0
    }

    /// The accesses that `facts` allow, the narrowest first, and whether each says all that they
    /// say (so that nothing is left to recheck). Never empty.
    pub(crate) fn candidates(table: &StoreTable, facts: &[TableFact]) -> Vec<(Self, bool)> {
        let key = &table.table.primary_key;
        let equals: Option<Vec<Vec<Constant>>> =
            key.iter().map(|&column| equal_to(facts, column)).collect();
        if let Some(keys) = equals.and_then(|values| product(&values)) {
            return vec![(Self::Keys(keys), facts.len() == key.len())];
        }
        if let Some(keys) = facts.iter().find_map(|fact| key_tuples(key, fact)) {
            return vec![(Self::Keys(keys), facts.len() == 1)];
        }
        let indexes = (0..table.indexes.len())
            .filter(|&index| table.indexes[index].serves() && holds_all(table, index, facts));
        let mut found: Vec<(Self, usize)> = std::iter::once(None)
            .chain(indexes.map(Some))
            .filter_map(|index| Self::partitions(table, index, facts))
            .collect();
        // A stable sort: where they say as much, the primary key goes first.
        found.sort_by_key(|(_, used)| std::cmp::Reverse(*used));
        let mut candidates: Vec<_> =
            found.into_iter().map(|(access, used)| (access, used == facts.len())).collect();
        if candidates.is_empty() {
            candidates.push((Self::All, facts.is_empty()));
        }
        candidates
    }

    /// The partitions of the primary key or an index that `facts` leave, and how many facts say so.
    fn partitions(
        table: &StoreTable,
        index: Option<usize>,
        facts: &[TableFact],
    ) -> Option<(Self, usize)> {
        let columns = table.order_columns(index);
        let values = equal_to(facts, columns[0])?;
        let (mut lower, mut upper, mut used) = (None, None, 1);
        let sort = columns.get(1).copied();
        let ordered = sort.is_some_and(|sort| orders_exactly(&table.table.columns[sort]));
        for fact in facts {
            let TableFact::Compare(column, comparison, value) = fact else {
                continue;
            };
            if sort != Some(*column) {
                continue;
            }
            let end = |inclusive| Some(End { value: value.clone(), inclusive });
            let (slot, end) = match comparison {
                Comparison::Equal if lower.is_none() && upper.is_none() => {
                    (lower, upper) = (end(true), end(true));
                    used += 1;
                    continue;
                }
                Comparison::Greater if ordered => (&mut lower, end(false)),
                Comparison::GreaterOrEqual if ordered => (&mut lower, end(true)),
                Comparison::Less if ordered => (&mut upper, end(false)),
                Comparison::LessOrEqual if ordered => (&mut upper, end(true)),
                _ => continue,
            };
            if slot.is_none() {
                *slot = end;
                used += 1;
            }
        }
        let access = Self::Partitions { index, values, lower, upper };
        Some((access, used))
    }

    /// Takes away the equalities that the access says by itself.
    pub(crate) fn remove_said(&self, table: &StoreTable, facts: &mut Vec<TableFact>) {
        let columns = match self {
            Self::All => &[][..],
            Self::Keys(_) => &table.table.primary_key[..],
            Self::Partitions { index, .. } => &table.order_columns(*index)[..1],
        };
        for column in columns {
            let said = |fact: &TableFact| equal_to(std::slice::from_ref(fact), *column).is_some();
            if let Some(place) = facts.iter().position(said) {
                facts.remove(place);
            }
        }
    }

    /// The access with its constants as values. `None`: a constant can't be read exactly, or one
    /// outside its column's type makes a comparison that no key expresses.
    #[must_use]
    pub fn resolve(
        &self,
        table: &StoreTable,
        parameters: &Parameters<'_>,
    ) -> Option<ResolvedAccess> {
        match self {
            Self::All => Some(ResolvedAccess::All),
            Self::Keys(keys) => {
                let mut resolved: Vec<Key> = Vec::with_capacity(keys.len());
                for key in keys {
                    let values =
                        key.iter().zip(&table.table.primary_key).map(|(constant, &column)| {
                            parameters.resolve_each(constant, &table.table.columns[column].ty)
                        });
                    let values: Vec<Vec<Value>> = values.collect::<Option<_>>()?;
                    let alternatives = product(&values)?;
                    // A comparison with NULL is never true.
                    let keys = alternatives
                        .into_iter()
                        .filter(|values| !values.iter().any(Value::is_null));
                    resolved.extend(keys.map(Key::new));
                }
                Some(ResolvedAccess::Keys(distinct(resolved)))
            }
            Self::Partitions { index, values, lower, upper } => {
                let ty = &table.table.columns[table.order_columns(*index)[0]].ty;
                let mut partitions = Vec::with_capacity(values.len());
                for value in values {
                    partitions.extend(parameters.resolve_each(value, ty)?);
                }
                Self::ranges(table, *index, partitions, lower.as_ref(), upper.as_ref(), parameters)
            }
        }
    }

    /// The constants that decide which rows they are.
    pub(crate) fn values(&self) -> Vec<&Constant> {
        match self {
            Self::All => Vec::new(),
            Self::Keys(keys) => keys.iter().flatten().collect(),
            Self::Partitions { values, lower, upper, .. } => {
                let ends = lower.iter().chain(upper).map(|end| &end.value);
                values.iter().chain(ends).collect()
            }
        }
    }

    /// How many constants it has.
    #[must_use]
    pub fn constants(&self) -> usize {
        match self {
            Self::Keys(keys) => keys.iter().map(Vec::len).sum(),
            Self::Partitions { values, .. } => values.len(),
            Self::All => 0,
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

    /// Whether the first sort column can have one value only.
    pub(crate) fn fixes_sort(&self) -> bool {
        match self {
            Self::Partitions { lower: Some(lower), upper: Some(upper), .. } => {
                lower == upper && lower.inclusive
            }
            _ => false,
        }
    }

    /// The store's operation that reads partitions.
    pub(crate) fn range_operation(&self) -> Operation {
        match self {
            Self::Partitions { index: Some(index), .. } => Operation::IndexRange(*index),
            _ => Operation::Range,
        }
    }

    /// The constants that columns of the key must equal, each with its column's type.
    #[must_use]
    pub fn equalities<'a>(
        &'a self,
        table: &'a StoreTable,
    ) -> Vec<(&'a Constant, &'a flywheel_types::TypeInfo)> {
        let key_type = |index: Option<usize>, place: usize| {
            &table.table.columns[table.order_columns(index)[place]].ty
        };
        match self {
            Self::All => Vec::new(),
            Self::Keys(keys) => keys
                .iter()
                .flat_map(|key| {
                    key.iter()
                        .enumerate()
                        .map(|(place, constant)| (constant, key_type(None, place)))
                })
                .collect(),
            Self::Partitions { index, values, .. } => {
                values.iter().map(|constant| (constant, key_type(*index, 0))).collect()
            }
        }
    }

    /// The ranges of the given partitions between two ends.
    pub(crate) fn ranges(
        table: &StoreTable,
        index: Option<usize>,
        partitions: Vec<Value>,
        lower: Option<&End>,
        upper: Option<&End>,
        parameters: &Parameters<'_>,
    ) -> Option<ResolvedAccess> {
        let sort = table.order_columns(index).get(1).map(|&sort| &table.table.columns[sort].ty);
        let bound = |end: Option<&End>| match (end, sort) {
            (Some(end), Some(sort)) => {
                let value = match parameters.resolve_key(&end.value, sort) {
                    Some(value) => value,
                    // PostgreSQL checks the end again: without it, only more rows are read.
                    None if parameters.computed.is_some() => return Some(Bound::Unbounded),
                    None => return None,
                };
                Some(if end.inclusive { Bound::Included(value) } else { Bound::Excluded(value) })
            }
            _ => Some(Bound::Unbounded),
        };
        let (lower, upper) = (bound(lower)?, bound(upper)?);
        let never = [&lower, &upper].iter().any(|bound| {
            matches!(bound, Bound::Included(Value::Null) | Bound::Excluded(Value::Null))
        });
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
        Some(ResolvedAccess::Ranges {
            index,
            ranges: distinct(keys).into_iter().map(range).collect(),
        })
    }
}

/// Whether every row that `facts` allow is in the index: one with NULL in a column of it isn't, and
/// doesn't compare.
fn holds_all(table: &StoreTable, index: usize, facts: &[TableFact]) -> bool {
    let is_compared = |column: usize| {
        facts.iter().any(|fact| match fact {
            TableFact::Compare(each, ..) => *each == column,
            TableFact::In(columns, _) => columns.contains(&column),
        })
    };
    let mut columns = table.indexes[index].columns.iter();
    columns.all(|&column| table.table.columns[column].not_null || is_compared(column))
}

/// The values that a column must equal one of.
fn equal_to(facts: &[TableFact], column: usize) -> Option<Vec<Constant>> {
    facts.iter().find_map(|fact| match fact {
        TableFact::Compare(each, Comparison::Equal, value) if *each == column => {
            Some(vec![value.clone()])
        }
        TableFact::In(columns, rows) if columns[..] == [column] => {
            Some(rows.iter().map(|row| row[0].clone()).collect())
        }
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
    Some(rows.iter().map(|row| places.iter().map(|&place| row[place].clone()).collect()).collect())
}

/// Every choice of one of each list; `None` when there are too many.
fn product<T: Clone>(lists: &[Vec<T>]) -> Option<Vec<Vec<T>>> {
    let most = lists.iter().map(Vec::len).max().unwrap_or(0).max(MAX_KEYS);
    let mut keys: Vec<Vec<T>> = vec![Vec::new()];
    for list in lists {
        if keys.len().saturating_mul(list.len()) > most {
            return None;
        }
        keys = keys
            .iter()
            .flat_map(|head| {
                list.iter().map(move |value| [&head[..], std::slice::from_ref(value)].concat())
            })
            .collect();
    }
    Some(keys)
}

pub(crate) fn distinct(keys: Vec<Key>) -> Vec<Key> {
    let mut seen = std::collections::HashSet::with_capacity(keys.len());
    keys.into_iter().filter(|key| seen.insert(key.clone())).collect()
}

/// Whether a range over the column's values in a store is PostgreSQL's: false for text that isn't
/// ordered by bytes, for networks, and for an enum, whose labels may be put between others.
pub(crate) fn orders_exactly(column: &flywheel_types::Column) -> bool {
    match column.ty.scalar {
        Scalar::Enum | Scalar::Other => false,
        Scalar::Printed(printed) => printed.is_byte_ordered(),
        _ => column.byte_ordered,
    }
}
