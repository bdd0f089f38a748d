//! What a statement does beside changing its tables. A write that PostgreSQL computes on staged
//! rows is rolled back there, and with it what its functions have done elsewhere: such functions
//! are refused rather than forgotten.

use flywheel_postgres::{Connection, ServerError};
use flywheel_sql::lex::{TokenKind, lex};
use flywheel_wire::quote::literal;
use flywheel_wire::{PgError, sqlstate};

/// Functions of PostgreSQL's own that act on more than their result, and not at once. (A sequence's
/// value stays taken.)
const ACTING: &[&str] =
    &["pg_notify", "set_config", "lo_create", "lo_put", "lo_unlink", "lowrite", "query_to_xml"];

/// Refuses a statement that calls a function which may act elsewhere: volatile, and written in SQL
/// or a procedural language.
pub(super) async fn check(connection: &mut Connection, text: &str) -> Result<(), ServerError> {
    let tokens = lex(text);
    let called: Vec<String> = tokens
        .windows(2)
        .filter(|pair| {
            matches!(pair[0].kind, TokenKind::Word | TokenKind::QuotedWord)
                && pair[1].kind == TokenKind::Open
        })
        .map(|pair| pair[0].identifier(text).into_owned())
        .collect();
    if called.is_empty() {
        return Ok(());
    }
    if let Some(name) = called.iter().find(|name| ACTING.contains(&name.as_str())) {
        return Err(refused(name).into());
    }
    let names: Vec<_> = called.iter().map(|name| literal(name)).collect();
    let sql = format!(
        "SELECT p.proname FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang \
         WHERE p.proname IN ({}) AND p.provolatile = 'v' AND l.lanname NOT IN ('c', 'internal') LIMIT 1",
        names.join(", ")
    );
    let found = connection.query(&sql).await?.pop().unwrap_or_default();
    match found.text(0, 0) {
        "" => Ok(()),
        name => Err(refused(name).into()),
    }
}

fn refused(function: &str) -> PgError {
    let message = format!(
        "a write to a store table can't call {function}(): what the function does elsewhere would be lost"
    );
    PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message).with_hint(
        "Call it in a statement of its own, or declare it STABLE or IMMUTABLE when it only reads.",
    )
}
