//! Conditions on other columns than those of the key, for rows that are read by their key.
//!
//! A column is compared here where the key of a store could be of its type: then equal values have
//! equal bytes, and the order of the bytes is PostgreSQL's where that of a sort column would be
//! ([`flywheel_types::ordered`]).

use flywheel_sql::{Comparison, Constant};
use flywheel_types::{Table, Value, key_type_problem, ordered};

use crate::Parameters;
use crate::access::{TableFact, orders_exactly};

/// Conditions that must all hold, their constants not yet resolved.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter(Vec<Condition<Constant>>);

/// The same with values.
#[derive(Debug)]
pub struct Conditions(Vec<Condition<Vec<u8>>>);

/// A column is compared with one of these values.
#[derive(Debug, Clone, PartialEq)]
struct Condition<V> {
    column: usize,
    comparison: Comparison,
    values: Vec<V>,
}

impl Filter {
    /// `None` where only PostgreSQL can compare one of the columns.
    pub(super) fn of(table: &Table, facts: &[TableFact]) -> Option<Self> {
        let condition = |fact: &TableFact| {
            let (column, comparison, values) = match fact {
                TableFact::Compare(column, comparison, constant) => {
                    (*column, *comparison, vec![constant.clone()])
                }
                TableFact::In(columns, rows) => {
                    let [column] = columns[..] else { return None };
                    let values = rows.iter().map(|row| row[0].clone()).collect();
                    (column, Comparison::Equal, values)
                }
            };
            let definition = &table.columns[column];
            let is_exact = key_type_problem(definition).is_none()
                && (comparison == Comparison::Equal || orders_exactly(definition));
            is_exact.then_some(Condition { column, comparison, values })
        };
        facts.iter().map(condition).collect::<Option<_>>().map(Self)
    }

    /// Whether every row passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The columns that are compared, as positions in the table.
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|condition| condition.column)
    }

    /// Each condition: its column's position, and the values that it is compared with.
    pub(crate) fn told(&self) -> impl Iterator<Item = (usize, Comparison, &[Constant])> {
        self.0.iter().map(|each| (each.column, each.comparison, &each.values[..]))
    }

    pub(super) fn constants(&self) -> impl Iterator<Item = &Constant> {
        self.0.iter().flat_map(|condition| &condition.values)
    }

    /// `None`: PostgreSQL compares one of them as another type than the column's, or a constant
    /// can't be read.
    #[must_use]
    pub fn resolve(&self, table: &Table, parameters: &Parameters<'_>) -> Option<Conditions> {
        let resolved = |condition: &Condition<Constant>| {
            let ty = &table.columns[condition.column].ty;
            let mut values = Vec::with_capacity(condition.values.len());
            for constant in &condition.values {
                // A comparison with NULL is never true.
                let known = parameters.resolve_each(constant, ty)?;
                values.extend(known.into_iter().filter(|value| !value.is_null()).map(encoded));
            }
            Some(Condition { column: condition.column, comparison: condition.comparison, values })
        };
        self.0.iter().map(resolved).collect::<Option<_>>().map(Conditions)
    }
}

impl Conditions {
    /// Whether a row passes.
    #[must_use]
    pub fn hold(&self, row: &[Value]) -> bool {
        self.0.iter().all(|condition| {
            let value = &row[condition.column];
            if value.is_null() {
                return false;
            }
            let value = encoded(value.clone());
            condition.values.iter().any(|known| match condition.comparison {
                Comparison::Equal => value == *known,
                Comparison::Less => value < *known,
                Comparison::LessOrEqual => value <= *known,
                Comparison::Greater => value > *known,
                Comparison::GreaterOrEqual => value >= *known,
            })
        })
    }
}

fn encoded(value: Value) -> Vec<u8> {
    ordered::encode(&[value])
}
