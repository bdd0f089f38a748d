//! Statements that a key-value store may answer: one table, plain columns, constants.

use sqlparser::ast::{
    Assignment, AssignmentTarget, BinaryOperator, ConflictTarget, Expr, GroupByExpr, LimitClause, OnConflictAction, OnInsert, OrderByKind,
    OrderBySort, Query, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Statement, TableFactor, WildcardAdditionalOptions,
};

use crate::condition::{Conjunct, fold};
use crate::ranked::{self, Count, Ranked};
use crate::{ColumnRef, Constant, Fact, Relation};

/// A column of the result or of RETURNING.
#[derive(Debug, Clone, PartialEq)]
pub enum Projection {
    /// `*` or `t.*`
    All,
    /// A column.
    Column(ColumnRef),
}

/// One key of ORDER BY.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderKey {
    /// The column.
    pub column: ColumnRef,
    /// DESC
    pub descending: bool,
    /// NULLS FIRST or LAST, when written.
    pub nulls_first: Option<bool>,
}

/// SELECT columns FROM table WHERE conjuncts ORDER BY columns LIMIT constant.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// What is returned.
    pub projection: Vec<Projection>,
    /// All of WHERE.
    pub filter: Vec<Fact>,
    /// All of ORDER BY.
    pub order: Vec<OrderKey>,
    /// LIMIT
    pub limit: Option<Constant>,
    /// OFFSET
    pub offset: Option<Constant>,
}

/// A value of an INSERT.
#[derive(Debug, Clone, PartialEq)]
pub enum InsertValue {
    /// DEFAULT
    Default,
    /// A literal or parameter.
    Constant(Constant),
}

/// What a SET clause makes of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Assigned {
    /// A value.
    Value(Operand),
    /// `column + operand`, or `operand + column`.
    Plus(ColumnRef, Operand),
    /// `column - operand`
    Minus(ColumnRef, Operand),
}

/// What is assigned or added.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A literal or parameter.
    Constant(Constant),
    /// `excluded.column`, in ON CONFLICT DO UPDATE.
    Excluded(String),
}

/// What ON CONFLICT does.
#[derive(Debug, Clone, PartialEq)]
pub enum ConflictAction {
    /// There is no ON CONFLICT.
    Error,
    /// DO NOTHING, with the columns of the conflict target when it has one.
    Nothing(Option<Vec<String>>),
    /// DO UPDATE SET, with the columns of the conflict target.
    Update(Vec<(String, Assigned)>, Vec<String>),
}

/// INSERT INTO table VALUES constants.
#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    /// The columns, when listed.
    pub columns: Option<Vec<String>>,
    /// The rows.
    pub rows: Vec<Vec<InsertValue>>,
    /// ON CONFLICT
    pub on_conflict: ConflictAction,
    /// RETURNING; empty when there is none.
    pub returning: Vec<Projection>,
}

/// UPDATE table SET column = constant, column = column + constant WHERE conjuncts.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// Columns and their new values.
    pub set: Vec<(String, Assigned)>,
    /// All of WHERE.
    pub filter: Vec<Fact>,
    /// RETURNING; empty when there is none.
    pub returning: Vec<Projection>,
}

/// DELETE FROM table WHERE conjuncts.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// All of WHERE.
    pub filter: Vec<Fact>,
    /// RETURNING; empty when there is none.
    pub returning: Vec<Projection>,
}

/// A statement over one table (the only entry of [`crate::Parsed::relations`]) that a key-value store may answer.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each variant holds the struct of its name")]
pub enum Shape {
    Select(Select),
    Count(Count),
    Ranked(Ranked),
    Insert(Insert),
    Update(Update),
    Delete(Delete),
}

