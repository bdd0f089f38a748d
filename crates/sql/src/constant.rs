//! Expressions that are the same for every row.

use crate::Expression;
use crate::conforming::unescaped;
use crate::syntax::{Kind, Node, unparen};

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
    /// `constant::type`, `CAST(constant AS type)` or `type 'text'`; the type in lower case as
    /// written.
    Cast(Box<Self>, String),
    /// Each element of an array constant in turn: `column = ANY (array)`.
    Element(Box<Self>),
    /// What PostgreSQL computes before the statement's rows are read.
    Expression(Box<Expression>),
}

impl Constant {
    /// What a column is compared with.
    pub(crate) fn compared(expr: Node<'_>) -> Option<Self> {
        Self::of(expr).or_else(|| Some(Self::Expression(Box::new(Expression::compared(expr)?))))
    }

    /// What is assigned to a column.
    pub(crate) fn assigned(expr: Node<'_>) -> Option<Self> {
        Self::of(expr).or_else(|| Some(Self::Expression(Box::new(Expression::assigned(expr)?))))
    }

    /// Reads a literal or a parameter; `None` when it is anything else.
    pub(crate) fn of(expr: Node<'_>) -> Option<Self> {
        let mut casts = Vec::new();
        let mut expr = unparen(expr);
        // A cast may stand in a cast, any number of times.
        while expr.is(Kind::CAST_EXPR) {
            let (inner, name) = cast(expr)?;
            casts.push(name);
            expr = unparen(inner);
        }
        let constant = match expr.kind() {
            Kind::LITERAL => Self::of_literal(expr)?,
            Kind::PREFIX_EXPR if expr.has(Kind::MINUS) => {
                match Self::of_literal(unparen(expr.nodes().next()?))? {
                    Self::Number(digits) => Self::Number(format!("-{digits}")),
                    _ => return None,
                }
            }
            _ => return None,
        };
        Some(
            casts.into_iter().rev().fold(constant, |inner, name| Self::Cast(Box::new(inner), name)),
        )
    }

    fn of_literal(literal: Node<'_>) -> Option<Self> {
        if !literal.is(Kind::LITERAL) {
            return None;
        }
        let tokens: Vec<_> = literal.tokens().collect();
        let first = tokens.first()?;
        let text = first.text();
        match first.kind() {
            // Strings on several lines are one.
            Kind::STRING => tokens
                .iter()
                .map(|token| plain(*token))
                .collect::<Option<String>>()
                .map(Self::String),
            _ if tokens.len() > 1 => None,
            Kind::ESC_STRING => unescaped(text.get(1..)?).map(Self::String),
            Kind::NULL_KW => Some(Self::Null),
            Kind::TRUE_KW => Some(Self::Bool(true)),
            Kind::FALSE_KW => Some(Self::Bool(false)),
            Kind::INT_NUMBER | Kind::NUMERIC_NUMBER if is_decimal(text) => {
                Some(Self::Number(text.to_owned()))
            }
            Kind::POSITIONAL_PARAM => {
                let number: usize = text.strip_prefix('$')?.parse().ok()?;
                Some(Self::Parameter(number.checked_sub(1)?))
            }
            _ => None,
        }
    }
}

fn plain(token: Node<'_>) -> Option<String> {
    let content = token.text().strip_prefix('\'')?.strip_suffix('\'')?;
    token.is(Kind::STRING).then(|| content.replace("''", "'"))
}

/// Not `0x1F`, and not `1_000`: those are read by newer servers only.
fn is_decimal(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
}

/// What is cast, and the type's name.
fn cast(expr: Node<'_>) -> Option<(Node<'_>, String)> {
    if expr.has(Kind::TREAT_KW) {
        return None;
    }
    let is_cast = expr.has(Kind::CAST_KW) || expr.has(Kind::COLON_COLON);
    let mut nodes = expr.nodes().filter(|node| !node.is(Kind::COLON_COLON));
    let (first, second) = (nodes.next()?, nodes.next()?);
    if nodes.next().is_some() {
        // INTERVAL '1' YEAR
        return None;
    }
    let (inner, data_type) = if is_cast { (first, second) } else { (second, first) };
    Some((inner, type_name(data_type)))
}

/// Its words in lower case, with single blanks between them.
fn type_name(data_type: Node<'_>) -> String {
    let mut name = String::new();
    let mut was_word = false;
    for token in data_type.tokens() {
        let is_word =
            token.text().starts_with(|first: char| first.is_alphanumeric() || first == '_');
        if is_word && was_word {
            name.push(' ');
        }
        if token.is(Kind::IDENT) && token.text().starts_with('"') {
            name.push_str(token.text());
        } else {
            name.push_str(&token.text().to_lowercase());
        }
        was_word = is_word;
    }
    name
}
