//! What texts have in common that differ in their constants and comments only.

use std::borrow::Cow;
use std::ops::Range;

use crate::lex::{Token, TokenKind, lex};
use crate::places::Places;

/// Texts longer than this aren't looked at: what they are for is not to come again.
const MAX_LENGTH: usize = 8 * 1024;
/// PostgreSQL's types of constants (`pg_type.oid`): an integer is int4, what doesn't fit is int8,
/// any other number is numeric (sql-syntax-lexical, "numeric constants").
const INT4: u32 = 23;
const INT8: u32 = 20;
const NUMERIC: u32 = 1700;
/// A string constant's type is what its place asks for, and so is a parameter's of no type.
const UNKNOWN: u32 = 0;

/// Texts with more parameters of their own, or with higher numbers, aren't looked at either.
const MAX_PARAMETERS: usize = 4096;

/// A text without its constants and comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The text with parameters in the place of constants. Comments are left out, but for hints.
    pub text: String,
    /// The constants, in the order of the parameters.
    pub constants: Vec<Literal>,
    /// How many parameters come before those of the constants: the text's own.
    pub own_parameters: usize,
    /// With the constants as parameters the text means what it did: each was only a value.
    /// Otherwise it only serves to find what is known of such texts.
    pub is_exact: bool,
    /// Comments were left out.
    pub had_comments: bool,
}

/// A constant that was taken out of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// Where it stands in the text, with its sign; between the quotes of a string.
    pub range: Range<usize>,
    /// Its type, by its OID; 0 for a string, whose place decides.
    pub type_oid: u32,
    /// It isn't compared with another constant, so that PostgreSQL can compute nothing of it when
    /// it plans.
    pub by_name: bool,
}

impl Literal {
    /// Its value as text.
    #[must_use]
    pub fn value<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let written = &text[self.range.clone()];
        if written.contains('\'') {
            Cow::Owned(written.replace("''", "'"))
        } else {
            Cow::Borrowed(written)
        }
    }
}

impl Template {
    /// Takes the constants and comments out of a text. `None` when it has parameters of its own, or
    /// is too long.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::with_parameters(text, 0).filter(|template| template.own_parameters == 0)
    }

    /// The same of a text that may have parameters of its own: at least so many, if they aren't all
    /// named in it. Constants are the parameters behind them.
    ///
    /// The constants that are taken are compared with something, by an operator or in an IN list;
    /// assigned or inserted; or a LIMIT or OFFSET. There PostgreSQL decides on a parameter of the
    /// constant's type as on the constant itself (typeconv). Of a statement that writes, all
    /// constants are taken where some stand elsewhere: then it isn't exact.
    #[must_use]
    pub fn with_parameters(text: &str, at_least: usize) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let tokens = lex(text);
        let first = tokens.first()?;
        let mut own_parameters = at_least;
        for token in tokens.iter().filter(|token| token.kind == TokenKind::Parameter) {
            let number = text[token.range.clone()].trim_start_matches('$').parse().ok()?;
            own_parameters = own_parameters.max(number);
        }
        if own_parameters > MAX_PARAMETERS {
            return None;
        }
        let is_one_of = |words: &[&str]| words.iter().any(|word| first.is_keyword(text, word));
        let is_query = is_one_of(&["select", "with"]);
        let is_write = is_one_of(&["insert", "update", "delete"]);
        let mut places = Places::new(text, &tokens, is_write);
        let mut constants = Vec::new();
        let mut are_all_taken = true;
        for (at, token) in tokens.iter().enumerate() {
            if !matches!(token.kind, TokenKind::Number | TokenKind::String) {
                places.pass(at);
                continue;
            }
            let place = places.of_value(at);
            let literal = place.as_ref().and_then(|place| literal(text, token, place.is_negative));
            are_all_taken &= literal.is_some();
            constants.extend(
                place
                    .zip(literal)
                    .map(|(place, literal)| Literal { by_name: place.by_name, ..literal }),
            );
        }
        let is_exact = is_query || is_write && are_all_taken;
        if !is_exact {
            constants = tokens.iter().filter_map(|token| literal(text, token, false)).collect();
        }
        let bare =
            Self { text: String::new(), constants, own_parameters, is_exact, had_comments: false };
        Some(bare.with_text(text, &tokens))
    }

    /// The text with parameters for the constants.
    fn with_text(self, text: &str, tokens: &[Token]) -> Self {
        let mut out = String::with_capacity(text.len() + 8);
        let mut had_comments = false;
        let mut behind = 0;
        let mut taken = self.constants.iter().zip(self.own_parameters + 1..).peekable();
        for Token { range: Range { start, end }, .. } in tokens.iter().cloned() {
            let blank = &text[behind..start];
            behind = end;
            if is_comment(blank) {
                had_comments = true;
                out.push_str(if out.is_empty() { "" } else { " " });
            } else {
                out.push_str(blank);
            }
            match taken.peek() {
                Some((literal, number)) if literal.range.end <= end => {
                    out.push('$');
                    out.push_str(&number.to_string());
                    taken.next();
                }
                // Its sign goes with it.
                Some((literal, _)) if literal.range.start == start => {}
                _ => out.push_str(&text[start..end]),
            }
        }
        let rest = &text[behind..];
        if is_comment(rest) {
            had_comments = true;
        } else {
            out.push_str(rest);
        }
        Self { text: out, had_comments, ..self }
    }

    /// Whether none of the constants is compared with another one: PostgreSQL computes as much of
    /// the text in advance as with parameters in their places.
    #[must_use]
    pub fn compares_names(&self) -> bool {
        self.constants.iter().all(|constant| constant.by_name)
    }
}

