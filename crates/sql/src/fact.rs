//! What a single condition says of columns and constants.

use crate::Constant;
use crate::name::Place;
use crate::syntax::{
    Kind, Node, Operator, binary, call, is_computed, items_of, only_inside, unparen, word,
};

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
    pub(crate) fn of(expr: Node<'_>) -> Option<Self> {
        let mut expr = unparen(expr);
        // From the column's name to what stands in front of it.
        let mut parts = Vec::new();
        while expr.is(Kind::FIELD_EXPR) {
            let mut nodes = expr.nodes();
            let (base, field) = (nodes.next()?, nodes.next()?);
            parts.push(word(field)?);
            expr = base;
        }
        if !expr.is(Kind::NAME_REF) || is_computed(expr) {
            return None;
        }
        parts.push(word(expr)?);
        let mut parts = parts.into_iter();
        let name = parts.next()?;
        Some(Self { qualifier: parts.next(), name })
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
    fn of(operator: Operator) -> Option<Self> {
        Some(match operator {
            Operator::Equal => Self::Equal,
            Operator::Less => Self::Less,
            Operator::LessOrEqual => Self::LessOrEqual,
            Operator::Greater => Self::Greater,
            Operator::GreaterOrEqual => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// The operator.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
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
    /// `column IN (constants)`, `column = ANY (ARRAY[constants])`, `column = ANY (array constant)`,
    /// or with several columns `(a, b) IN ((1, 2), …)`.
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
/// What a condition says, where Flywheel can use it.
pub(crate) fn fact(expr: Node<'_>) -> Option<Fact> {
    let (left, operator, right) = binary(expr)?;
    if operator == Operator::In {
        let columns = tuple(left, ColumnRef::of)?;
        let rows: Vec<_> = items_of(right)?
            .into_iter()
            .map(|row| tuple(row, Constant::of))
            .collect::<Option<_>>()?;
        if rows.iter().any(|row| row.len() != columns.len()) {
            return None;
        }
        // Rows are compared one by one; single values as one type, which they decide together.
        let rows = if columns.len() == 1 { of_one_type(rows)? } else { rows };
        return Some(Fact::In(columns, rows));
    }
    let comparison = Comparison::of(operator)?;
    if comparison == Comparison::Equal
        && let Some(any) = call(right, Kind::ANY_FN).or_else(|| call(right, Kind::SOME_FN))
    {
        return any_of(ColumnRef::of(left)?, any);
    }
    if let (Some(column), Some(constant)) = (ColumnRef::of(left), Constant::compared(right)) {
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

/// `column = ANY (array)`
fn any_of(column: ColumnRef, any: Node<'_>) -> Option<Fact> {
    let array = unparen(only_inside(any)?);
    if !array.is(Kind::ARRAY_EXPR) {
        let array = Constant::of(array)?;
        return Some(Fact::In(vec![column], vec![vec![Constant::Element(Box::new(array))]]));
    }
    let values: Option<Vec<_>> =
        array.nodes().map(|element| Constant::of(element).map(|constant| vec![constant])).collect();
    Some(Fact::In(vec![column], of_one_type(values?)?))
}

/// The values of a list, for which PostgreSQL finds one type (typeconv-union-case). Strings are of
/// the column's type, unless others of the list have one: in `id IN (1.5, '2.0')` they are numeric.
/// `None` where it takes the column's type to tell which.
fn of_one_type(rows: Vec<Vec<Constant>>) -> Option<Vec<Vec<Constant>>> {
    let takes_any = |value: &Constant| matches!(value, Constant::String(_) | Constant::Null);
    let (strings, others): (Vec<_>, Vec<_>) =
        rows.iter().flatten().partition(|value| takes_any(value));
    if others.is_empty() || strings.iter().all(|value| **value == Constant::Null) {
        return Some(rows);
    }
    let is_integer = |digits: &str| digits.parse::<i32>().is_ok() && !digits.starts_with('+');
    let is_number = |value: &Constant| match value {
        Constant::String(digits) | Constant::Number(digits) => is_integer(digits),
        other => *other == Constant::Null,
    };
    // Beside integers, a string that is one is the same number in every type of numbers.
    let as_number = |value| match value {
        Constant::String(digits) => Constant::Number(digits),
        other => other,
    };
    rows.iter()
        .flatten()
        .all(is_number)
        .then(|| rows.into_iter().map(|row| row.into_iter().map(as_number).collect()).collect())
}

/// `(a, b) = (1, 2)` is an IN with one row.
fn row_equality(left: Node<'_>, right: Node<'_>) -> Option<Fact> {
    let columns = tuple(left, ColumnRef::of)?;
    let row = tuple(right, Constant::of)?;
    (columns.len() == row.len()).then(|| Fact::In(columns, vec![row]))
}

/// The elements of a row constructor, or of a single expression.
fn tuple<T>(expr: Node<'_>, read: impl Fn(Node<'_>) -> Option<T>) -> Option<Vec<T>> {
    let expr = unparen(expr);
    match expr.kind() {
        Kind::TUPLE_EXPR => items_of(expr)?.into_iter().map(read).collect(),
        _ => read(expr).map(|one| vec![one]),
    }
}
