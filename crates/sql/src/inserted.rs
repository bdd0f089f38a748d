//! The rows of an INSERT, as far as they are constants.

use sqlparser::ast::{Expr, Insert, Query, SetExpr, Statement};

use crate::Constant;
use crate::condition::fold;

/// Whether one of a statement's INSERTs has an ON CONFLICT clause.
pub(crate) fn on_conflict(statement: &Statement) -> bool {
    inserts(statement).iter().any(|insert| insert.on.is_some())
}

/// The INSERTs at a statement's head, behind its WITH, and in it.
fn inserts(statement: &Statement) -> Vec<&Insert> {
    let mut inserts = Vec::new();
    find(statement, &mut inserts);
    inserts
}

fn find<'s>(statement: &'s Statement, inserts: &mut Vec<&'s Insert>) {
    match statement {
        Statement::Insert(insert) => {
            inserts.push(insert);
            insert.source.iter().for_each(|source| find_in(source, inserts));
        }
        Statement::Query(query) => find_in(query, inserts),
        _ => {}
    }
}

fn find_in<'s>(query: &'s Query, inserts: &mut Vec<&'s Insert>) {
    if let SetExpr::Insert(inner) | SetExpr::Update(inner) | SetExpr::Delete(inner) = &*query.body {
        find(inner, inserts);
    }
    let tables = query.with.iter().flat_map(|with| &with.cte_tables);
    tables.for_each(|table| find_in(&table.query, inserts));
}

/// The rows of INSERT … VALUES.
#[derive(Debug, Clone, PartialEq)]
pub struct Inserted {
    /// The columns, when listed.
    pub columns: Option<Vec<String>>,
    /// Each row's values; `None` where one isn't a constant.
    pub rows: Vec<Vec<Option<Constant>>>,
}

impl Inserted {
    /// The rows of the statement's only INSERT.
    pub(crate) fn of(statement: &Statement) -> Option<Self> {
        let [insert] = inserts(statement)[..] else { return None };
        let SetExpr::Values(values) = &*insert.source.as_deref()?.body else {
            return None;
        };
        let columns = insert.columns.iter().map(|name| name.0.last()?.as_ident().map(fold));
        let columns = columns.collect::<Option<Vec<_>>>()?;
        let constant = |expr: &Expr| Constant::of(expr);
        Some(Self {
            columns: (!columns.is_empty()).then_some(columns),
            rows: values.rows.iter().map(|row| row.content.iter().map(constant).collect()).collect(),
        })
    }
}
