//! Conditions that bound the rows which a statement can touch.

use sqlparser::ast::{BinaryOperator, Expr, Ident};

use crate::relation::Place;
use crate::{Constant, member};

/// A column as written: `user_id` or `h.user_id` (a schema in front is dropped).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnRef {
    /// The table's name or alias, folded.
    pub qualifier: Option<String>,
    /// The column's name, folded.
    pub name: String,
}

impl ColumnRef {
    /// Reads an expression; `None` when it isn't a plain column.
    pub(crate) fn of(expr: &Expr) -> Option<Self> {
        match expr {
            Expr::Identifier(name) => Some(Self {
                qualifier: None,
                name: fold(name),
            }),
            Expr::CompoundIdentifier(parts) => match &parts[..] {
                [.., qualifier, name] => Some(Self {
                    qualifier: Some(fold(qualifier)),
                    name: fold(name),
                }),
                _ => None,
            },
            Expr::Nested(inner) => Self::of(inner),
            _ => None,
        }
    }
}

/// An identifier as PostgreSQL reads it.
pub(crate) fn fold(ident: &Ident) -> String {
    if ident.quote_style.is_some() {
        ident.value.clone()
    } else {
        ident.value.to_ascii_lowercase()
    }
}

/// A comparison that a sort key's range can express, and equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    fn of(op: &BinaryOperator) -> Option<Self> {
        Some(match op {
            BinaryOperator::Eq => Self::Equal,
            BinaryOperator::Lt => Self::Less,
            BinaryOperator::LtEq => Self::LessOrEqual,
            BinaryOperator::Gt => Self::Greater,
            BinaryOperator::GtEq => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// The same comparison with its sides exchanged.
    fn flipped(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }
}

/// What a conjunct says, where Flywheel can use it.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// `column op constant`
    Compare(ColumnRef, Comparison, Constant),
    /// `column IN (constants)`, `column = ANY (ARRAY[constants])`, `column = ANY (array constant)`, or with several columns `(a, b) IN ((1, 2), …)`.
    In(Vec<ColumnRef>, Vec<Vec<Constant>>),
    /// `column = column`
    Same(ColumnRef, ColumnRef),
    /// `column IN (SELECT inner FROM relation …)`, or EXISTS of such a row.
    Member {
        /// The column outside.
        column: ColumnRef,
        /// The column inside, one of whose values it has.
        inner: ColumnRef,
        /// Whose column it is: a table in the subquery's FROM.
        relation: Place,
        /// Where rows of the subquery with other values can't matter: the names in its FROM.
        row_by_row: Option<Vec<String>>,
    },
    /// Anything else.
    Other,
}

/// One of the conditions that must all hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Conjunct {
    /// What it says.
    pub fact: Fact,
    /// It as written (normalised), for sending to PostgreSQL.
    pub sql: String,
    /// Every column that it names.
    pub columns: Vec<ColumnRef>,
    /// Whether it holds nothing but columns, constants and operators: no subquery and no function.
    pub plain: bool,
}

/// The conjuncts of a condition. Without recursion: there may be any number of them.
pub(crate) fn conjuncts(expr: &Expr, out: &mut Vec<Conjunct>) {
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::BinaryOp {
                left,
                op: BinaryOperator::And,
                right,
            } => open.extend([&**right, &**left]),
            Expr::Nested(inner) => open.push(inner),
            Expr::Between {
                expr: middle,
                negated: false,
                low,
                high,
            } => match (ColumnRef::of(middle), Constant::of(low), Constant::of(high)) {
                (Some(column), Some(low), Some(high)) => {
                    out.push(conjunct(expr, Fact::Compare(column.clone(), Comparison::GreaterOrEqual, low)));
                    out.push(conjunct(expr, Fact::Compare(column, Comparison::LessOrEqual, high)));
                }
                _ => out.push(conjunct(expr, Fact::Other)),
            },
            _ => match (fact(expr), member::facts(expr)) {
                (None, members) if !members.is_empty() => out.extend(members.into_iter().map(|member| conjunct(expr, member))),
                (fact, _) => out.push(conjunct(expr, fact.unwrap_or(Fact::Other))),
            },
        }
    }
}

