//! What the words of a statement or of a function's body say.

use std::borrow::Cow;

use flywheel_sql::lex::{Token, TokenKind};

/// The identifiers, and what may be some.
pub(super) fn words<'t>(text: &'t str, tokens: &'t [Token]) -> impl Iterator<Item = Cow<'t, str>> {
    tokens
        .iter()
        .filter(|token| matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord))
        .map(|token| token.identifier(text))
}

/// The identifiers that stand before a parenthesis: functions, and keywords.
pub(super) fn calls<'t>(text: &'t str, tokens: &'t [Token]) -> impl Iterator<Item = Cow<'t, str>> {
    tokens
        .windows(2)
        .filter(|pair| {
            matches!(pair[0].kind, TokenKind::Word | TokenKind::QuotedWord)
                && pair[1].kind == TokenKind::Open
        })
        .map(|pair| pair[0].identifier(text))
}

/// Whether one of these keywords is among the tokens.
pub(super) fn has_any(text: &str, tokens: &[Token], keywords: &[&str]) -> bool {
    tokens.iter().any(|token| keywords.iter().any(|keyword| token.is_keyword(text, keyword)))
}
