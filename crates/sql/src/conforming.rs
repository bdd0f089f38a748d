//! Texts of a session whose `standard_conforming_strings` is off, in which a backslash in an
//! ordinary string escapes what follows.
//!
//! Texts read the same with either setting of `standard_conforming_strings`. What comes in with the
//! setting off is put so at once: without escapes where that is possible, at the same places, else
//! as `E'…'`. So nothing that lexes, keeps or sends a text needs to know the setting. What came in
//! with it on isn't sent with it off.

use std::ops::Range;

use crate::lex::{Token, TokenKind, lex, lex_with};

/// The text with such strings put so that it means the same whatever the setting; `None` when there
/// are none in it.
///
/// A string stays where it is, and so does what is behind it: where no backslash is left in it, it
/// is written without escapes and followed by blanks, otherwise as `E'…'`, in the place of a blank
/// in front of it where there is one to spare.
#[must_use]
pub fn conforming(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return None;
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut copied = 0;
    for token in lex_with(text, true) {
        let Some(quote) = quote(text, &token.range).filter(|_| token.kind == TokenKind::String)
        else {
            continue;
        };
        let written = &text[quote..token.range.end];
        if !written.contains('\\') {
            continue;
        }
        out.push_str(&text[copied..quote]);
        copied = token.range.end;
        match unescaped(written).filter(|plain| !plain.contains('\\')) {
            Some(plain) => {
                let literal = format!("'{}'", plain.replace('\'', "''"));
                let blanks = written.chars().count().saturating_sub(literal.chars().count());
                out.push_str(&literal);
                out.push_str(&" ".repeat(blanks));
            }
            None => {
                if has_blank_to_spare(&out) {
                    out.pop();
                }
                // A national string is of the type NCHAR.
                let is_national = quote > token.range.start;
                if is_national {
                    out.pop();
                }
                out.push_str(if is_national { "NCHAR E" } else { "E" });
                out.push_str(written);
            }
        }
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&text[copied..]);
    Some(out)
}

/// Whether a text that was written with the setting on means something else with it off: it has a
/// backslash in an ordinary string.
#[must_use]
pub fn needs_conforming(text: &str) -> bool {
    let is_plain =
        |token: &Token| token.kind == TokenKind::String && quote(text, &token.range).is_some();
    text.contains('\\')
        && lex(text).iter().any(|token| is_plain(token) && text[token.range.clone()].contains('\\'))
}

/// Where the quote of an ordinary or national string stands.
fn quote(text: &str, range: &Range<usize>) -> Option<usize> {
    match text.as_bytes().get(range.start)? {
        b'\'' => Some(range.start),
        b'n' | b'N' => Some(range.start + 1),
        _ => None,
    }
}

/// Whether the text ends in a blank that separates nothing.
fn has_blank_to_spare(text: &str) -> bool {
    let mut last = text.chars().rev();
    let is_part = |before: char| {
        before.is_alphanumeric() || matches!(before, '_' | '$' | '"' | '\'') || !before.is_ascii()
    };
    last.next() == Some(' ') && last.next().is_some_and(|before| !is_part(before))
}

/// What is between the quotes of a string with escapes; `None` where it goes on in another line, or
/// isn't sure to be read by PostgreSQL.
pub(crate) fn unescaped(written: &str) -> Option<String> {
    let mut rest = written.strip_prefix('\'')?.strip_suffix('\'')?.chars().peekable();
    let mut plain = String::new();
    while let Some(next) = rest.next() {
        match next {
            '\'' => plain.push(rest.next().filter(|quote| *quote == '\'')?),
            '\\' => plain.push(match rest.next()? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                // Bytes and code points are PostgreSQL's to check.
                '0'..='7' | 'x' | 'u' | 'U' => return None,
                other => other,
            }),
            other => plain.push(other),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_mean_the_same_with_either_setting() {
        let is = |text: &str, expected: &str| {
            assert_eq!(conforming(text).as_deref(), Some(expected), "{text}");
            assert!(!needs_conforming(expected), "{text}");
        };
        is("SELECT 'a\\'b', 1", "SELECT 'a''b', 1");
        is("SELECT '\\' FROM sessions --', 1", "SELECT ''' FROM sessions --', 1");
        is("SELECT 'a\\nb' || x", "SELECT 'a\nb'  || x");
        is("SELECT * FROM t WHERE a = 'b\\\\c' AND d", "SELECT * FROM t WHERE a =E'b\\\\c' AND d");
        is("SELECT '\\x41', N'\\\\'", "SELECT E'\\x41', NCHAR E'\\\\'");
        is("SELECT 'a'\n'b\\'' FROM t", "SELECT E'a'\n'b\\'' FROM t");
        assert!(needs_conforming("SELECT 'a\\b'") && needs_conforming("SELECT n'\\'"));
        for text in ["SELECT 'a'", "SELECT E'a\\'b'", "SELECT $$\\$$, \"\\\"", "SELECT 1 -- '\\'"] {
            assert_eq!(conforming(text), None, "{text}");
            assert!(!needs_conforming(text), "{text}");
        }
    }

    #[test]
    fn what_is_put_otherwise_stands_in_its_place() {
        let text = "SELECT 'é\\'' , x WHERE y = '\\\\' AND z";
        let put = conforming(text).expect("another text");
        let place = |text: &str, what: char| text.chars().position(|each| each == what);
        assert_eq!((place(text, 'x'), place(text, 'z')), (place(&put, 'x'), place(&put, 'z')));
    }
}
