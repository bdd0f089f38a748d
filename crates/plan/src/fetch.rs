//! Which rows to fetch for a statement that PostgreSQL runs.
//!
//! The rows may be a superset: PostgreSQL checks every condition again. What is pushed to a store
//! must only never lose a row.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use flywheel_sql::{ColumnRef, Comparison, Constant, Fact, Relation};
use flywheel_store::{Index, StoreTable};
use flywheel_types::{Key, Scalar, TypeInfo, Value, quote_identifier};

use crate::access::{Access, ResolvedAccess, TableFact, distinct};
use crate::{Home, Parameters};

/// The rows of one place in a statement that names a store table.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// The place, as a position in [`flywheel_sql::Parsed::relations`].
    pub relation: usize,
    /// The table.
    pub home: Arc<Home>,
    /// Which rows.
    pub access: FetchAccess,
}

/// Which rows are fetched.
#[derive(Debug, Clone)]
pub enum FetchAccess {
    /// What constants say.
    Direct(Access),
    /// Rows whose key starts with a value that another relation has: a semi-join.
    Joined {
        /// The secondary index whose first column has the value; `None`: the primary key's first
        /// column.
        index: Option<usize>,
        /// Where the values come from.
        source: KeySource,
    },
}

/// Where the values of a semi-join come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// PostgreSQL: a query of one column, whose parameters are the statement's.
    Postgres {
        /// The query.
        sql: String,
        /// The type of its column.
        ty: TypeInfo,
    },
    /// A column of another store table in the same statement, fetched before.
    Fetched {
        /// Its place.
        relation: usize,
        /// The column.
        column: usize,
    },
}

/// The accesses that a semi-join's values make.
#[must_use]
pub fn joined_access(
    table: &StoreTable,
    index: Option<usize>,
    values: Vec<Value>,
) -> ResolvedAccess {
    if index.is_none() && table.table.primary_key.len() == 1 {
        let keys = values
            .into_iter()
            .filter(|value| !value.is_null())
            .map(|value| Key::new(vec![value]))
            .collect();
        return ResolvedAccess::Keys(distinct(keys));
    }
    // Without ends there is nothing to resolve, so this can't fail.
    Access::ranges(table, index, values, None, None, &Parameters::default())
        .unwrap_or(ResolvedAccess::All)
}

/// The fetches for all `wanted` places of a statement (place and table), in an order in which each
/// comes after those it takes values from.
pub(crate) fn plan(
    relations: &[Relation],
    wanted: &[(usize, Arc<Home>)],
    types: &ColumnTypes,
) -> Vec<Fetch> {
    let scope = Scope { relations, homes: wanted, types };
    let mut done: Vec<Fetch> = Vec::new();
    let mut open: Vec<(usize, Arc<Home>)> = Vec::new();
    for (relation, home) in wanted {
        match scope.direct(*relation, home) {
            Access::All => open.push((*relation, home.clone())),
            access => done.push(Fetch {
                relation: *relation,
                home: home.clone(),
                access: FetchAccess::Direct(access),
            }),
        }
    }
    // Each round may find sources among what the rounds before have settled. Where none is left, a
    // table that nothing else leads to is read whole, and may then lead to the others.
    while !open.is_empty() {
        let joined = open
            .iter()
            .enumerate()
            .find_map(|(at, (relation, home))| Some((at, scope.joined(*relation, home, &done)?)));
        let (at, access) = match joined {
            Some(joined) => joined,
            None => (scope.start(&open), FetchAccess::Direct(Access::All)),
        };
        let (relation, home) = open.remove(at);
        done.push(Fetch { relation, home, access });
    }
    done
}

/// A column of one place of the statement.
type Node = (usize, String);

/// Types of columns of the relational tables in a statement, by place and column.
pub type ColumnTypes = HashMap<Node, TypeInfo>;

struct Scope<'a> {
    relations: &'a [Relation],
    homes: &'a [(usize, Arc<Home>)],
    types: &'a ColumnTypes,
}

