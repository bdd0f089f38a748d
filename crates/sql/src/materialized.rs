//! CREATE and REFRESH MATERIALIZED VIEW, from their words: what is to be computed.

use std::ops::Range;

use crate::RelationName;
use crate::lex::{Token, TokenKind};
use crate::whole::relation_name;

/// What a materialized view is filled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Materialized {
    /// WITH NO DATA: nothing.
    Empty,
    /// CREATE: the query that stands here.
    Query(Range<usize>),
    /// REFRESH: the query of this view.
    View(RelationName),
}

impl Materialized {
    /// `None` for every other statement.
    #[must_use]
    pub fn of(text: &str, tokens: &[Token]) -> Option<Self> {
        let is = |at: usize, word: &str| {
            tokens.get(at).is_some_and(|token| token.is_keyword(text, word))
        };
        if !(is(0, "create") || is(0, "refresh")) || !is(1, "materialized") || !is(2, "view") {
            return None;
        }
        let mut end = tokens.len();
        while end > 3 && text[tokens[end - 1].range.clone()] == *";" {
            end -= 1;
        }
        if is(end.checked_sub(1)?, "data") && is(end.checked_sub(2)?, "no") {
            return Some(Self::Empty);
        }
        if is(0, "refresh") {
            let start = 3 + usize::from(is(3, "concurrently") && end > 4);
            return relation_name(text, tokens, start).map(|(name, _)| Self::View(name));
        }
        if is(end - 1, "data") && is(end.checked_sub(2)?, "with") {
            end -= 2;
        }
        let mut depth = 0_usize;
        let is_as = |token: &Token| {
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth = depth.saturating_sub(1),
                _ => return depth == 0 && token.is_keyword(text, "as"),
            }
            false
        };
        let start = tokens.iter().position(is_as)? + 1;
        (start < end).then(|| Self::Query(tokens[start].range.start..tokens[end - 1].range.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lex::lex;

    #[test]
    fn what_they_are_filled_with() {
        let of = |text: &str| match Materialized::of(text, &lex(text)) {
            None => "nothing".to_owned(),
            Some(Materialized::Empty) => "empty".to_owned(),
            Some(Materialized::Query(range)) => text[range].to_owned(),
            Some(Materialized::View(name)) => format!("view {name}"),
        };
        assert_eq!(of("CREATE MATERIALIZED VIEW m AS SELECT 1"), "SELECT 1");
        assert_eq!(
            of(
                "create materialized view if not exists s.m (a, b) USING heap WITH (fillfactor = 70) AS WITH x AS (SELECT 1) TABLE x WITH DATA"
            ),
            "WITH x AS (SELECT 1) TABLE x"
        );
        assert_eq!(of("CREATE MATERIALIZED VIEW m AS SELECT a AS b FROM t WITH NO DATA"), "empty");
        assert_eq!(of("REFRESH MATERIALIZED VIEW CONCURRENTLY s.\"M\""), "view s.M");
        assert_eq!(of("refresh materialized view concurrently"), "view concurrently");
        assert_eq!(of("REFRESH MATERIALIZED VIEW m WITH NO DATA;"), "empty");
        assert_eq!(of("CREATE VIEW m AS SELECT 1"), "nothing");
    }
}
