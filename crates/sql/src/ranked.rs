//! SELECTs over one table that count its rows or rank them by a column.

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, SelectItem, SelectItemQualifiedWildcardKind,
    SetExpr, TableFactor, WindowType,
};

use crate::condition::fold;
use crate::shape::{facts, is_plain, limit, order, order_key, plain_wildcard};
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

/// SELECT columns, rank() OVER (PARTITION BY column ORDER BY column) FROM table WHERE conjuncts ORDER BY the rank LIMIT constant, or those of
/// its rows that further conditions leave: `SELECT … FROM (SELECT …, rank() OVER …) WHERE …`.
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

pub(crate) fn count(query: &Query) -> Option<Count> {
    let SetExpr::Select(select) = &*query.body else {
        return None;
    };
    let [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }] = &select.projection[..] else {
        return None;
    };
    let plus = match item {
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Plus,
            right,
        } => match (is_count(left), is_count(right)) {
            (true, false) => number(right)?,
            (false, true) => number(left)?,
            _ => return None,
        },
        item if is_count(item) => 0,
        _ => return None,
    };
    let plain = is_plain(query, select) && is_table(query) && query.order_by.is_none() && query.limit_clause.is_none();
    plain.then_some(Count {
        plus,
        filter: facts(select.selection.as_ref())?,
    })
}

/// An `integer`, so that the sum is a `bigint`.
fn number(expr: &Expr) -> Option<i64> {
    match Constant::of(expr)? {
        Constant::Number(digits) => digits.parse::<i32>().ok().map(Into::into),
        _ => None,
    }
}

fn is_count(expr: &Expr) -> bool {
    let Expr::Function(function) = expr else { return false };
    let FunctionArguments::List(list) = &function.args else {
        return false;
    };
    let star = matches!(&list.args[..], [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]);
    star && list.duplicate_treatment.is_none() && list.clauses.is_empty() && function.over.is_none() && is_call(function, "count")
}

/// Whether it is a plain call of this function.
fn is_call(function: &Function, name: &str) -> bool {
    let [part] = &function.name.0[..] else { return false };
    part.as_ident().is_some_and(|ident| fold(ident) == name)
        && !function.uses_odbc_syntax
        && matches!(function.parameters, FunctionArguments::None)
        && function.filter.is_none()
        && function.null_treatment.is_none()
        && function.within_group.is_empty()
}

fn is_table(query: &Query) -> bool {
    let SetExpr::Select(select) = &*query.body else {
        return false;
    };
    matches!(&select.from[..], [from] if from.joins.is_empty() && matches!(from.relation, TableFactor::Table { args: None, sample: None, .. }))
}

/// One column of the ranked rows, under its name.
struct Output {
    name: Option<String>,
    item: RankedItem,
}

pub(crate) fn ranked(query: &Query) -> Option<Ranked> {
    let SetExpr::Select(select) = &*query.body else {
        return None;
    };
    if is_table(query) {
        return rows(query).map(|(ranked, _)| ranked);
    }
    let [from] = &select.from[..] else { return None };
    let TableFactor::Derived {
        lateral: false,
        subquery,
        alias,
        sample: None,
    } = &from.relation
    else {
        return None;
    };
    if !from.joins.is_empty() || !is_plain(query, select) || query.order_by.is_some() || query.limit_clause.is_some() {
        return None;
    }
    // Names of its own for the columns aren't followed.
    if alias.as_ref().is_some_and(|alias| !alias.columns.is_empty()) {
        return None;
    }
    let alias = alias.as_ref().map(|alias| fold(&alias.name));
    let (inner, outputs) = rows(subquery)?;
    if inner.limit.is_some() || inner.offset.is_some() {
        return None;
    }
    let output = |column: &ColumnRef| {
        if column.qualifier.is_some() && column.qualifier != alias {
            return None;
        }
        let mut named = outputs.iter().filter(|output| output.name.as_ref() == Some(&column.name));
        let passed = || ColumnRef {
            qualifier: None,
            name: column.name.clone(),
        };
        match (
            named.next(),
            named.next(),
            outputs.iter().any(|output| output.item == RankedItem::All),
        ) {
            (Some(output), None, false) => Some(output.item.clone()),
            // Beside a star the name may stand twice: only what the star can't have is certain.
            (Some(output), None, true) if matches!(output.item, RankedItem::Ranking(_)) => Some(output.item.clone()),
            (None, _, true) => Some(RankedItem::Column(passed())),
            _ => None,
        }
    };
    let mut projection = Vec::new();
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => projection.push(output(&ColumnRef::of(expr)?)?),
            SelectItem::Wildcard(options) if plain_wildcard(options) => projection.extend(outputs.iter().map(|output| output.item.clone())),
            _ => return None,
        }
    }
    let column = |column: &ColumnRef| match output(column)? {
        RankedItem::Column(column) => Some(column),
        _ => None,
    };
    let of = facts(select.selection.as_ref())?
        .into_iter()
        .map(|fact| match fact {
            Fact::Compare(name, comparison, value) => Some(Fact::Compare(column(&name)?, comparison, value)),
            Fact::In(names, values) => Some(Fact::In(names.iter().map(column).collect::<Option<_>>()?, values)),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Ranked {
        projection,
        of: Some(of),
        ..inner
    })
}

/// Ranked rows of a table, and the names of the result's columns.
fn rows(query: &Query) -> Option<(Ranked, Vec<Output>)> {
    let SetExpr::Select(select) = &*query.body else {
        return None;
    };
    if !is_table(query) || !is_plain(query, select) {
        return None;
    }
    let mut window: Option<(Option<ColumnRef>, OrderKey)> = None;
    let mut outputs = Vec::new();
    for item in &select.projection {
        let (expr, alias) = match item {
            SelectItem::UnnamedExpr(expr) => (expr, None),
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(fold(alias))),
            SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(_), options)
                if plain_wildcard(options) =>
            {
                outputs.push(Output {
                    name: None,
                    item: RankedItem::All,
                });
                continue;
            }
            _ => return None,
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
        let result = outputs
            .iter()
            .find(|output| key.column.qualifier.is_none() && output.name.as_ref() == Some(&key.column.name));
        match result.map(|output| &output.item) {
            Some(RankedItem::Ranking(_)) => !key.descending,
            Some(RankedItem::Column(column)) => column.name == by.column.name && key.descending == by.descending,
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
        filter: facts(select.selection.as_ref())?,
        partition,
        by,
        of: None,
        limit,
        offset,
    };
    Some((ranked, outputs))
}

fn ranking(expr: &Expr) -> Option<(Ranking, &'static str, Option<ColumnRef>, OrderKey)> {
    let Expr::Function(function) = expr else { return None };
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let Some(WindowType::WindowSpec(window)) = &function.over else {
        return None;
    };
    let functions = [
        ("rank", Ranking::Rank),
        ("dense_rank", Ranking::DenseRank),
        ("row_number", Ranking::RowNumber),
    ];
    let (name, ranking) = functions.into_iter().find(|(name, _)| is_call(function, name))?;
    let plain = list.args.is_empty()
        && list.duplicate_treatment.is_none()
        && list.clauses.is_empty()
        && window.window_name.is_none()
        && window.window_frame.is_none();
    let partition = match &window.partition_by[..] {
        [] => None,
        [column] => Some(ColumnRef::of(column)?),
        _ => return None,
    };
    let [by] = &window.order_by[..] else { return None };
    plain.then_some((ranking, name, partition, order_key(by)?))
}
