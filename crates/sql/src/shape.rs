//! Statements that a key-value store may answer: one table, plain columns, constants.

use crate::condition::Conjunct;
use crate::inserted;
use crate::ranked::{self, Count, Ranked};
use crate::syntax::{
    Factor, Kind, Node, Operator, Select as Query, Target, binary, condition, targets, unparen,
    word,
};
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

/// A statement over one table (the only entry of [`crate::Parsed::relations`]) that a key-value
/// store may answer.
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
    pub(crate) fn of(statement: Node<'_>, relations: &[Relation]) -> Option<Self> {
        let [relation] = relations else { return None };
        if relation.renames_columns || relation.is_query || statement.has(Kind::WITH_CLAUSE) {
            return None;
        }
        match statement.kind() {
            Kind::SELECT => {
                let query = Query::of(statement)?;
                select(query)
                    .map(Self::Select)
                    .or_else(|| ranked::count(query).map(Self::Count))
                    .or_else(|| ranked::ranked(query).map(Self::Ranked))
            }
            Kind::INSERT => insert(statement).map(Self::Insert),
            Kind::UPDATE if !statement.has(Kind::FROM_CLAUSE) && is_searched(statement) => {
                Some(Self::Update(Update {
                    set: assignments(statement.child(Kind::SET_CLAUSE)?, false)?,
                    filter: facts(condition(statement))?,
                    returning: returning(statement)?,
                }))
            }
            Kind::DELETE if !statement.has(Kind::USING_CLAUSE) && is_searched(statement) => {
                Some(Self::Delete(Delete {
                    filter: facts(condition(statement))?,
                    returning: returning(statement)?,
                }))
            }
            _ => None,
        }
    }
}

/// Not WHERE CURRENT OF, and not for a portion of time.
pub(crate) fn is_searched(statement: Node<'_>) -> bool {
    !statement.has(Kind::WHERE_CURRENT_OF) && !statement.has(Kind::FOR_PORTION_OF)
}

fn select(query: Query<'_>) -> Option<Select> {
    let order = order(query)?;
    let (limit, offset) = limit(query)?;
    let targets = query.targets();
    let projection = projections(&targets)?;
    // A bare name in ORDER BY means a result column of that name before it means a column of the
    // table.
    let renamed = |name: &str| {
        let mut names = targets.iter().filter_map(|target| target.name);
        names.any(|each| word(each).as_deref() == Some(name))
    };
    if order.iter().any(|key| key.column.qualifier.is_none() && renamed(&key.column.name)) {
        return None;
    }
    (query.is_plain() && is_table(query)).then_some(Select {
        projection,
        filter: facts(query.condition())?,
        order,
        limit,
        offset,
    })
}

/// Whether its FROM is a table and nothing else.
pub(crate) fn is_table(query: Query<'_>) -> bool {
    let from = query.from().unwrap_or_default();
    let [from] = &from[..] else { return false };
    from.joins.is_empty() && matches!(from.first, Factor::Table { is_sampled: false, .. })
}

/// ORDER BY, when it names columns.
pub(crate) fn order(query: Query<'_>) -> Option<Vec<OrderKey>> {
    match query.0.child(Kind::ORDER_BY_CLAUSE) {
        None => Some(Vec::new()),
        Some(clause) => order_keys(clause),
    }
}

pub(crate) fn order_keys(clause: Node<'_>) -> Option<Vec<OrderKey>> {
    clause.child(Kind::SORT_BY_LIST)?.nodes().map(order_key).collect()
}

/// LIMIT and OFFSET, when they are constants.
pub(crate) fn limit(query: Query<'_>) -> Option<(Option<Constant>, Option<Constant>)> {
    let constant = |clause: Kind| match query.0.child(clause) {
        None => Some(None),
        Some(clause) => match clause.nodes().next()? {
            all if all.is(Kind::ALL) => Some(None),
            expr => Constant::of(expr).map(Some),
        },
    };
    if query.has(Kind::FETCH_CLAUSE) {
        return None;
    }
    Some((constant(Kind::LIMIT_CLAUSE)?, constant(Kind::OFFSET_CLAUSE)?))
}

