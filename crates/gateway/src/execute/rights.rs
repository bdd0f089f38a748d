//! Rights on store tables. PostgreSQL checks them when a statement begins to run, which one that a store answers never does there.

use flywheel_postgres::{Connection, Described, Portal, ServerError};
use flywheel_sql::lex::TokenKind;
use flywheel_sql::split;

/// Has PostgreSQL check that the connection's role may do what the statement does: EXPLAIN begins it, and goes no further.
pub(super) async fn check(connection: &mut Connection, text: &str, described: &Described) -> Result<(), ServerError> {
    let sql = format!("EXPLAIN {}", copied(text).unwrap_or(text));
    let portal = Portal {
        sql: &sql,
        types: &described.parameters,
        values: &vec![None; described.parameters.len()],
        ..Portal::default()
    };
    connection.run(&portal).await.map(drop)
}

/// The query of `COPY (query) TO …`, which can't be explained itself.
fn copied(text: &str) -> Option<&str> {
    let statements = split(text);
    let tokens = &statements.first()?.tokens;
    if !tokens.first()?.is_keyword(text, "copy") {
        return None;
    }
    let mut depth = 0_usize;
    let close = tokens.iter().find(|token| {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            _ => return false,
        }
        depth == 0
    })?;
    text.get(tokens.get(1)?.range.end..close.range.start)
}

#[cfg(test)]
mod tests {
    use super::copied;

    #[test]
    fn the_query_of_a_copy() {
        assert_eq!(copied("COPY (SELECT (a) FROM t) TO STDOUT (FORMAT csv)"), Some("SELECT (a) FROM t"));
        assert_eq!(copied("SELECT (a) FROM t"), None);
    }
}
