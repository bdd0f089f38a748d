//! PREPARE and EXECUTE, read from their words.

use std::ops::Range;

use crate::lex::{Token, TokenKind};
use crate::{Statement, Verb};

/// The name that `PREPARE name [(types)] AS statement` gives, and where the statement stands.
/// `None` for every other statement.
#[must_use]
pub fn prepared(text: &str, tokens: &[Token]) -> Option<(String, Range<usize>)> {
    if !tokens.first()?.is_keyword(text, "prepare") {
        return None;
    }
    let name = tokens.get(1)?.identifier(text).into_owned();
    let mut at = 2;
    if tokens.get(at)?.kind == TokenKind::Open {
        at = closing(tokens, at)? + 1;
    }
    if !tokens.get(at)?.is_keyword(text, "as") {
        return None;
    }
    Some((name, tokens.get(at + 1)?.range.start..tokens.last()?.range.end))
}

/// An `EXECUTE name [(arguments)]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// The prepared statement's name.
    pub name: String,
    /// Where EXECUTE stands: what is before it is EXPLAIN, or CREATE TABLE … AS.
    pub start: usize,
    /// Where each argument stands.
    pub arguments: Vec<Range<usize>>,
}

/// The EXECUTE among the tokens, wherever it stands.
#[must_use]
pub fn executed(text: &str, tokens: &[Token]) -> Option<Executed> {
    let start = tokens.iter().position(|token| token.is_keyword(text, "execute"))?;
    let name = tokens.get(start + 1)?.identifier(text).into_owned();
    let mut arguments = Vec::new();
    let open = start + 2;
    if tokens.get(open).is_some_and(|token| token.kind == TokenKind::Open) {
        let (mut depth, mut first) = (0, open + 1);
        for (at, token) in tokens.iter().enumerate().take(closing(tokens, open)? + 1).skip(open) {
            let ends = match token.kind {
                TokenKind::Open => {
                    depth += 1;
                    false
                }
                TokenKind::Close => {
                    depth -= 1;
                    depth == 0
                }
                _ => depth == 1 && text[token.range.clone()] == *",",
            };
            if ends && at > first {
                arguments.push(tokens[first].range.start..tokens[at - 1].range.end);
            }
            if ends {
                first = at + 1;
            }
        }
    }
    Some(Executed { name, start: tokens[start].range.start, arguments })
}

/// The prepared statement that PREPARE or EXECUTE names, where that is what the statement is for.
#[must_use]
pub fn names_prepared(text: &str, statement: &Statement) -> Option<String> {
    match statement.verb {
        Verb::Prepare => prepared(text, &statement.tokens).map(|(name, _)| name),
        Verb::Execute | Verb::Explain | Verb::CreateTable => {
            executed(text, &statement.tokens).map(|executed| executed.name)
        }
        _ => None,
    }
}

/// Whether a text may look at the list of prepared statements or cursors of its connection, by a
/// word of it or in a string that is carried out as SQL.
#[must_use]
pub fn lists_prepared(text: &str) -> bool {
    const WORDS: [&[u8]; 2] = [b"pg_prepared_statement", b"pg_cursor"];
    let bytes = text.as_bytes();
    let is_at = |at: usize, word: &[u8]| {
        bytes.get(at..at + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
    };
    let underscores = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'_').map(|(at, _)| at);
    underscores
        .filter_map(|at| at.checked_sub(2))
        .any(|at| WORDS.iter().any(|word| is_at(at, word)))
}

/// What closes the parenthesis at `open`.
fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0;
    tokens[open..]
        .iter()
        .position(|token| {
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth -= 1,
                _ => {}
            }
            depth == 0
        })
        .map(|length| open + length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lex::lex;

    #[test]
    fn what_is_prepared() {
        let read = |text: &'static str| {
            prepared(text, &lex(text)).map(|(name, range)| (name, &text[range]))
        };
        assert_eq!(read("PREPARE q AS SELECT 1"), Some(("q".into(), "SELECT 1")));
        assert_eq!(
            read("prepare \"Q\" (int, numeric(10,2)) as TABLE t"),
            Some(("Q".into(), "TABLE t"))
        );
        assert_eq!(read("PREPARE TRANSACTION 'x'"), None);
        assert_eq!(read("SELECT 1"), None);
    }

    #[test]
    fn what_is_executed() {
        let read = |text: &'static str| {
            let Executed { name, arguments, .. } = executed(text, &lex(text))?;
            Some((name, arguments.into_iter().map(|range| &text[range]).collect::<Vec<_>>()))
        };
        assert_eq!(read("EXECUTE q"), Some(("q".into(), vec![])));
        assert_eq!(read("EXECUTE q()"), Some(("q".into(), vec![])));
        assert_eq!(
            read("EXECUTE q(1, 'a,b', f(2, 3), ARRAY[4, 5])"),
            Some(("q".into(), vec!["1", "'a,b'", "f(2, 3)", "ARRAY[4, 5]"]))
        );
        assert_eq!(read("EXPLAIN EXECUTE q(1)"), Some(("q".into(), vec!["1"])));
        assert_eq!(read("SELECT 1"), None);
    }

    #[test]
    fn what_lists_prepared_statements() {
        for text in [
            "SELECT * FROM pg_prepared_statements",
            "SELECT * FROM PG_CATALOG.PG_PREPARED_STATEMENT()",
            "TABLE pg_cursors",
            "DO $$ BEGIN EXECUTE 'TABLE pg_Cursors'; END $$",
        ] {
            assert!(lists_prepared(text), "{text}");
        }
        assert!(!lists_prepared("SELECT * FROM pg_prepared_xacts, pg_class"));
    }
}
