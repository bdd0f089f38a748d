//! What texts have in common that differ in their constants only.

use std::ops::Range;

use crate::lex::{Token, TokenKind, lex};

/// Texts longer than this aren't looked at: what they are for is not to come again.
const MAX_LENGTH: usize = 8 * 1024;
/// PostgreSQL's types of integer constants (`pg_type.oid`): int4, and int8 for what doesn't fit.
const INT4: u32 = 23;
const INT8: u32 = 20;
/// A string constant's type is what its place asks for, and so is a parameter's of no type.
const UNKNOWN: u32 = 0;

/// A text without its constants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The text with parameters in the place of constants.
    pub text: String,
    /// The constants, in the order of the parameters.
    pub constants: Vec<Literal>,
    /// With the constants as parameters the text means what it did: they were compared with something, nothing else. Otherwise it only serves to
    /// find what is known of such texts.
    pub is_exact: bool,
}

/// A constant that was taken out of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// Its value as text, where it stands in the text; between the quotes of a string.
    pub range: Range<usize>,
    /// Its type, by its OID; 0 for a string, whose place decides.
    pub type_oid: u32,
}

impl Template {
    /// Takes the constants out of a text. `None` when it has parameters of its own, or is too long.
    ///
    /// Of a query, only those are taken that stand right behind a comparison operator: PostgreSQL resolves such an operator for a parameter of the
    /// constant's type as for the constant itself (typeconv-oper).
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let tokens = lex(text);
        let first = tokens.first()?;
        let is_exact = ["select", "with"].iter().any(|verb| first.is_keyword(text, verb));
        let mut template = Self {
            text: String::with_capacity(text.len() + 8),
            constants: Vec::new(),
            is_exact,
        };
        let mut copied = 0;
        for (position, token) in tokens.iter().enumerate() {
            if token.kind == TokenKind::Parameter {
                return None;
            }
            let Some(literal) = literal(text, token) else { continue };
            if is_exact && !is_compared(text, &tokens[..position], tokens.get(position + 1)) {
                continue;
            }
            template.text.push_str(&text[copied..token.range.start]);
            template.constants.push(literal);
            template.text.push('$');
            template.text.push_str(&template.constants.len().to_string());
            copied = token.range.end;
        }
        template.text.push_str(&text[copied..]);
        Some(template)
    }
}

/// A whole number or a plain string. Other constants stay: their values can't be taken from the text as they stand.
fn literal(text: &str, token: &Token) -> Option<Literal> {
    let written = &text[token.range.clone()];
    match token.kind {
        TokenKind::Number => {
            let type_oid = match written.parse::<i64>().ok()? {
                value if i32::try_from(value).is_ok() => INT4,
                _ => INT8,
            };
            Some(Literal {
                range: token.range.clone(),
                type_oid,
            })
        }
        TokenKind::String => {
            let inner = written.strip_prefix('\'')?.strip_suffix('\'')?;
            (!inner.contains(['\'', '\\'])).then(|| Literal {
                range: token.range.start + 1..token.range.end - 1,
                type_oid: UNKNOWN,
            })
        }
        _ => None,
    }
}

/// Whether what follows `before` is the whole right side of a comparison.
fn is_compared(text: &str, before: &[Token], after: Option<&Token>) -> bool {
    const OPERATORS: [&str; 7] = ["=", "<", ">", "<=", ">=", "<>", "!="];
    let Some(last) = before.last().filter(|token| token.kind == TokenKind::Symbol) else {
        return false;
    };
    // The operator is as long as its characters stand together.
    let mut operator = last.range.clone();
    for token in before.iter().rev().skip(1) {
        if token.kind != TokenKind::Symbol || token.range.end != operator.start {
            break;
        }
        operator.start = token.range.start;
    }
    let ends = after.is_none_or(|after| match after.kind {
        TokenKind::Close | TokenKind::Semicolon => true,
        TokenKind::Word => ["and", "or", "order", "group", "limit"]
            .iter()
            .any(|word| after.is_keyword(text, word)),
        _ => false,
    });
    ends && OPERATORS.contains(&&text[operator])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(text: &str) -> (String, Vec<(String, u32)>) {
        let template = Template::of(text).expect("a template");
        assert!(template.is_exact, "{text}");
        let constants = template
            .constants
            .iter()
            .map(|each| (text[each.range.clone()].to_owned(), each.type_oid));
        (template.text.clone(), constants.collect())
    }

    #[test]
    fn what_is_compared_becomes_a_parameter() {
        let text = "SELECT a, 5 FROM t WHERE b = 42 AND c<>'x' OR (d >= 5000000000) LIMIT 3";
        let constants = vec![("42".to_owned(), 23), ("x".to_owned(), 0), ("5000000000".to_owned(), 20)];
        let template = "SELECT a, 5 FROM t WHERE b = $1 AND c<>$2 OR (d >= $3) LIMIT 3";
        assert_eq!(exact(text), (template.to_owned(), constants));
    }

    #[test]
    fn what_may_mean_something_else_stays() {
        for text in [
            "SELECT a->'b', a ->> 'c' FROM t",
            "SELECT 1 FROM t WHERE a @> 5",
            "SELECT 1 FROM t WHERE a = E'x' AND b = 'it''s' AND c = 'a\\b' AND d = $$x$$",
            "SELECT 1 FROM t WHERE a = 1.5 AND b = 1e3 AND c = 99999999999999999999",
            "SELECT 1 FROM t WHERE a = 1 + b AND c = -1 AND d = 'x'::text AND e = 'x' COLLATE \"C\"",
            "SELECT 1 FROM t WHERE a = date '2020-01-01' AND b LIKE 'x%' AND c IN (1, 2)",
        ] {
            assert_eq!(exact(text), (text.to_owned(), Vec::new()));
        }
    }

    #[test]
    fn writes_share_what_is_known_of_them() {
        let of = |text| Template::of(text).expect("a template");
        let (one, two) = (of("INSERT INTO t VALUES (1, 'x')"), of("INSERT INTO t VALUES (22, 'yy')"));
        assert_eq!(one.text, two.text);
        assert!(!one.is_exact);
    }

    #[test]
    fn texts_with_parameters_have_none() {
        assert_eq!(Template::of("SELECT $1"), None);
        assert_eq!(Template::of(""), None);
        assert_eq!(Template::of(&format!("SELECT '{}'", "x".repeat(MAX_LENGTH))), None);
    }
}
