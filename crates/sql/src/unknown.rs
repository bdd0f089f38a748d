//! What PostgreSQL allows and sqlparser doesn't know, where leaving it out changes nothing about the relations that a statement names.

use std::ops::Range;

use crate::lex::{Token, TokenKind, lex};

/// The text with blanks in the place of `OVERRIDING … VALUE`, of constant subscripts of assigned columns (`SET a[1] = …`) and of the names of columns in front of
/// CREATE TABLE's AS, every other place as it was; `None` when there is nothing of the kind in it.
pub(crate) fn without_unknown(text: &str) -> Option<String> {
    let tokens = lex(text);
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is_keyword(text, word));
    let mut blanks: Vec<_> = created_columns(text, &tokens).into_iter().collect();
    for at in 0..tokens.len() {
        if is(at, "overriding") && (is(at + 1, "system") || is(at + 1, "user")) && is(at + 2, "value") {
            blanks.push(tokens[at].range.start..tokens[at + 2].range.end);
        }
        let is_assigned = at > 0 && (is(at - 1, "set") || is_symbol(text, &tokens, at - 1, ","));
        if is_assigned && matches!(tokens[at].kind, TokenKind::Word | TokenKind::QuotedWord) {
            let end = subscripts(text, &tokens, at + 1);
            if end > at + 1 && is_symbol(text, &tokens, end, "=") {
                blanks.push(tokens[at + 1].range.start..tokens[end - 1].range.end);
            }
        }
    }
    if blanks.is_empty() {
        return None;
    }
    let mut out = text.to_owned();
    for blank in blanks {
        // As many characters: places are counted in them.
        let spaces = " ".repeat(blank.len());
        out.replace_range(blank, &spaces);
    }
    Some(out)
}

/// `(a, b)` in CREATE TABLE t (a, b) AS …
fn created_columns(text: &str, tokens: &[Token]) -> Option<Range<usize>> {
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is_keyword(text, word));
    if !is(0, "create") || !(1..4).any(|at| is(at, "table")) {
        return None;
    }
    let open = tokens.iter().position(|token| token.kind == TokenKind::Open)?;
    let close = open + tokens[open..].iter().position(|token| token.kind == TokenKind::Close)?;
    let is_list = tokens[open + 1..close].iter().enumerate().all(|(place, token)| match place % 2 {
        0 => matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord),
        _ => text[token.range.clone()] == *",",
    });
    (is_list && !tokens[..open].iter().any(|token| token.is_keyword(text, "as"))).then(|| tokens[open].range.start..tokens[close].range.end)
}

fn is_symbol(text: &str, tokens: &[Token], at: usize, symbol: &str) -> bool {
    tokens.get(at).is_some_and(|token| text[token.range.clone()] == *symbol)
}

/// Where the subscripts that begin here end; where they begin, when there are none, or one that isn't constant.
fn subscripts(text: &str, tokens: &[Token], start: usize) -> usize {
    let mut end = start;
    while is_symbol(text, tokens, end, "[") {
        let is_constant = |token: &&Token| {
            matches!(token.kind, TokenKind::Number | TokenKind::Parameter) || matches!(&text[token.range.clone()], ":" | "-")
        };
        let close = end + 1 + tokens[end + 1..].iter().take_while(is_constant).count();
        if !is_symbol(text, tokens, close, "]") {
            return start;
        }
        end = close + 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out() {
        let same_length = |text: &str, expected: &str| {
            let left = without_unknown(text).expect(text);
            assert_eq!((left.as_str(), left.len()), (expected, text.len()));
        };
        same_length(
            "INSERT INTO t (é) OVERRIDING SYSTEM VALUE VALUES (1)",
            "INSERT INTO t (é)                         VALUES (1)",
        );
        same_length("CREATE TABLE t (\"A\", b) AS SELECT 1, 2", "CREATE TABLE t          AS SELECT 1, 2");
        same_length("UPDATE t SET a[1] = 2, b[$1][2:3] = 3", "UPDATE t SET a    = 2, b          = 3");
        for text in [
            "UPDATE t SET a = b[1]",
            "UPDATE t SET a[(SELECT 1 FROM s)] = 2",
            "SELECT 1, a[1] = 2 || overriding",
        ] {
            let left = without_unknown(text);
            assert!(left.is_none() || text.starts_with("SELECT"), "{text}");
        }
    }
}