impl Scope<'_> {
    fn home(&self, relation: usize) -> Option<&Home> {
        self.homes.iter().find(|(each, _)| *each == relation).map(|(_, home)| &**home)
    }

    /// The place among `relation`'s siblings that a column belongs to.
    fn node(&self, relation: usize, column: &ColumnRef) -> Option<Node> {
        let siblings = &self.relations[relation].siblings;
        let owner = match &column.qualifier {
            Some(qualifier) => {
                *siblings.iter().chain(&self.relations[relation].outer).find(|&&each| {
                    self.relations[each].qualifier() == qualifier
                        && !self.relations[each].renames_columns
                })?
            }
            None if self.relations[relation].alone && !self.relations[relation].renames_columns => {
                relation
            }
            // PostgreSQL has accepted the statement, so only one relation has the column. Where no
            // store table has it, it is unknown whose it is.
            None => *siblings.iter().find(|&&each| {
                !self.relations[each].renames_columns
                    && self
                        .home(each)
                        .is_some_and(|home| home.table.table.column(&column.name).is_some())
            })?,
        };
        Some((owner, column.name.clone()))
    }

    fn type_of(&self, node: &Node) -> Option<&TypeInfo> {
        match self.home(node.0) {
            Some(home) => {
                let table = &home.table.table;
                Some(&table.columns[table.column(&node.1)?].ty)
            }
            None => self.types.get(node),
        }
    }

    /// Whether equal values of two columns are the same [`Value`]s. `=` between other types isn't
    /// transitive (float8 and bigint), or means something else than it seems (timestamp and
    /// timestamptz, text and char(n)).
    fn alike(&self, left: &Node, right: &Node) -> bool {
        let (Some(left), Some(right)) = (self.type_of(left), self.type_of(right)) else {
            return false;
        };
        same_values(left, right)
    }

    /// The place whose conditions say something of a column of `owner`, for the rows of `relation`
    /// that matter. What stands in the same FROM may be missing from an outer join's row; of a row
    /// in another query, that query has found that its conditions hold.
    fn conditions_of(&self, relation: usize, owner: usize) -> usize {
        if self.relations[relation].siblings.contains(&owner) { relation } else { owner }
    }

    /// The two columns that a condition of `relation` says to be equal.
    fn same(&self, relation: usize, fact: &Fact) -> Option<(Node, Node)> {
        match fact {
            Fact::Same(left, right) => {
                Some((self.node(relation, left)?, self.node(relation, right)?))
            }
            Fact::Member { column, inner, relation: place, .. } => {
                let other = self.relations.iter().position(|each| each.place == *place)?;
                Some((self.node(relation, column)?, self.node(other, inner)?))
            }
            _ => None,
        }
    }

    /// All columns that equal `start` in every row of `relation` that matters.
    fn equal_columns(&self, relation: usize, start: Node) -> Vec<Node> {
        let mut class = vec![start];
        let mut at = 0;
        while at < class.len() {
            let of = self.conditions_of(relation, class[at].0);
            for conjunct in &self.relations[of].conjuncts {
                let Some((left, right)) = self.same(of, &conjunct.fact) else {
                    continue;
                };
                let other = if left == class[at] {
                    right
                } else if right == class[at] {
                    left
                } else {
                    continue;
                };
                if !class.contains(&other) && self.alike(&class[at], &other) {
                    class.push(other);
                }
            }
            at += 1;
        }
        class
    }

    /// What constants say of the table's key, directly or through equal columns.
    fn direct(&self, relation: usize, home: &Home) -> Access {
        let table = &home.table.table;
        let own = |column: &ColumnRef| {
            let (owner, name) = self.node(relation, column)?;
            (owner == relation).then(|| table.column(&name)).flatten()
        };
        let mut facts: Vec<TableFact> = self.relations[relation]
            .conjuncts
            .iter()
            .filter_map(|conjunct| TableFact::of(&conjunct.fact, own))
            .collect();
        let indexed = home.table.indexes.iter().flat_map(|index| &index.columns);
        let keyed: BTreeSet<usize> = table.primary_key.iter().chain(indexed).copied().collect();
        for position in keyed {
            let column = &table.columns[position];
            for node in
                self.equal_columns(relation, (relation, column.name.clone())).into_iter().skip(1)
            {
                facts.extend(self.constants_of(relation, &node).map(|values| match values {
                    (true, mut values) => {
                        TableFact::Compare(position, Comparison::Equal, values.remove(0))
                    }
                    (false, values) => TableFact::In(
                        vec![position],
                        values.into_iter().map(|value| vec![value]).collect(),
                    ),
                }));
            }
        }
        Access::of(&home.table, &facts)
    }

    /// The constants that a column must equal: one (true), or one of a list.
    fn constants_of(&self, relation: usize, node: &Node) -> Option<(bool, Vec<Constant>)> {
        let relation = self.conditions_of(relation, node.0);
        self.relations[relation].conjuncts.iter().find_map(|conjunct| match &conjunct.fact {
            Fact::Compare(column, Comparison::Equal, value)
                if self.node(relation, column).as_ref() == Some(node) =>
            {
                Some((true, vec![value.clone()]))
            }
            Fact::In(columns, rows)
                if columns.len() == 1
                    && self.node(relation, &columns[0]).as_ref() == Some(node) =>
            {
                Some((false, rows.iter().map(|row| row[0].clone()).collect()))
            }
            _ => None,
        })
    }

    /// The semi-join that finds the table's rows by the primary key, else by an index that holds
    /// all of them.
    fn joined(&self, relation: usize, home: &Home, done: &[Fetch]) -> Option<FetchAccess> {
        let table = &home.table;
        let holds_all = |index: &Index| {
            index.columns[1..].iter().all(|&column| table.table.columns[column].not_null)
        };
        let indexes = (0..table.indexes.len())
            .filter(|&index| table.indexes[index].serves() && holds_all(&table.indexes[index]));
        std::iter::once(None).chain(indexes.map(Some)).find_map(|index| {
            let first = &table.table.columns[table.order_columns(index)[0]];
            let source = self.source(relation, &first.name, done)?;
            Some(FetchAccess::Joined { index, source })
        })
    }

    /// Where a column's values can come from.
    fn source(&self, relation: usize, column: &str, done: &[Fetch]) -> Option<KeySource> {
        let class = self.equal_columns(relation, (relation, column.to_owned()));
        let fetched = class.iter().skip(1).find_map(|(other, name)| {
            let table = &done.iter().find(|fetch| fetch.relation == *other)?.home.table.table;
            let column = table.column(name)?;
            Some(KeySource::Fetched { relation: *other, column })
        });
        fetched.or_else(|| {
            let (other, name) =
                class.iter().skip(1).find(|(other, _)| self.home(*other).is_none())?;
            Some(KeySource::Postgres {
                sql: self.distinct_values(*other, name),
                ty: self.types.get(&(*other, name.clone()))?.clone(),
            })
        })
    }

    /// Which of the tables without a condition to read whole: one whose key isn't the column of
    /// another.
    fn start(&self, open: &[(usize, Arc<Home>)]) -> usize {
        let leads_nowhere = |(relation, home): &(usize, Arc<Home>)| {
            let key = home.table.table.partition_column().name.clone();
            self.equal_columns(*relation, (*relation, key)).len() == 1
        };
        open.iter().position(leads_nowhere).unwrap_or_default()
    }

    /// The values of a relational column under the conditions that concern its table alone.
    /// Dropping a condition only widens the set.
    fn distinct_values(&self, relation: usize, column: &str) -> String {
        let place = &self.relations[relation];
        let own: HashSet<&str> = HashSet::from([place.qualifier()]);
        let conditions: Vec<String> = place
            .conjuncts
            .iter()
            .filter(|conjunct| conjunct.plain && !conjunct.columns.is_empty())
            .filter(|conjunct| {
                conjunct.columns.iter().all(|column| match column.qualifier.as_deref() {
                    Some(qualifier) => own.contains(qualifier),
                    // In a subquery it may be a column of a query around it.
                    None => {
                        place.alone && self.types.contains_key(&(relation, column.name.clone()))
                    }
                })
            })
            .map(|conjunct| format!("({})", conjunct.sql))
            .collect();
        let filter = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        // Without an alias the conditions may name the table with its schema.
        let alias = place
            .alias
            .as_ref()
            .map_or_else(String::new, |alias| format!(" AS {}", quote_identifier(alias)));
        format!(
            "SELECT DISTINCT {}.{} FROM {}{alias}{filter}",
            quote_identifier(place.qualifier()),
            quote_identifier(column),
            place.name.to_sql()
        )
    }
}

fn same_values(left: &TypeInfo, right: &TypeInfo) -> bool {
    let is_integer = |scalar| matches!(scalar, Scalar::Int2 | Scalar::Int4 | Scalar::Int8);
    let is_text = |scalar| matches!(scalar, Scalar::Text | Scalar::Varchar(_));
    let (one, other) = (left.scalar, right.scalar);
    left.oid == right.oid
        || (is_integer(one) && is_integer(other))
        || (is_text(one) && is_text(other))
}
