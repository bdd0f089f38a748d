//! SELECTs over one table that count its rows or rank them by a column.

use crate::shape::{facts, is_all, is_table, limit, order, order_keys};
use crate::syntax::{Factor, Kind, Node, Operator, Select, bare, binary, word};
use crate::{ColumnRef, Constant, Fact, OrderKey};

/// SELECT count(*) + constant FROM table WHERE conjuncts.
#[derive(Debug, Clone, PartialEq)]
pub struct Count {
    /// What is added to the count.
    pub plus: i64,
    /// All of WHERE.
    pub filter: Vec<Fact>,
}

/// How rows are numbered in the order of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranking {
    /// `rank()`: one more than there are rows ahead.
    Rank,
    /// `dense_rank()`: one more than there are values ahead.
    DenseRank,
    /// `row_number()`
    RowNumber,
}

/// A column of the result.
#[derive(Debug, Clone, PartialEq)]
pub enum RankedItem {
    /// `*`: the table's columns.
    All,
    /// A column.
    Column(ColumnRef),
    /// A ranking function over the one window.
    Ranking(Ranking),
}

/// SELECT columns, rank() OVER (PARTITION BY column ORDER BY column) FROM table WHERE conjuncts
/// ORDER BY the rank LIMIT constant, or those of its rows that further conditions leave: `SELECT …
/// FROM (SELECT …, rank() OVER …) WHERE …`.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// What is returned.
    pub projection: Vec<RankedItem>,
    /// The conditions on the rows that are ranked.
    pub filter: Vec<Fact>,
    /// PARTITION BY
    pub partition: Option<ColumnRef>,
    /// The window's ORDER BY.
    pub by: OrderKey,
    /// The conditions on ranked rows, when there is a query around.
    pub of: Option<Vec<Fact>>,
    /// LIMIT
    pub limit: Option<Constant>,
    /// OFFSET
    pub offset: Option<Constant>,
}

pub(crate) fn count(query: Select<'_>) -> Option<Count> {
    let [target] = &query.targets()[..] else { return None };
    let item = target.expr?;
    let plus = match binary(item) {
        Some((left, Operator::Plus, right)) => match (is_count(left), is_count(right)) {
            (true, false) => number(right)?,
            (false, true) => number(left)?,
            _ => return None,
        },
        None if is_count(item) => 0,
        _ => return None,
    };
    let plain = query.is_plain() && is_table(query) && !is_ordered(query);
    plain.then_some(Count { plus, filter: facts(query.condition())? })
}

/// Whether it has ORDER BY, LIMIT or OFFSET.
fn is_ordered(query: Select<'_>) -> bool {
    let clauses = [Kind::ORDER_BY_CLAUSE, Kind::LIMIT_CLAUSE, Kind::OFFSET_CLAUSE];
    clauses.into_iter().any(|clause| query.has(clause))
}

/// An `integer`, so that the sum is a `bigint`.
fn number(expr: Node<'_>) -> Option<i64> {
    match Constant::of(expr)? {
        Constant::Number(digits) => digits.parse::<i32>().ok().map(Into::into),
        _ => None,
    }
}

fn is_count(expr: Node<'_>) -> bool {
    let Some(arguments) = plain_call(expr, "count", &[]) else {
        return false;
    };
    arguments.children().map(Node::kind).eq([Kind::L_PAREN, Kind::STAR, Kind::R_PAREN])
}

/// The arguments of a call of this function without clauses but those that may stand behind it.
fn plain_call<'t>(expr: Node<'t>, name: &str, clauses: &[Kind]) -> Option<Node<'t>> {
    let mut parts = expr.is(Kind::CALL_EXPR).then(|| expr.nodes())?;
    let function = parts.next().filter(|function| function.is(Kind::NAME_REF))?;
    let arguments = parts.next().filter(|arguments| arguments.is(Kind::ARG_LIST))?;
    let is_plain = word(function)? == name && parts.all(|clause| clauses.contains(&clause.kind()));
    is_plain.then_some(arguments)
}

/// One column of the ranked rows, under its name.
struct Output {
    name: Option<String>,
    item: RankedItem,
}

