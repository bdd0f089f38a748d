//! Conditions by which a row is found in a subquery: `column IN (SELECT …)`, `column = ANY (SELECT
//! …)`, `EXISTS (SELECT … WHERE … = column)`.

use crate::condition::{Conjunct, conjuncts};
use crate::fact::{ColumnRef, Fact};
use crate::name::{Place, RelationName};
use crate::syntax::{
    Factor, Item, Kind, Node, Operator, Select, binary, call, is_query, only_inside, word,
};

/// What such a condition says, when it holds.
pub(crate) fn facts(expr: Node<'_>) -> Vec<Fact> {
    if let Some(exists) = call(expr, Kind::EXISTS_FN) {
        return only_inside(exists).and_then(self::exists).unwrap_or_default();
    }
    let found = match binary(expr) {
        Some((left, Operator::In, right)) if right.is(Kind::PAREN_EXPR) => in_query(left, right),
        Some((left, Operator::Equal, right)) => call(right, Kind::ANY_FN)
            .or_else(|| call(right, Kind::SOME_FN))
            .and_then(|any| in_query(left, any)),
        _ => None,
    };
    found.into_iter().collect()
}

/// `around` is what holds the query.
fn in_query(left: Node<'_>, around: Node<'_>) -> Option<Fact> {
    let column = ColumnRef::of(left)?;
    let select = Select::of(only_inside(around).filter(|inner| is_query(*inner))?)?;
    let [item] = &select.targets()[..] else { return None };
    let inner = ColumnRef::of(item.expr?)?;
    let from = select.from()?;
    let relation = owner(&from, &inner)?;
    // Where every row counts for itself, the others may as well be absent.
    let row_by_row = names(&from).filter(|_| is_row_by_row(select));
    Some(Fact::Member { column, inner, relation, row_by_row })
}

fn is_row_by_row(select: Select<'_>) -> bool {
    let others = [
        Kind::GROUP_BY_CLAUSE,
        Kind::HAVING_CLAUSE,
        Kind::LIMIT_CLAUSE,
        Kind::OFFSET_CLAUSE,
        Kind::FETCH_CLAUSE,
    ];
    !others.iter().any(|clause| select.has(*clause))
        && !select.distinct().is_some_and(|distinct| distinct.has(Kind::DISTINCT_ON))
}

/// Whether an item of SELECT calls a function.
fn computes(select: Select<'_>) -> bool {
    let targets = select.targets();
    let mut exprs = targets.iter().filter_map(|target| target.expr);
    exprs.any(|expr| expr.all().any(|node| node.is(Kind::CALL_EXPR)))
}

/// What conditions on the columns of a subquery in FROM say of the rows in it: for each, the table
/// whose rows they are.
pub(crate) fn within(
    subquery: Node<'_>,
    alias: &str,
    alone: bool,
    conditions: &[Conjunct],
) -> Vec<(Place, Conjunct)> {
    let Some(select) = Select::of(subquery) else {
        return Vec::new();
    };
    // An aggregate or a window function looks at other rows.
    if !is_row_by_row(select) || computes(select) {
        return Vec::new();
    }
    let Some(from) = select.from() else {
        return Vec::new();
    };
    let Some(names) = names(&from) else {
        return Vec::new();
    };
    let targets = select.targets();
    let inner = |column: &ColumnRef| {
        if !column.qualifier.as_deref().map_or(alone, |qualifier| qualifier == alias) {
            return None;
        }
        let inner = targets.iter().find_map(|item| match (item.expr, item.name) {
            (Some(expr), None) => {
                ColumnRef::of(expr).filter(|each| each.name == column.name).map(Some)
            }
            (Some(expr), Some(name)) => {
                (word(name).as_ref() == Some(&column.name)).then(|| ColumnRef::of(expr))
            }
            _ => None,
        })??;
        Some((owner(&from, &inner)?, inner))
    };
    let implied = |fact| Conjunct { fact, sql: String::new(), columns: Vec::new(), plain: false };
    let mut found = Vec::new();
    for condition in conditions {
        match &condition.fact {
            Fact::Compare(column, comparison, value) => {
                found.extend(inner(column).map(|(place, column)| {
                    (place, implied(Fact::Compare(column, *comparison, value.clone())))
                }));
            }
            Fact::In(columns, rows) if columns.len() == 1 => {
                found.extend(
                    inner(&columns[0]).map(|(place, column)| {
                        (place, implied(Fact::In(vec![column], rows.clone())))
                    }),
                );
            }
            Fact::Same(left, right) => {
                for (one, other) in [(left, right), (right, left)] {
                    // A name that means something else in there can't be used.
                    if other
                        .qualifier
                        .as_ref()
                        .is_some_and(|qualifier| qualifier != alias && !names.contains(qualifier))
                    {
                        found.extend(inner(one).map(|(place, column)| {
                            (place, implied(Fact::Same(column, other.clone())))
                        }));
                    }
                }
            }
            _ => {}
        }
    }
    found
}