fn conjunct(expr: &Expr, fact: Fact) -> Conjunct {
    let (columns, plain) = columns_of(expr);
    Conjunct {
        fact,
        sql: expr.to_string(),
        columns,
        plain,
    }
}

/// `column = column`, as JOIN … USING says it.
pub(crate) fn same(left: ColumnRef, right: ColumnRef) -> Conjunct {
    Conjunct {
        fact: Fact::Same(left.clone(), right.clone()),
        sql: String::new(),
        columns: vec![left, right],
        plain: false,
    }
}

fn fact(expr: &Expr) -> Option<Fact> {
    match expr {
        Expr::BinaryOp { left, op, right } => {
            let comparison = Comparison::of(op)?;
            if let (Some(column), Some(constant)) = (ColumnRef::of(left), Constant::of(right)) {
                return Some(Fact::Compare(column, comparison, constant));
            }
            if let (Some(constant), Some(column)) = (Constant::of(left), ColumnRef::of(right)) {
                return Some(Fact::Compare(column, comparison.flipped(), constant));
            }
            match (comparison, ColumnRef::of(left), ColumnRef::of(right)) {
                (Comparison::Equal, Some(left), Some(right)) => Some(Fact::Same(left, right)),
                (Comparison::Equal, ..) => row_equality(left, right),
                _ => None,
            }
        }
        Expr::InList {
            expr,
            list,
            negated: false,
        } => {
            let columns = tuple(expr, ColumnRef::of)?;
            let rows: Option<Vec<_>> = list.iter().map(|row| tuple(row, Constant::of)).collect();
            rows.filter(|rows| rows.iter().all(|row| row.len() == columns.len()))
                .map(|rows| Fact::In(columns, rows))
        }
        Expr::AnyOp {
            left,
            compare_op: BinaryOperator::Eq,
            right,
            ..
        } => {
            let column = ColumnRef::of(left)?;
            let mut array = &**right;
            while let Expr::Nested(inner) = array {
                array = inner;
            }
            let Expr::Array(array) = array else {
                let array = Constant::of(array)?;
                return Some(Fact::In(vec![column], vec![vec![Constant::Element(Box::new(array))]]));
            };
            let values: Option<Vec<_>> = array
                .elem
                .iter()
                .map(|element| Constant::of(element).map(|constant| vec![constant]))
                .collect();
            values.map(|values| Fact::In(vec![column], values))
        }
        _ => None,
    }
}

/// `(a, b) = (1, 2)` is an IN with one row.
fn row_equality(left: &Expr, right: &Expr) -> Option<Fact> {
    let columns = tuple(left, ColumnRef::of)?;
    let row = tuple(right, Constant::of)?;
    (columns.len() == row.len()).then(|| Fact::In(columns, vec![row]))
}

/// The elements of a row constructor, or of a single expression.
fn tuple<T>(expr: &Expr, read: impl Fn(&Expr) -> Option<T>) -> Option<Vec<T>> {
    match expr {
        Expr::Tuple(elements) => elements.iter().map(read).collect(),
        Expr::Nested(inner) => tuple(inner, read),
        _ => read(expr).map(|one| vec![one]),
    }
}

/// Every column named in `expr`, and whether there is nothing in it but columns, constants and operators.
fn columns_of(expr: &Expr) -> (Vec<ColumnRef>, bool) {
    let (mut columns, mut plain) = (Vec::new(), true);
    let _ = sqlparser::ast::visit_expressions(expr, |each| {
        columns.extend(match each {
            Expr::Nested(_) => None,
            _ => ColumnRef::of(each),
        });
        plain &= matches!(
            each,
            Expr::Identifier(_)
                | Expr::CompoundIdentifier(_)
                | Expr::Nested(_)
                | Expr::Value(_)
                | Expr::TypedString(_)
                | Expr::Cast { .. }
                | Expr::BinaryOp { .. }
                | Expr::UnaryOp { .. }
                | Expr::InList { .. }
                | Expr::Between { .. }
                | Expr::IsNull(_)
                | Expr::IsNotNull(_)
                | Expr::IsTrue(_)
                | Expr::IsFalse(_)
                | Expr::Like { .. }
                | Expr::ILike { .. }
                | Expr::Tuple(_)
        );
        std::ops::ControlFlow::<()>::Continue(())
    });
    (columns, plain)
}
