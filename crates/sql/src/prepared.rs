//! PREPARE and EXECUTE, read from their words.

use std::ops::Range;

use crate::lex::{Token, TokenKind};

/// The name that `PREPARE name [(types)] AS statement` gives, and where the statement stands. `None` for every other statement.
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

/// The name in `EXECUTE name [(arguments)]`, wherever it stands among the tokens, and where each argument stands.
#[must_use]
pub fn executed(text: &str, tokens: &[Token]) -> Option<(String, Vec<Range<usize>>)> {
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
    Some((name, arguments))
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
        let read = |text: &'static str| prepared(text, &lex(text)).map(|(name, range)| (name, &text[range]));
        assert_eq!(read("PREPARE q AS SELECT 1"), Some(("q".into(), "SELECT 1")));
        assert_eq!(read("prepare \"Q\" (int, numeric(10,2)) as TABLE t"), Some(("Q".into(), "TABLE t")));
        assert_eq!(read("PREPARE TRANSACTION 'x'"), None);
        assert_eq!(read("SELECT 1"), None);
    }

    #[test]
    fn what_is_executed() {
        let read = |text: &'static str| {
            let (name, arguments) = executed(text, &lex(text))?;
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
}