fn order_key(key: Node<'_>) -> Option<OrderKey> {
    if key.has(Kind::SORT_USING) {
        return None;
    }
    let nulls_first = match (key.has(Kind::NULLS_FIRST), key.has(Kind::NULLS_LAST)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    Some(OrderKey {
        column: ColumnRef::of(key.nodes().next()?)?,
        descending: key.has(Kind::SORT_DESC),
        nulls_first,
    })
}

/// A result list of columns and stars. Aliases don't matter: PostgreSQL names the result's columns.
fn projections(targets: &[Target<'_>]) -> Option<Vec<Projection>> {
    let projection = |target: &Target<'_>| match target.expr {
        None => Some(Projection::All),
        Some(expr) if is_all(expr) => Some(Projection::All),
        Some(expr) => ColumnRef::of(expr).map(Projection::Column),
    };
    targets.iter().map(projection).collect()
}

/// `table.*`
pub(crate) fn is_all(expr: Node<'_>) -> bool {
    expr.is(Kind::FIELD_EXPR)
        && expr.has(Kind::STAR)
        && expr
            .nodes()
            .next()
            .is_some_and(|base| ColumnRef::of(base).is_some() && !base.is(Kind::PAREN_EXPR))
}

fn returning(statement: Node<'_>) -> Option<Vec<Projection>> {
    let Some(clause) = statement.child(Kind::RETURNING_CLAUSE) else {
        return Some(Vec::new());
    };
    if clause.has(Kind::RETURNING_OPTION_LIST) {
        return None;
    }
    projections(&targets(clause))
}

/// The facts of a condition when it holds nothing else.
pub(crate) fn facts(condition: Option<Node<'_>>) -> Option<Vec<Fact>> {
    let mut all: Vec<Conjunct> = Vec::new();
    if let Some(condition) = condition {
        crate::condition::conjuncts(condition, &mut all);
    }
    all.into_iter()
        .map(|conjunct| (conjunct.fact != Fact::Other).then_some(conjunct.fact))
        .collect()
}

fn insert(statement: Node<'_>) -> Option<Insert> {
    let row = |row: Vec<Node<'_>>| row.into_iter().map(insert_value).collect::<Option<Vec<_>>>();
    if statement.has(Kind::OVERRIDING_SYSTEM_VALUE) || statement.has(Kind::OVERRIDING_USER_VALUE) {
        return None;
    }
    Some(Insert {
        columns: inserted::columns(statement)?,
        rows: inserted::rows(statement)?.into_iter().map(row).collect::<Option<_>>()?,
        on_conflict: conflict(statement.child(Kind::ON_CONFLICT_CLAUSE))?,
        returning: returning(statement)?,
    })
}

fn insert_value(expr: Node<'_>) -> Option<InsertValue> {
    if is_default(expr) {
        return Some(InsertValue::Default);
    }
    Constant::assigned(expr).map(InsertValue::Constant)
}

pub(crate) fn is_default(expr: Node<'_>) -> bool {
    expr.is(Kind::LITERAL) && expr.has(Kind::DEFAULT_KW)
}

fn conflict(clause: Option<Node<'_>>) -> Option<ConflictAction> {
    let Some(clause) = clause else { return Some(ConflictAction::Error) };
    if clause.has(Kind::CONFLICT_ON_CONSTRAINT) {
        return None;
    }
    let target = match clause.child(Kind::CONFLICT_ON_INDEX) {
        None => None,
        // A partial index, an expression, or an operator class isn't read.
        Some(index) if index.has(Kind::WHERE_CLAUSE) => return None,
        Some(index) => {
            let items = index.child(Kind::CONFLICT_INDEX_ITEM_LIST)?.nodes();
            let column = |item: Node<'_>| {
                let mut nodes = item.nodes();
                let name = nodes.next().filter(|name| name.is(Kind::NAME_REF))?;
                if nodes.next().is_some() { None } else { word(name) }
            };
            Some(items.map(column).collect::<Option<Vec<_>>>()?)
        }
    };
    if clause.has(Kind::CONFLICT_DO_NOTHING) {
        return Some(ConflictAction::Nothing(target));
    }
    let update = clause.child(Kind::CONFLICT_DO_UPDATE_SET)?;
    if update.has(Kind::WHERE_CLAUSE) {
        return None;
    }
    Some(ConflictAction::Update(assignments(update.child(Kind::SET_CLAUSE)?, true)?, target?))
}

/// `column = value, …`
fn assignments(clause: Node<'_>, on_conflict: bool) -> Option<Vec<(String, Assigned)>> {
    let columns = clause.child(Kind::SET_COLUMN_LIST)?.nodes();
    columns.map(|each| assignment(each, on_conflict)).collect()
}

fn assignment(assignment: Node<'_>, on_conflict: bool) -> Option<(String, Assigned)> {
    let (column, set) = set_column(assignment)?;
    Some((column, value(set.nodes().next()?, on_conflict)?))
}

/// The one column that is assigned to, and its SET_EXPR.
pub(crate) fn set_column(assignment: Node<'_>) -> Option<(String, Node<'_>)> {
    if !assignment.is(Kind::SET_SINGLE_COLUMN) {
        return None;
    }
    // A field or an element of a column is not the column.
    let column = inserted::column(assignment.child(Kind::COLUMN_TARGET)?)?;
    Some((column, assignment.child(Kind::SET_EXPR)?))
}

fn value(expr: Node<'_>, on_conflict: bool) -> Option<Assigned> {
    let expr = unparen(expr);
    let sum = match binary(expr) {
        Some(sides) => sum(sides, on_conflict),
        None => operand(expr, on_conflict).map(Assigned::Value),
    };
    let computed = || Constant::assigned(expr).map(Operand::Constant).map(Assigned::Value);
    sum.or_else(computed)
}

/// A column and what is added to it.
fn sum(
    (left, operator, right): (Node<'_>, Operator, Node<'_>),
    on_conflict: bool,
) -> Option<Assigned> {
    let operand = |expr| operand(expr, on_conflict);
    match (operator, operand(left), operand(right)) {
        (Operator::Plus, None, Some(right)) => Some(Assigned::Plus(ColumnRef::of(left)?, right)),
        (Operator::Plus, Some(left), None) => Some(Assigned::Plus(ColumnRef::of(right)?, left)),
        (Operator::Minus, None, Some(right)) => Some(Assigned::Minus(ColumnRef::of(left)?, right)),
        _ => None,
    }
}

fn operand(expr: Node<'_>, on_conflict: bool) -> Option<Operand> {
    match ColumnRef::of(expr) {
        Some(ColumnRef { qualifier: Some(table), name }) if on_conflict && table == "excluded" => {
            Some(Operand::Excluded(name))
        }
        Some(_) => None,
        None => Constant::of(expr).map(Operand::Constant),
    }
}
