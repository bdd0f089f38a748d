//! The rows of an INSERT, as far as they are constants.

use sqlparser::ast::{Expr, SetExpr, Statement};

use crate::Constant;
use crate::condition::fold;

/// The rows of INSERT … VALUES.
#[derive(Debug, Clone, PartialEq)]
pub struct Inserted {
    /// The columns, when listed.
    pub columns: Option<Vec<String>>,
    /// Each row's values; `None` where one isn't a constant.
    pub rows: Vec<Vec<Option<Constant>>>,
}

impl Inserted {
    pub(crate) fn of(statement: &Statement) -> Option<Self> {
        let Statement::Insert(insert) = statement else { return None };
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
