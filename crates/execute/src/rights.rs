//! Rights on store tables. PostgreSQL checks them when a statement begins to run, which one that a
//! store answers never does there. EXPLAIN begins it, and goes no further.
//!
//! Rights on a store table are checked by PostgreSQL, by EXPLAIN of the statement, with its views
//! in it, when it is planned for a role (`execute/rights.rs`). A plan's key names the role; what
//! changes rights ends all plans: the digests of definitions, memberships, roles and schemas, and
//! at once GRANT, REVOKE and definitions through this gateway, at their COMMIT once more. What a
//! table is, is read under the url's login where a role may not.

use bytes::Bytes;
use flywheel_postgres::{Described, Portal};
use flywheel_sql::lex::TokenKind;
use flywheel_sql::{Explained, split};
use flywheel_wire::sqlstate;

use super::{Arguments, StoreStatement};
use crate::apart;
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};

impl<H: Host> Executor<'_, H> {
    /// Whether the session's role may do what the statement does; an error when it may not. False:
    /// PostgreSQL finds something else to be wrong with the statement, such as a division by zero
    /// among its constants, before it looks at rights. It would say so no earlier than when the
    /// statement runs.
    pub(super) async fn check_rights(
        &mut self,
        text: &str,
        described: &Described,
    ) -> Outcome<bool> {
        let nulls: Vec<Option<Bytes>> = vec![None; described.parameters.len()];
        let in_block = apart::begin(self).await?;
        let begun = self.explain(text, described, &[], &nulls).await;
        match apart::undo(self, in_block, begun).await {
            Err(Failure::Statement(error))
                if error.code() != sqlstate::INSUFFICIENT_PRIVILEGE.0 =>
            {
                Ok(false)
            }
            begun => begun.map(|()| true),
        }
    }

    /// The same of the statement that this one explains, which needs the rights to carry it out.
    pub(super) async fn check_rights_of_explained(
        &mut self,
        text: &str,
        described: &Described,
    ) -> Outcome<bool> {
        let statements = split(text);
        let explained =
            statements.first().and_then(|statement| Explained::of(text, &statement.tokens));
        if let Some(explained) = explained {
            self.check_rights(&text[explained.start..], described).await?;
        }
        Ok(true)
    }

    /// The same for a statement that runs now and couldn't be checked before: whatever is wrong is
    /// an error.
    pub(super) async fn check_rights_now(
        &mut self,
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<()> {
        self.explain(&statement.named, statement.described(), arguments.formats, arguments.values)
            .await
    }

    async fn explain(
        &mut self,
        text: &str,
        described: &Described,
        formats: &[i16],
        values: &[Option<Bytes>],
    ) -> Outcome<()> {
        let sql = format!("EXPLAIN {}", copied(text).unwrap_or(text));
        let portal = Portal {
            sql: &sql,
            types: &described.parameters,
            formats,
            values,
            ..Portal::default()
        };
        let explained = self.server().await?.run(&portal).await;
        explained.map(drop).map_err(|error| self.server_failed(&error))
    }
}

/// The query of `COPY (query) TO …`, which can't be explained itself.
pub(super) fn copied(text: &str) -> Option<&str> {
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
        assert_eq!(
            copied("COPY (SELECT (a) FROM t) TO STDOUT (FORMAT csv)"),
            Some("SELECT (a) FROM t")
        );
        assert_eq!(copied("SELECT (a) FROM t"), None);
    }
}
