//! PostgreSQL's lexical structure (sql-syntax-lexical), as far as it decides where words, texts and
//! statements end.
//!
//! Assumes `standard_conforming_strings = on`, the default since PostgreSQL 9.1. What a client
//! writes with it off is first put so that it means the same with either setting
//! ([`crate::conforming`]).

use std::borrow::Cow;
use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A keyword or an unquoted identifier.
    Word,
    /// A quoted identifier.
    QuotedWord,
    /// Any string constant: `'…'`, `E'…'`, `$tag$…$tag$`, …
    String,
    /// A number.
    Number,
    /// `$1`
    Parameter,
    /// `;`
    Semicolon,
    /// `(` or `[`
    Open,
    /// `)` or `]`
    Close,
    /// Any other character.
    Symbol,
}

/// A token and where it stands, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it stands.
    pub range: Range<usize>,
}

impl Token {
    /// An identifier as PostgreSQL reads it: folded to lower case unless quoted. Other tokens as
    /// they stand.
    #[must_use]
    pub fn identifier<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let raw = &text[self.range.clone()];
        match self.kind {
            TokenKind::Word | TokenKind::QuotedWord => fold(raw),
            _ => Cow::Borrowed(raw),
        }
    }

    /// Whether it is the keyword (given in lower case).
    #[must_use]
    pub fn is_keyword(&self, text: &str, keyword: &str) -> bool {
        self.kind == TokenKind::Word && text[self.range.clone()].eq_ignore_ascii_case(keyword)
    }
}

/// PostgreSQL cuts longer names off.
const MAX_NAME: usize = 63;

/// A word or quoted word as PostgreSQL reads it.
pub(crate) fn fold(raw: &str) -> Cow<'_, str> {
    let name = if let Some(inner) = raw.strip_prefix('"') {
        let inner = inner.strip_suffix('"').unwrap_or(inner);
        if inner.contains('"') {
            Cow::Owned(inner.replace("\"\"", "\""))
        } else {
            Cow::Borrowed(inner)
        }
    } else if let Some(inner) =
        raw.strip_prefix(['U', 'u']).and_then(|rest| rest.strip_prefix("&\""))
    {
        let end = inner.rfind('"').unwrap_or(inner.len());
        // The quote may be the one around the escape character only if that is behind UESCAPE.
        let escape =
            raw.strip_suffix('\'').and_then(|rest| rest.chars().next_back()).unwrap_or('\\');
        Cow::Owned(unescape(&inner[..end].replace("\"\"", "\""), escape))
    } else if raw.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(raw.to_ascii_lowercase())
    } else {
        Cow::Borrowed(raw)
    };
    if name.len() <= MAX_NAME {
        return name;
    }
    let cut = (0..=MAX_NAME).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    Cow::Owned(name[..cut].to_owned())
}

/// `U&"…"`: `\XXXX` and `\+XXXXXX` are characters by their code points, `\\` is a backslash;
/// UESCAPE may choose another character for it.
fn unescape(text: &str, escape: char) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(escape) {
        out.push_str(&rest[..at]);
        let after = &rest[at + escape.len_utf8()..];
        if let Some(behind) = after.strip_prefix(escape) {
            out.push(escape);
            rest = behind;
            continue;
        }
        let digits = if after.starts_with('+') { after.get(1..7) } else { after.get(..4) };
        let read = digits.and_then(|digits| {
            Some((digits.len(), char::from_u32(u32::from_str_radix(digits, 16).ok()?)?))
        });
        let Some((length, character)) = read else {
            out.push(escape);
            rest = after;
            continue;
        };
        out.push(character);
        rest = &after[length + usize::from(after.starts_with('+'))..];
    }
    out.push_str(rest);
    out
}

/// All tokens of `text`, without white space and comments. A string or comment that isn't closed
/// reaches to the end.
#[must_use]
pub fn lex(text: &str) -> Vec<Token> {
    lex_with(text, false)
}

/// The same, where a backslash in an ordinary string escapes what follows
/// (`standard_conforming_strings = off`).
pub(crate) fn lex_with(text: &str, has_escapes: bool) -> Vec<Token> {
    let mut lexer = Lexer { text, bytes: text.as_bytes(), at: 0, has_escapes };
    let mut tokens = Vec::with_capacity(text.len() / 6);
    while let Some(token) = lexer.next_token() {
        tokens.push(token);
    }
    tokens
}