impl Shape {
    pub(crate) fn of(statement: &Statement, relations: &[Relation]) -> Option<Self> {
        let [relation] = relations else { return None };
        if relation.renames_columns {
            return None;
        }
        match statement {
            Statement::Query(query) => select(query)
                .map(Self::Select)
                .or_else(|| ranked::count(query).map(Self::Count))
                .or_else(|| ranked::ranked(query).map(Self::Ranked)),
            Statement::Insert(insert) => {
                let plain = insert.or.is_none() && !insert.overwrite && insert.partitioned.is_none() && insert.assignments.is_empty();
                let rows = insert_rows(insert.source.as_deref()?)?;
                let columns = insert
                    .columns
                    .iter()
                    .map(|name| name.0.last()?.as_ident().map(fold))
                    .collect::<Option<Vec<_>>>()?;
                let shape = Insert {
                    columns: (!columns.is_empty()).then_some(columns),
                    rows,
                    on_conflict: conflict(insert.on.as_ref())?,
                    returning: projections(insert.returning.as_deref())?,
                };
                plain.then_some(Self::Insert(shape))
            }
            Statement::Update(update) if update.from.is_none() && update.table.joins.is_empty() => {
                let set = update
                    .assignments
                    .iter()
                    .map(|each| assignment(each, false))
                    .collect::<Option<_>>()?;
                Some(Self::Update(Update {
                    set,
                    filter: facts(update.selection.as_ref())?,
                    returning: projections(update.returning.as_deref())?,
                }))
            }
            Statement::Delete(delete) if delete.using.is_none() => Some(Self::Delete(Delete {
                filter: facts(delete.selection.as_ref())?,
                returning: projections(delete.returning.as_deref())?,
            })),
            _ => None,
        }
    }
}

fn select(query: &Query) -> Option<Select> {
    let SetExpr::Select(select) = &*query.body else {
        return None;
    };
    let [from] = &select.from[..] else {
        return None;
    };
    let TableFactor::Table {
        args: None, sample: None, ..
    } = &from.relation
    else {
        return None;
    };
    let order = order(query)?;
    let (limit, offset) = limit(query)?;
    let projection = projections(Some(&select.projection))?;
    // A bare name in ORDER BY means a result column of that name before it means a column of the table.
    let renamed = |name: &str| {
        select
            .projection
            .iter()
            .any(|item| matches!(item, SelectItem::ExprWithAlias { alias, .. } if fold(alias) == name))
    };
    if order.iter().any(|key| key.column.qualifier.is_none() && renamed(&key.column.name)) {
        return None;
    }
    (from.joins.is_empty() && is_plain(query, select)).then_some(Select {
        projection,
        filter: facts(select.selection.as_ref())?,
        order,
        limit,
        offset,
    })
}

/// Whether a query has nothing but a result list, FROM, WHERE, ORDER BY and LIMIT.
pub(crate) fn is_plain(query: &Query, select: &sqlparser::ast::Select) -> bool {
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, modifiers) if keys.is_empty() && modifiers.is_empty());
    query.with.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty()
        && query.for_clause.is_none()
        && select.distinct.is_none()
        && select.into.is_none()
        && select.having.is_none()
        && select.named_window.is_empty()
        && ungrouped
}

/// ORDER BY, when it names columns.
pub(crate) fn order(query: &Query) -> Option<Vec<OrderKey>> {
    match &query.order_by {
        None => Some(Vec::new()),
        Some(order) => match &order.kind {
            OrderByKind::Expressions(keys) => keys.iter().map(order_key).collect(),
            OrderByKind::All(_) => None,
        },
    }
}

/// LIMIT and OFFSET, when they are constants.
pub(crate) fn limit(query: &Query) -> Option<(Option<Constant>, Option<Constant>)> {
    let constant = |expr: Option<&Expr>| match expr {
        None => Some(None),
        Some(expr) => Constant::of(expr).map(Some),
    };
    match &query.limit_clause {
        None => Some((None, None)),
        Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
            Some((constant(limit.as_ref())?, constant(offset.as_ref().map(|offset| &offset.value))?))
        }
        Some(_) => None,
    }
}

pub(crate) fn order_key(key: &sqlparser::ast::OrderByExpr) -> Option<OrderKey> {
    let descending = match key.options.sort {
        None | Some(OrderBySort::Asc) => false,
        Some(OrderBySort::Desc) => true,
        Some(OrderBySort::Using(_)) => return None,
    };
    Some(OrderKey {
        column: ColumnRef::of(&key.expr)?,
        descending,
        nulls_first: key.options.nulls_first,
    })
}

