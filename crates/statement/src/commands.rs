//! Flywheel's own statements: SHOW CACHE and FLUSH CACHE.

use flywheel_sql::lex::TokenKind;
use flywheel_sql::{RelationName, Statement};

/// Whether it is SHOW CACHE, FLUSH CACHE of a table or of all, or RELOAD.
pub fn is_command(text: &str, statement: &Statement) -> bool {
    let is = |at: usize, word: &str| {
        statement.tokens.get(at).is_some_and(|token| token.is_keyword(text, word))
    };
    if is(0, "reload") && statement.tokens.len() == 1 {
        return true;
    }
    is(1, "cache") && ((is(0, "show") && statement.tokens.len() == 2) || is(0, "flush"))
}

/// What stands behind FLUSH CACHE isn't a table's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTable;

/// The table of FLUSH CACHE; an error for anything else behind it.
pub fn named_table(text: &str, statement: &Statement) -> Result<Option<RelationName>, NoTable> {
    let name = |at: usize| match statement.tokens.get(at) {
        Some(token) if matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord) => {
            Ok(token.identifier(text).into_owned())
        }
        _ => Err(NoTable),
    };
    match statement.tokens.len() {
        2 => Ok(None),
        3 => Ok(Some(RelationName { schema: None, name: name(2)? })),
        5 if text[statement.tokens[3].range.clone()] == *"." => {
            Ok(Some(RelationName { schema: Some(name(2)?), name: name(4)? }))
        }
        _ => Err(NoTable),
    }
}
