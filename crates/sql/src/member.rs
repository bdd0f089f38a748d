//! Conditions by which a row is found in a subquery: `column IN (SELECT …)`, `column = ANY (SELECT …)`, `EXISTS (SELECT … WHERE … = column)`.

use sqlparser::ast::{BinaryOperator, Expr, GroupByExpr, Query, Select, SelectItem, SetExpr, TableFactor, TableWithJoins};

use crate::condition::{ColumnRef, Conjunct, Fact, conjuncts, fold};
use crate::relation::Place;

/// What such a condition says, when it holds.
pub(crate) fn facts(expr: &Expr) -> Vec<Fact> {
    match expr {
        Expr::InSubquery {
            expr,
            subquery,
            negated: false,
        } => in_query(expr, subquery).into_iter().collect(),
        Expr::AnyOp {
            left,
            compare_op: BinaryOperator::Eq,
            right,
            ..
        } => {
            let mut right = &**right;
            while let Expr::Nested(inner) = right {
                right = inner;
            }
            match right {
                Expr::Subquery(query) => in_query(left, query).into_iter().collect(),
                _ => Vec::new(),
            }
        }
        Expr::Exists { subquery, negated: false } => exists(subquery).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn in_query(left: &Expr, query: &Query) -> Option<Fact> {
    let column = ColumnRef::of(left)?;
    let SetExpr::Select(select) = &*query.body else {
        return None;
    };
    let [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }] = &select.projection[..] else {
        return None;
    };
    let inner = ColumnRef::of(item)?;
    let relation = owner(select, &inner)?;
    // Where every row counts for itself, the others may as well be absent.
    let row_by_row = names(&select.from).filter(|_| is_row_by_row(query, select));
    Some(Fact::Member {
        column,
        inner,
        relation,
        row_by_row,
    })
}

fn is_row_by_row(query: &Query, select: &Select) -> bool {
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, modifiers) if keys.is_empty() && modifiers.is_empty());
    ungrouped
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && !matches!(select.distinct, Some(sqlparser::ast::Distinct::On(_)))
        && select.having.is_none()
}

/// Whether an item of SELECT calls a function.
fn computes(item: &SelectItem) -> bool {
    let found = sqlparser::ast::visit_expressions(item, |each| match each {
        Expr::Function(_) => std::ops::ControlFlow::Break(()),
        _ => std::ops::ControlFlow::Continue(()),
    });
    found.is_break()
}

/// What conditions on the columns of a subquery in FROM say of the rows in it: for each, the table whose rows they are.
pub(crate) fn within(subquery: &Query, alias: &str, alone: bool, conditions: &[Conjunct]) -> Vec<(Place, Conjunct)> {
    let SetExpr::Select(select) = &*subquery.body else {
        return Vec::new();
    };
    // An aggregate or a window function looks at other rows.
    if !is_row_by_row(subquery, select) || select.projection.iter().any(computes) {
        return Vec::new();
    }
    let Some(names) = names(&select.from) else {
        return Vec::new();
    };
    let inner = |column: &ColumnRef| {
        if !column.qualifier.as_deref().map_or(alone, |qualifier| qualifier == alias) {
            return None;
        }
        let inner = select.projection.iter().find_map(|item| match item {
            SelectItem::UnnamedExpr(expr) => ColumnRef::of(expr).filter(|each| each.name == column.name).map(Some),
            SelectItem::ExprWithAlias { expr, alias } => (fold(alias) == column.name).then(|| ColumnRef::of(expr)),
            _ => None,
        })??;
        Some((owner(select, &inner)?, inner))
    };
    let implied = |fact| Conjunct {
        fact,
        sql: String::new(),
        columns: Vec::new(),
        plain: false,
    };
    let mut found = Vec::new();
    for condition in conditions {
        match &condition.fact {
            Fact::Compare(column, comparison, value) => {
                found.extend(inner(column).map(|(place, column)| (place, implied(Fact::Compare(column, *comparison, value.clone())))));
            }
            Fact::In(columns, rows) if columns.len() == 1 => {
                found.extend(inner(&columns[0]).map(|(place, column)| (place, implied(Fact::In(vec![column], rows.clone())))));
            }
            Fact::Same(left, right) => {
                for (one, other) in [(left, right), (right, left)] {
                    // A name that means something else in there can't be used.
                    if other
                        .qualifier
                        .as_ref()
                        .is_some_and(|qualifier| qualifier != alias && !names.contains(qualifier))
                    {
                        found.extend(inner(one).map(|(place, column)| (place, implied(Fact::Same(column, other.clone())))));
                    }
                }
            }
            _ => {}
        }
    }
    found
}

fn exists(query: &Query) -> Option<Vec<Fact>> {
    let SetExpr::Select(select) = &*query.body else {
        return None;
    };
    // An aggregate gives a row even where there is none.
    if select.having.is_some() || select.projection.iter().any(computes) || !matches!(&select.group_by, GroupByExpr::Expressions(..)) {
        return None;
    }
    let names = names(&select.from)?;
    let mut conditions = Vec::new();
    conjuncts(select.selection.as_ref()?, &mut conditions);
    let is_outer = |column: &ColumnRef| column.qualifier.as_ref().is_some_and(|qualifier| !names.contains(qualifier));
    let mut facts = Vec::new();
    for condition in conditions {
        let Fact::Same(left, right) = condition.fact else { continue };
        let (column, inner) = match (is_outer(&left), is_outer(&right)) {
            (true, false) => (left, right),
            (false, true) => (right, left),
            _ => continue,
        };
        if let Some(relation) = owner(select, &inner) {
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
fn owner(select: &Select, column: &ColumnRef) -> Option<Place> {
    let mut factors = factors(&select.from).into_iter();
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
        TableFactor::Table { name, args: None, .. } => Place::of(name),
        _ => None,
    }
}

fn factors(from: &[TableWithJoins]) -> Vec<&TableFactor> {
    let mut found = Vec::new();
    for item in from {
        for factor in std::iter::once(&item.relation).chain(item.joins.iter().map(|join| &join.relation)) {
            match factor {
                TableFactor::NestedJoin {
                    table_with_joins,
                    alias: None,
                } => found.extend(factors(std::slice::from_ref(table_with_joins))),
                factor => found.push(factor),
            }
        }
    }
    found
}

/// The names by which columns refer to what stands in a FROM; `None` when one of them isn't known.
pub(crate) fn names(from: &[TableWithJoins]) -> Option<Vec<String>> {
    factors(from).into_iter().map(name).collect()
}

fn name(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => Some(fold(&alias.name)),
        TableFactor::Table { name, .. } => name.0.last()?.as_ident().map(fold),
        _ => None,
    }
}