/// Whether what stands between two tokens has a comment in it that is no hint: the cache's, or an
/// extension's (`/*+`).
fn is_comment(blank: &str) -> bool {
    (blank.contains("--") || blank.contains("/*"))
        && !blank.contains("/*+")
        && !blank.to_ascii_lowercase().contains("flywheel")
}

/// A number or a plain string. Other constants stay: their values can't be taken from the text as
/// they stand.
fn literal(text: &str, token: &Token, is_negative: bool) -> Option<Literal> {
    let Range { start, end } = token.range;
    match token.kind {
        TokenKind::Number => {
            let range = start - usize::from(is_negative)..end;
            let type_oid = number_type(&text[range.clone()])?;
            Some(Literal { range, type_oid, by_name: false })
        }
        TokenKind::String => {
            let inner = text[start..end].strip_prefix('\'')?.strip_suffix('\'')?;
            // A string on several lines has another quote in it.
            let is_plain = !inner.contains('\\')
                && (!inner.contains('\'') || !inner.replace("''", "").contains('\''));
            is_plain.then_some(Literal {
                range: start + 1..end - 1,
                type_oid: UNKNOWN,
                by_name: false,
            })
        }
        _ => None,
    }
}

/// The type of a number, its sign with it. `None` where servers differ in how they read it: `0x1F`,
/// `1_000`, `1a`.
fn number_type(written: &str) -> Option<u32> {
    let digits = written.strip_prefix('-').unwrap_or(written);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(match written.parse::<i64>() {
            Ok(value) if i32::try_from(value).is_ok() => INT4,
            Ok(_) => INT8,
            Err(_) => NUMERIC,
        });
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.map(|digits| digits.strip_prefix(['+', '-']).unwrap_or(digits));
    let is_decimal = is_number(whole)
        && is_number(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|digits| !digits.is_empty() && is_number(digits));
    is_decimal.then_some(NUMERIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(text: &str) -> (String, Vec<(String, u32)>) {
        let template = Template::of(text).expect("a template");
        assert!(template.is_exact, "{text}");
        let constants =
            template.constants.iter().map(|each| (each.value(text).into_owned(), each.type_oid));
        (template.text.clone(), constants.collect())
    }

    fn constants(all: &[(&str, u32)]) -> Vec<(String, u32)> {
        all.iter().map(|&(value, oid)| (value.to_owned(), oid)).collect()
    }

    #[test]
    fn what_is_compared_becomes_a_parameter() {
        let text = "SELECT a, 5 FROM t WHERE b = 42 AND c<>'x' OR (d >= 5000000000) LIMIT 3";
        let template = "SELECT a, 5 FROM t WHERE b = $1 AND c<>$2 OR (d >= $3) LIMIT $4";
        let taken = constants(&[("42", 23), ("x", 0), ("5000000000", 20), ("3", 23)]);
        assert_eq!(exact(text), (template.to_owned(), taken));
    }

    #[test]
    fn a_constant_keeps_its_class() {
        let text = "SELECT 1 FROM t WHERE a = 1.5 AND b = -7 AND c = 99999999999999999999 \
                    AND d = -2147483648 AND e = 2147483648 AND f = 1e-3 AND g = 'it''s' \
                    AND h IN (1, '2', -3.0) OFFSET 7 LIMIT '1'";
        let template = "SELECT 1 FROM t WHERE a = $1 AND b = $2 AND c = $3 \
                    AND d = $4 AND e = $5 AND f = $6 AND g = $7 \
                    AND h IN ($8, $9, $10) OFFSET $11 LIMIT $12";
        let taken = constants(&[
            ("1.5", 1700),
            ("-7", 23),
            ("99999999999999999999", 1700),
            ("-2147483648", 23),
            ("2147483648", 20),
            ("1e-3", 1700),
            ("it's", 0),
            ("1", 23),
            ("2", 0),
            ("-3.0", 1700),
            ("7", 23),
            ("1", 0),
        ]);
        assert_eq!(exact(text), (template.to_owned(), taken));
    }

    #[test]
    fn what_may_mean_something_else_stays() {
        for text in [
            "SELECT a->'b', a ->> 'c' FROM t",
            "SELECT 1 FROM t WHERE a @> 5 AND b = - 5 AND c =-5 AND d -5 = e",
            "SELECT 1 FROM t WHERE a = E'x' AND c = 'a\\b' AND d = $$x$$ AND e = B'1' AND f = X'1'",
            "SELECT 1 FROM t WHERE a = U&'x' AND b = N'x' AND c = 'x'\n'y'",
            "SELECT 1 FROM t WHERE a = 0x1F AND b = 1_000 AND c = 1a AND d = .",
            "SELECT 1 FROM t WHERE a = 1 + b AND c = -1 * d AND d = 'x'::text AND e = 'x' COLLATE \"C\"",
            "SELECT 1 FROM t WHERE a = date '2020-01-01' AND b LIKE 'x%' AND c IN (f(1, 2), 3 + 4)",
            "SELECT * FROM (VALUES (1, 'x')) v ORDER BY 1",
            "SELECT a = 5, b FROM t WHERE (a, b, c) IN (SELECT 1, 2, 3)",
        ] {
            assert_eq!(exact(text), (text.to_owned(), Vec::new()));
        }
    }

    #[test]
    fn within_a_query_in_a_list_too() {
        let text = "SELECT 1 FROM t WHERE a IN (SELECT b FROM u WHERE c = 5)";
        assert_eq!(exact(text).1, constants(&[("5", 23)]));
    }

    #[test]
    fn what_is_written_becomes_a_parameter() {
        for (text, template) in [
            (
                "INSERT INTO t (a, b) VALUES (1, 'x'), (-2, NULL) ON CONFLICT (a) DO UPDATE SET b = 'y', c = 2",
                "INSERT INTO t (a, b) VALUES ($1, $2), ($3, NULL) ON CONFLICT (a) DO UPDATE SET b = $4, c = $5",
            ),
            (
                "UPDATE t SET a = 1, b = 'x' WHERE c = 2 RETURNING *",
                "UPDATE t SET a = $1, b = $2 WHERE c = $3 RETURNING *",
            ),
            (
                "UPDATE t SET n = n + 1, m = m - 2 WHERE c = 2",
                "UPDATE t SET n = n + $1, m = m - $2 WHERE c = $3",
            ),
            ("DELETE FROM t WHERE a IN (1, 2);", "DELETE FROM t WHERE a IN ($1, $2);"),
        ] {
            assert_eq!(exact(text).0, template);
        }
    }

    #[test]
    fn writes_share_what_is_known_of_them() {
        let of = |text| Template::of(text).expect("a template");
        let (one, two) = (
            of("INSERT INTO t VALUES (f(1), 'x' || 'y')"),
            of("INSERT INTO t VALUES (f(22), 'yy' || 'z')"),
        );
        assert_eq!(one.text, two.text);
        assert!(!one.is_exact);
    }

    #[test]
    fn comments_are_no_part_of_it() {
        for (text, template) in [
            (
                "SELECT a /* trace */ FROM t -- id\n WHERE b =/**/5 /* x */",
                "SELECT a FROM t WHERE b = $1",
            ),
            ("/* trace */ SELECT 1", "SELECT 1"),
            ("SELECT 1 -- 'x'", "SELECT 1"),
            ("SELECT 1 -- flywheel: ttl=5s", "SELECT 1 -- flywheel: ttl=5s"),
            ("SELECT /*+ SeqScan(t) */ 1", "SELECT /*+ SeqScan(t) */ 1"),
        ] {
            assert_eq!(exact(text).0, template);
        }
    }

    #[test]
    fn what_is_computed_in_advance_is_told() {
        let compares_names = |text| Template::of(text).expect("a template").compares_names();
        assert!(compares_names("SELECT 1 FROM t WHERE a = 1 AND t.b NOT IN (2) LIMIT 5"));
        assert!(!compares_names("SELECT 1 FROM t WHERE 1 = 1"));
        assert!(!compares_names("SELECT 1 FROM t WHERE (a + 1) = 1"));
        assert!(!compares_names("SELECT 1 FROM t WHERE CASE 1 WHEN 1 THEN 2 END = 1"));
        assert!(!compares_names("SELECT 1 FROM t WHERE 1 IN (2, 3)"));
        assert!(!compares_names("SELECT 1 FROM t WHERE 1::int = 2"));
        assert!(!compares_names("SELECT 1 FROM t WHERE 1::pg_catalog.int4 IN (2)"));
        assert!(!compares_names("SELECT 1 FROM t WHERE interval '1' day = '2'"));
        assert!(!compares_names("SELECT 1 FROM t WHERE 'a' COLLATE \"C\" = 'b'"));
    }

    #[test]
    fn constants_come_behind_the_parameters() {
        for (text, at_least, template) in [
            (
                "SELECT 1 FROM t WHERE a = 'x' AND b = $2 AND c IN ($1, 5) -- id=7",
                0,
                "SELECT 1 FROM t WHERE a = $3 AND b = $2 AND c IN ($1, $4)",
            ),
            ("INSERT INTO t VALUES ($1, 2)", 3, "INSERT INTO t VALUES ($1, $4)"),
            ("SELECT 1 FROM t WHERE a = $1 /* 5 */", 1, "SELECT 1 FROM t WHERE a = $1"),
        ] {
            let made = Template::with_parameters(text, at_least).expect("a template");
            assert!(made.is_exact);
            assert_eq!(made.text, template);
        }
        assert_eq!(Template::with_parameters("SELECT $99999", 0), None);
        assert_eq!(Template::with_parameters("SELECT $99999999999999999999999", 0), None);
    }

    #[test]
    fn texts_with_parameters_have_none() {
        assert_eq!(Template::of("SELECT $1"), None);
        assert_eq!(Template::of(""), None);
        assert_eq!(Template::of(&format!("SELECT '{}'", "x".repeat(MAX_LENGTH))), None);
    }
}