pub(crate) fn ranked(query: Select<'_>) -> Option<Ranked> {
    if is_table(query) {
        return rows(query).map(|(ranked, _)| ranked);
    }
    let from = query.from()?;
    let [from] = &from[..] else { return None };
    let Factor::Derived { query: subquery, alias, is_lateral: false } = &from.first else {
        return None;
    };
    if !from.joins.is_empty() || !query.is_plain() || is_ordered(query) {
        return None;
    }
    // Names of its own for the columns aren't followed.
    if alias.as_ref().is_some_and(|alias| alias.renames) {
        return None;
    }
    let alias = alias.as_ref().and_then(|alias| alias.name.clone());
    let (inner, outputs) = rows(Select::of(bare(*subquery))?)?;
    if inner.limit.is_some() || inner.offset.is_some() {
        return None;
    }
    let output = |column: &ColumnRef| {
        if column.qualifier.is_some() && column.qualifier != alias {
            return None;
        }
        let mut named = outputs.iter().filter(|output| output.name.as_ref() == Some(&column.name));
        let passed = || ColumnRef { qualifier: None, name: column.name.clone() };
        match (
            named.next(),
            named.next(),
            outputs.iter().any(|output| output.item == RankedItem::All),
        ) {
            (Some(output), None, false) => Some(output.item.clone()),
            // Beside a star the name may stand twice: only what the star can't have is certain.
            (Some(output), None, true) if matches!(output.item, RankedItem::Ranking(_)) => {
                Some(output.item.clone())
            }
            (None, _, true) => Some(RankedItem::Column(passed())),
            _ => None,
        }
    };
    let mut projection = Vec::new();
    for target in query.targets() {
        match target.expr {
            Some(expr) => projection.push(output(&ColumnRef::of(expr)?)?),
            None => projection.extend(outputs.iter().map(|output| output.item.clone())),
        }
    }
    let column = |column: &ColumnRef| match output(column)? {
        RankedItem::Column(column) => Some(column),
        _ => None,
    };
    let of = facts(query.condition())?
        .into_iter()
        .map(|fact| match fact {
            Fact::Compare(name, comparison, value) => {
                Some(Fact::Compare(column(&name)?, comparison, value))
            }
            Fact::In(names, values) => {
                Some(Fact::In(names.iter().map(column).collect::<Option<_>>()?, values))
            }
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Ranked { projection, of: Some(of), ..inner })
}

/// Ranked rows of a table, and the names of the result's columns.
fn rows(query: Select<'_>) -> Option<(Ranked, Vec<Output>)> {
    if !is_table(query) || !query.is_plain() {
        return None;
    }
    let mut window: Option<(Option<ColumnRef>, OrderKey)> = None;
    let mut outputs = Vec::new();
    for target in query.targets() {
        let expr = match target.expr {
            Some(expr) if !is_all(expr) => expr,
            _ => {
                outputs.push(Output { name: None, item: RankedItem::All });
                continue;
            }
        };
        let alias = match target.name {
            Some(name) => Some(word(name)?),
            None => None,
        };
        if let Some(column) = ColumnRef::of(expr) {
            outputs.push(Output {
                name: Some(alias.unwrap_or_else(|| column.name.clone())),
                item: RankedItem::Column(column),
            });
            continue;
        }
        let (ranking, name, partition, by) = ranking(expr)?;
        if window.as_ref().is_some_and(|window| *window != (partition.clone(), by.clone())) {
            return None;
        }
        window = Some((partition, by));
        outputs.push(Output {
            name: Some(alias.unwrap_or_else(|| name.to_owned())),
            item: RankedItem::Ranking(ranking),
        });
    }
    let (partition, by) = window?;
    let is_ordered = |key: &OrderKey| {
        // A bare name means a result column of that name before it means a column of the table.
        let result = outputs.iter().find(|output| {
            key.column.qualifier.is_none() && output.name.as_ref() == Some(&key.column.name)
        });
        match result.map(|output| &output.item) {
            Some(RankedItem::Ranking(_)) => !key.descending,
            Some(RankedItem::Column(column)) => {
                column.name == by.column.name && key.descending == by.descending
            }
            _ => key.column.name == by.column.name && key.descending == by.descending,
        }
    };
    // What comes behind the first key decides among equals, of which the order here isn't known.
    match &order(query)?[..] {
        [] => {}
        [key] if is_ordered(key) => {}
        _ => return None,
    }
    let (limit, offset) = limit(query)?;
    let ranked = Ranked {
        projection: outputs.iter().map(|output| output.item.clone()).collect(),
        filter: facts(query.condition())?,
        partition,
        by,
        of: None,
        limit,
        offset,
    };
    Some((ranked, outputs))
}

fn ranking(expr: Node<'_>) -> Option<(Ranking, &'static str, Option<ColumnRef>, OrderKey)> {
    let functions = [
        ("rank", Ranking::Rank),
        ("dense_rank", Ranking::DenseRank),
        ("row_number", Ranking::RowNumber),
    ];
    let called = |name| plain_call(expr, name, &[Kind::OVER_CLAUSE]);
    let (name, ranking, arguments) =
        functions.into_iter().find_map(|(name, ranking)| Some((name, ranking, called(name)?)))?;
    let window = expr.child(Kind::OVER_CLAUSE)?.child(Kind::OVER_WINDOW_SPEC)?;
    // A named window to begin with, or a frame, isn't followed.
    let window = window.child(Kind::WINDOW_SPEC).unwrap_or(window);
    let known = [Kind::PARTITION_BY_CLAUSE, Kind::ORDER_BY_CLAUSE];
    let plain = arguments.nodes().next().is_none()
        && !arguments.has(Kind::STAR)
        && window.nodes().all(|clause| known.contains(&clause.kind()));
    let partition = match window.child(Kind::PARTITION_BY_CLAUSE) {
        None => None,
        Some(clause) => Some(partition(clause)?),
    };
    let [by] = &order_keys(window.child(Kind::ORDER_BY_CLAUSE)?)?[..] else {
        return None;
    };
    plain.then(|| (ranking, name, partition, by.clone()))
}

/// PARTITION BY one column.
fn partition(clause: Node<'_>) -> Option<ColumnRef> {
    let mut columns = clause.nodes();
    let column = columns.next()?;
    if columns.next().is_some() { None } else { ColumnRef::of(column) }
}
