//! EXPLAIN's options, from its words: they decide before the statement behind them is read.

use crate::lex::{Token, TokenKind};

/// What an EXPLAIN asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The statement is to be carried out.
    pub analyze: bool,
    /// FORMAT, in small letters.
    pub format: String,
    /// TIMING: how long each step takes.
    pub timing: bool,
    /// SUMMARY: how long all takes. `None`: not said.
    pub summary: Option<bool>,
    /// Where the explained statement begins.
    pub start: usize,
}

impl Explained {
    /// The options of an EXPLAIN; `None` for every other statement, and where nothing follows.
    #[must_use]
    pub fn of(text: &str, tokens: &[Token]) -> Option<Self> {
        let is = |at: usize, word: &str| {
            tokens.get(at).is_some_and(|token| token.is_keyword(text, word))
        };
        if !is(0, "explain") {
            return None;
        }
        let mut explained =
            Self { analyze: false, format: "text".into(), timing: true, summary: None, start: 0 };
        let mut at = 1;
        if tokens.get(at)?.kind == TokenKind::Open {
            let close =
                at + tokens[at..].iter().position(|token| token.kind == TokenKind::Close)?;
            let options = &tokens[at + 1..close];
            for option in options.split(|token| text[token.range.clone()] == *",") {
                explained.note(text, option);
            }
            // Such parentheses may also begin a query.
            if options.first().is_some_and(|first| !begins_query(text, first)) {
                at = close + 1;
            }
        }
        while is(at, "analyze") || is(at, "analyse") || is(at, "verbose") {
            explained.analyze |= !is(at, "verbose");
            at += 1;
        }
        explained.start = tokens.get(at)?.range.start;
        Some(explained)
    }

    fn note(&mut self, text: &str, option: &[Token]) {
        let word = |at: usize| {
            option.get(at).map(|token| {
                text[token.range.clone()].trim_matches(['\'', '"']).to_ascii_lowercase()
            })
        };
        let is_on = || !matches!(word(1).as_deref(), Some("false" | "off" | "0"));
        match word(0).as_deref() {
            Some("analyze" | "analyse") => self.analyze = is_on(),
            Some("timing") => self.timing = is_on(),
            Some("summary") => self.summary = Some(is_on()),
            Some("format") => self.format = word(1).unwrap_or_default(),
            _ => {}
        }
    }
}

fn begins_query(text: &str, token: &Token) -> bool {
    token.kind == TokenKind::Open
        || ["select", "with", "values", "table"].iter().any(|verb| token.is_keyword(text, verb))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lex::lex;

    #[test]
    fn options() {
        let of = |text: &str| {
            Explained::of(text, &lex(text))
                .map(|found| (found.analyze, found.format, text[found.start..].to_owned()))
        };
        let found =
            |analyze, format: &str, rest: &str| Some((analyze, format.to_owned(), rest.to_owned()));
        assert_eq!(of("EXPLAIN SELECT 1"), found(false, "text", "SELECT 1"));
        assert_eq!(of("explain analyze verbose SELECT 1"), found(true, "text", "SELECT 1"));
        assert_eq!(
            of("EXPLAIN (ANALYZE, BUFFERS off, FORMAT Json) SELECT 1"),
            found(true, "json", "SELECT 1")
        );
        assert_eq!(
            of("EXPLAIN (analyze off, format 'yaml') SELECT 1"),
            found(false, "yaml", "SELECT 1")
        );
        assert_eq!(of("EXPLAIN (SELECT 1)"), found(false, "text", "(SELECT 1)"));
        assert_eq!(of("SELECT 1"), None);
        let text = "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) SELECT 1";
        let options = Explained::of(text, &lex(text)).unwrap();
        assert_eq!((options.timing, options.summary), (false, Some(false)));
    }
}
