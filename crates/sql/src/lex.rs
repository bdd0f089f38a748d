//! PostgreSQL's lexical structure (sql-syntax-lexical), as far as it decides where words, texts and statements end.
//!
//! Assumes `standard_conforming_strings = on`, the default since PostgreSQL 9.1.

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
    /// An identifier as PostgreSQL reads it: folded to lower case unless quoted. Other tokens as they stand.
    #[must_use]
    pub fn identifier<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let raw = &text[self.range.clone()];
        match self.kind {
            TokenKind::QuotedWord => {
                let escaped = raw.starts_with(['U', 'u']);
                let inner = raw.trim_start_matches(['U', 'u', '&']);
                let inner = inner.strip_prefix('"').unwrap_or(inner);
                let plain = inner.strip_suffix('"').unwrap_or(inner).replace("\"\"", "\"");
                Cow::Owned(if escaped { unescape(&plain) } else { plain })
            }
            TokenKind::Word if raw.bytes().any(|byte| byte.is_ascii_uppercase()) => Cow::Owned(raw.to_ascii_lowercase()),
            _ => Cow::Borrowed(raw),
        }
    }

    /// Whether it is the keyword (given in lower case).
    #[must_use]
    pub fn is_keyword(&self, text: &str, keyword: &str) -> bool {
        self.kind == TokenKind::Word && text[self.range.clone()].eq_ignore_ascii_case(keyword)
    }
}

/// `U&"…"`: `\XXXX` and `\+XXXXXX` are characters by their code points, `\\` is a backslash. (UESCAPE, which chooses another character, isn't
/// looked for.)
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let digits = match after.as_bytes().first() {
            Some(b'\\') => {
                out.push('\\');
                rest = &after[1..];
                continue;
            }
            Some(b'+') => after.get(1..7),
            _ => after.get(..4),
        };
        let read = digits.and_then(|digits| Some((digits.len(), char::from_u32(u32::from_str_radix(digits, 16).ok()?)?)));
        let Some((length, character)) = read else {
            out.push('\\');
            rest = after;
            continue;
        };
        out.push(character);
        rest = &after[length + usize::from(after.starts_with('+'))..];
    }
    out.push_str(rest);
    out
}

/// All tokens of `text`, without white space and comments. A string or comment that isn't closed reaches to the end.
#[must_use]
pub fn lex(text: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        text,
        bytes: text.as_bytes(),
        at: 0,
    };
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
            b'\'' => self.quoted(b'\'', false, TokenKind::String),
            b'"' => self.quoted(b'"', false, TokenKind::QuotedWord),
            b'$' => self.dollar(),
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_some_and(|byte| byte.is_ascii_digit()) => self.number(),
            _ if is_word_start(first) => self.word(first),
            _ => self.symbol(),
        };
        Some(Token {
            kind,
            range: start..self.at,
        })
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
                (Some(b'-'), Some(b'-')) => self.at = memchr_from(self.bytes, self.at, b'\n'),
                (Some(b'/'), Some(b'*')) => self.skip_comment(),
                _ => return,
            }
        }
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

    /// Up to the closing quote; a doubled quote is one of the text, and so is one behind a backslash in `E'…'`.
    fn quoted(&mut self, quote: u8, backslash: bool, kind: TokenKind) -> TokenKind {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if byte == b'\\' && backslash {
                self.at = (self.at + 1).min(self.bytes.len());
            } else if byte == quote {
                if self.peek(0) != Some(quote) {
                    break;
                }
                self.at += 1;
            }
        }
        kind
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
                return self.quoted(b'\'', false, TokenKind::String);
            }
            (b'u' | b'U', Some(b'&'), Some(quote @ (b'\'' | b'"'))) => {
                self.at += 2;
                return self.quoted(quote, false, if quote == b'"' { TokenKind::QuotedWord } else { TokenKind::String });
            }
            _ => {}
        }
        self.skip_while(is_word_part);
        TokenKind::Word
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

fn memchr_from(bytes: &[u8], from: usize, wanted: u8) -> usize {
    bytes[from..]
        .iter()
        .position(|&byte| byte == wanted)
        .map_or(bytes.len(), |offset| from + offset)
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
        assert_eq!(texts("DO $x$ begin; $$ $x$; $1 $"), ["DO", "$x$ begin; $$ $x$", ";", "$1", "$"]);
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
        let words: Vec<_> = lex(text).iter().map(|token| token.identifier(text).into_owned()).collect();
        assert_eq!(words, ["foo", "Foo\"x"]);
    }
}