/// A result list of columns and stars. Aliases don't matter: PostgreSQL names the result's columns.
fn projections(items: Option<&[SelectItem]>) -> Option<Vec<Projection>> {
    items
        .unwrap_or_default()
        .iter()
        .map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => ColumnRef::of(expr).map(Projection::Column),
            SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(_), options) => {
                plain_wildcard(options).then_some(Projection::All)
            }
            _ => None,
        })
        .collect()
}

pub(crate) fn plain_wildcard(options: &WildcardAdditionalOptions) -> bool {
    options.opt_ilike.is_none()
        && options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && options.opt_replace.is_none()
        && options.opt_rename.is_none()
}

/// The facts of a condition when it holds nothing else.
pub(crate) fn facts(selection: Option<&Expr>) -> Option<Vec<Fact>> {
    let mut all: Vec<Conjunct> = Vec::new();
    if let Some(selection) = selection {
        crate::condition::conjuncts(selection, &mut all);
    }
    all.into_iter()
        .map(|conjunct| (conjunct.fact != Fact::Other).then_some(conjunct.fact))
        .collect()
}

fn insert_rows(source: &Query) -> Option<Vec<Vec<InsertValue>>> {
    let plain = source.with.is_none() && source.order_by.is_none() && source.limit_clause.is_none() && source.fetch.is_none();
    let SetExpr::Values(values) = &*source.body else {
        return None;
    };
    let rows = values
        .rows
        .iter()
        .map(|row| row.content.iter().map(insert_value).collect::<Option<Vec<_>>>())
        .collect::<Option<_>>()?;
    plain.then_some(rows)
}

fn insert_value(expr: &Expr) -> Option<InsertValue> {
    match expr {
        Expr::Identifier(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("default") => Some(InsertValue::Default),
        _ => Constant::of(expr).map(InsertValue::Constant),
    }
}

fn conflict(on: Option<&OnInsert>) -> Option<ConflictAction> {
    let on = match on {
        None => return Some(ConflictAction::Error),
        Some(OnInsert::OnConflict(on)) => on,
        Some(_) => return None,
    };
    let target = match &on.conflict_target {
        None => None,
        Some(ConflictTarget::Columns(columns)) => Some(columns.iter().map(fold).collect::<Vec<_>>()),
        Some(ConflictTarget::OnConstraint(_)) => return None,
    };
    match (&on.action, target) {
        (OnConflictAction::DoNothing, target) => Some(ConflictAction::Nothing(target)),
        (OnConflictAction::DoUpdate(update), Some(target)) if update.selection.is_none() => {
            let set = update.assignments.iter().map(|each| assignment(each, true));
            Some(ConflictAction::Update(set.collect::<Option<_>>()?, target))
        }
        _ => None,
    }
}

fn assignment(assignment: &Assignment, on_conflict: bool) -> Option<(String, Assigned)> {
    Some((assigned(assignment)?, value(&assignment.value, on_conflict)?))
}

fn value(expr: &Expr, on_conflict: bool) -> Option<Assigned> {
    let operand = |expr| operand(expr, on_conflict);
    match expr {
        Expr::Nested(inner) => value(inner, on_conflict),
        Expr::BinaryOp { left, op, right } => match (op, operand(left), operand(right)) {
            (BinaryOperator::Plus, None, Some(right)) => Some(Assigned::Plus(ColumnRef::of(left)?, right)),
            (BinaryOperator::Plus, Some(left), None) => Some(Assigned::Plus(ColumnRef::of(right)?, left)),
            (BinaryOperator::Minus, None, Some(right)) => Some(Assigned::Minus(ColumnRef::of(left)?, right)),
            _ => None,
        },
        _ => operand(expr).map(Assigned::Value),
    }
}

fn operand(expr: &Expr, on_conflict: bool) -> Option<Operand> {
    match ColumnRef::of(expr) {
        Some(ColumnRef {
            qualifier: Some(table),
            name,
        }) if on_conflict && table == "excluded" => Some(Operand::Excluded(name)),
        Some(_) => None,
        None => Constant::of(expr).map(Operand::Constant),
    }
}

fn assigned(assignment: &Assignment) -> Option<String> {
    match &assignment.target {
        // `SET column.field` is a field of a composite, not a column of a table.
        AssignmentTarget::ColumnName(name) if name.0.len() == 1 => name.0[0].as_ident().map(fold),
        _ => None,
    }
}