fn exists(query: Node<'_>) -> Option<Vec<Fact>> {
    let select = Select::of(query)?;
    // An aggregate gives a row even where there is none.
    if select.has(Kind::HAVING_CLAUSE) || computes(select) {
        return None;
    }
    let from = select.from()?;
    let names = names(&from)?;
    let mut conditions = Vec::new();
    conjuncts(select.condition()?, &mut conditions);
    let is_outer = |column: &ColumnRef| {
        column.qualifier.as_ref().is_some_and(|qualifier| !names.contains(qualifier))
    };
    let mut facts = Vec::new();
    for condition in conditions {
        let Fact::Same(left, right) = condition.fact else { continue };
        let (column, inner) = match (is_outer(&left), is_outer(&right)) {
            (true, false) => (left, right),
            (false, true) => (right, left),
            _ => continue,
        };
        if let Some(relation) = owner(&from, &inner) {
            facts.push(Fact::Member {
                column,
                inner,
                relation,
                // The subquery says it itself of its rows.
                row_by_row: None,
            });
        }
    }
    Some(facts)
}

/// The table of the subquery's FROM whose column it is, when that is certain.
fn owner(from: &[Item<'_>], column: &ColumnRef) -> Option<Place> {
    let mut factors = factors(from).into_iter();
    let factor = match &column.qualifier {
        Some(qualifier) => factors.find(|factor| name(factor).as_ref() == Some(qualifier))?,
        None => {
            let only = factors.next()?;
            if factors.next().is_some() {
                return None;
            }
            only
        }
    };
    match factor {
        Factor::Table { name, .. } => Some(Place::of(*name)),
        _ => None,
    }
}

fn factors<'f, 't>(from: &'f [Item<'t>]) -> Vec<&'f Factor<'t>> {
    let mut found = Vec::new();
    for item in from {
        for factor in std::iter::once(&item.first).chain(item.joins.iter().map(|join| &join.factor))
        {
            match factor {
                Factor::Nested(item) => found.extend(factors(std::slice::from_ref(item))),
                factor => found.push(factor),
            }
        }
    }
    found
}

/// The names by which columns refer to what stands in a FROM; `None` when one of them isn't known.
pub(crate) fn names(from: &[Item<'_>]) -> Option<Vec<String>> {
    factors(from).into_iter().map(name).collect()
}

fn name(factor: &Factor<'_>) -> Option<String> {
    let (Factor::Table { alias, .. } | Factor::Derived { alias, .. } | Factor::Other { alias }) =
        factor
    else {
        return None;
    };
    match (alias.as_ref().and_then(|alias| alias.name.clone()), factor) {
        (Some(alias), _) => Some(alias),
        (None, Factor::Table { name, .. }) => RelationName::of(*name).map(|name| name.name),
        _ => None,
    }
}
