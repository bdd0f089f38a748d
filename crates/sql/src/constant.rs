//! Expressions that are the same for every row.

use sqlparser::ast::{DataType, Expr, UnaryOperator, Value};

/// A literal or a parameter, perhaps behind a cast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constant {
    /// NULL
    Null,
    /// TRUE, FALSE
    Bool(bool),
    /// A number as written, with its sign.
    Number(String),
    /// A string literal; its type is what its place asks for.
    String(String),
    /// `$n`, counted from 0.
    Parameter(usize),
    /// `constant::type`, `CAST(constant AS type)` or `type 'text'`; the type in lower case as written.
    Cast(Box<Self>, String),
    /// Each element of an array constant in turn: `column = ANY (array)`.
    Element(Box<Self>),
}

impl Constant {
    /// Reads an expression; `None` when it is anything else.
    pub(crate) fn of(expr: &Expr) -> Option<Self> {
        match expr {
            Expr::Value(value) => Self::of_value(&value.value),
            Expr::Nested(inner) => Self::of(inner),
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr,
            } => match Self::of(expr)? {
                Self::Number(digits) if !digits.starts_with('-') => Some(Self::Number(format!("-{digits}"))),
                _ => None,
            },
            Expr::Cast { expr, data_type, .. } => Some(Self::Cast(Box::new(Self::of(expr)?), type_name(data_type))),
            Expr::TypedString(typed) => Some(Self::Cast(
                Box::new(Self::of_value(&typed.value.value)?),
                type_name(&typed.data_type),
            )),
            _ => None,
        }
    }

    fn of_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::Null),
            Value::Boolean(flag) => Some(Self::Bool(*flag)),
            Value::Number(digits, _) => Some(Self::Number(digits.clone())),
            Value::SingleQuotedString(text) => Some(Self::String(text.clone())),
            Value::Placeholder(name) => {
                let number: usize = name.strip_prefix('$')?.parse().ok()?;
                Some(Self::Parameter(number.checked_sub(1)?))
            }
            _ => None,
        }
    }
}

fn type_name(data_type: &DataType) -> String {
    data_type.to_string().to_lowercase()
}