struct Lexer<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    /// Ordinary strings are as `E'…'`.
    has_escapes: bool,
}

impl Lexer<'_> {
    fn next_token(&mut self) -> Option<Token> {
        self.skip_blank();
        let start = self.at;
        let first = *self.bytes.get(start)?;
        let kind = match first {
            b';' => self.single(TokenKind::Semicolon),
            b'(' | b'[' => self.single(TokenKind::Open),
            b')' | b']' => self.single(TokenKind::Close),
            b'\'' => self.quoted(b'\'', self.has_escapes, TokenKind::String),
            b'"' => self.quoted(b'"', false, TokenKind::QuotedWord),
            b'$' => self.dollar(),
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_some_and(|byte| byte.is_ascii_digit()) => self.number(),
            _ if is_word_start(first) => self.word(first),
            _ => self.symbol(),
        };
        Some(Token { kind, range: start..self.at })
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn single(&mut self, kind: TokenKind) -> TokenKind {
        self.at += 1;
        kind
    }

    fn symbol(&mut self) -> TokenKind {
        // A whole character, so that ranges stay on boundaries.
        self.at += self.text[self.at..].chars().next().map_or(1, char::len_utf8);
        TokenKind::Symbol
    }

    /// White space, `-- …` to the end of the line, and `/* … */`, which nests.
    fn skip_blank(&mut self) {
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(byte), _) if byte.is_ascii_whitespace() || byte == 0x0b => self.at += 1,
                (Some(b'-'), Some(b'-')) => self.skip_line(),
                (Some(b'/'), Some(b'*')) => self.skip_comment(),
                _ => return,
            }
        }
    }

    /// A carriage return ends a line, too.
    fn skip_line(&mut self) {
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
    }

    fn skip_comment(&mut self) {
        let mut depth = 0usize;
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => (depth, self.at) = (depth + 1, self.at + 2),
                (Some(b'*'), Some(b'/')) => {
                    (depth, self.at) = (depth - 1, self.at + 2);
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    /// Up to the closing quote; a doubled quote is one of the text, and so is one behind a
    /// backslash in `E'…'`. A string may go on in another line.
    fn quoted(&mut self, quote: u8, backslash: bool, kind: TokenKind) -> TokenKind {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if byte == b'\\' && backslash {
                self.at = (self.at + 1).min(self.bytes.len());
            } else if byte == quote {
                if self.peek(0) == Some(quote) {
                    self.at += 1;
                } else if let (b'\'', Some(next)) = (quote, self.continued()) {
                    self.at = next;
                } else {
                    break;
                }
            }
        }
        // Backslashes may have led into the middle of a character.
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
        kind
    }

    /// Where a string goes on behind the quote that goes on in another line, with nothing between
    /// but blanks and `--` comments.
    fn continued(&self) -> Option<usize> {
        let (mut at, mut is_new_line) = (self.at, false);
        loop {
            match (self.bytes.get(at)?, self.bytes.get(at + 1)) {
                (b'\n' | b'\r', _) => (at, is_new_line) = (at + 1, true),
                (b' ' | b'\t' | 0x0b | 0x0c, _) => at += 1,
                (b'-', Some(b'-')) => {
                    at += self.bytes[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r'))?
                }
                (b'\'', _) if is_new_line => return Some(at + 1),
                _ => return None,
            }
        }
    }

    /// `$1`, or a dollar-quoted string, or a lone `$`.
    fn dollar(&mut self) -> TokenKind {
        if self.peek(1).is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
            self.skip_while(|byte| byte.is_ascii_digit());
            return TokenKind::Parameter;
        }
        let tag_len = self.bytes[self.at + 1..]
            .iter()
            .take_while(|&&byte| is_word_part(byte) && byte != b'$')
            .count();
        if self.peek(tag_len + 1) != Some(b'$') {
            return self.single(TokenKind::Symbol);
        }
        let tag = &self.bytes[self.at..self.at + tag_len + 2];
        let body = self.at + tag.len();
        self.at = find_from(self.bytes, body, tag).map_or(self.bytes.len(), |end| end + tag.len());
        TokenKind::String
    }

    fn number(&mut self) -> TokenKind {
        self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.');
        // 1e-5: the sign belongs to the number.
        if matches!(self.peek(0), Some(b'+' | b'-'))
            && matches!(self.bytes[self.at - 1], b'e' | b'E')
            && self.peek(1).is_some_and(|byte| byte.is_ascii_digit())
        {
            self.at += 1;
            self.skip_while(|byte| byte.is_ascii_digit());
        }
        TokenKind::Number
    }

    fn word(&mut self, first: u8) -> TokenKind {
        match (first, self.peek(1), self.peek(2)) {
            (b'e' | b'E', Some(b'\''), _) => {
                self.at += 1;
                return self.quoted(b'\'', true, TokenKind::String);
            }
            (b'b' | b'B' | b'x' | b'X' | b'n' | b'N', Some(b'\''), _) => {
                self.at += 1;
                // A national string is an ordinary one.
                let backslash = self.has_escapes && matches!(first, b'n' | b'N');
                return self.quoted(b'\'', backslash, TokenKind::String);
            }
            (b'u' | b'U', Some(b'&'), Some(b'\'')) => {
                self.at += 2;
                return self.quoted(b'\'', false, TokenKind::String);
            }
            (b'u' | b'U', Some(b'&'), Some(b'"')) => {
                self.at += 2;
                self.quoted(b'"', false, TokenKind::QuotedWord);
                self.uescape();
                return TokenKind::QuotedWord;
            }
            _ => {}
        }
        self.skip_while(is_word_part);
        TokenKind::Word
    }

    /// `UESCAPE 'c'` belongs to the name in front.
    fn uescape(&mut self) {
        let name = self.at;
        self.skip_blank();
        let rest = &self.bytes[self.at..];
        let is_word = rest.get(..7).is_some_and(|word| word.eq_ignore_ascii_case(b"uescape"));
        self.at += 7;
        if is_word && !self.peek(0).is_some_and(is_word_part) {
            self.skip_blank();
            if self.peek(0) == Some(b'\'') {
                self.quoted(b'\'', false, TokenKind::String);
                return;
            }
        }
        self.at = name;
    }

    fn skip_while(&mut self, accept: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&accept) {
            self.at += 1;
        }
    }
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_word_part(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

fn find_from(bytes: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    bytes[from..]
        .windows(wanted.len())
        .position(|window| window == wanted)
        .map(|offset| from + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        lex(text).into_iter().map(|token| &text[token.range]).collect()
    }

    #[test]
    fn strings_and_comments_hide_what_they_hold() {
        assert_eq!(
            texts("SELECT 'a;''b' -- ;x\n, E'\\';' /* ; /* ; */ */ ;"),
            ["SELECT", "'a;''b'", ",", "E'\\';'", ";"]
        );
        assert_eq!(
            texts("DO $x$ begin; $$ $x$; $1 $"),
            ["DO", "$x$ begin; $$ $x$", ";", "$1", "$"]
        );
        assert_eq!(
            texts("\"a\"\"b\".U&\"x\" 1.5e-3 .5 é=ü"),
            ["\"a\"\"b\"", ".", "U&\"x\"", "1.5e-3", ".5", "é", "=", "ü"]
        );
        assert_eq!(texts("'open ; "), ["'open ; "]);
    }

    #[test]
    fn identifiers_are_read_as_postgresql_reads_them() {
        for (text, identifier) in [
            ("Sessions", "sessions"),
            ("\"Größe\"\"x\"", "Größe\"x"),
            ("u&\"sessions\"", "sessions"),
            ("U&\"s\\0065ssions\"", "sessions"),
            ("U&\"s\\+000065ssion\\\\s\"", "session\\s"),
            ("U&\"\\zz\"", "\\zz"),
            ("\"Uhr\"", "Uhr"),
        ] {
            assert_eq!(lex(text)[0].identifier(text), identifier, "{text}");
        }
    }

    #[test]
    fn identifiers_fold() {
        let text = "Foo \"Foo\"\"x\"";
        let words: Vec<_> =
            lex(text).iter().map(|token| token.identifier(text).into_owned()).collect();
        assert_eq!(words, ["foo", "Foo\"x"]);
    }
}
