//! Names of prepared statements are one space, whoever has given them: Parse, or SQL's PREPARE.
//!
//! A server connection knows what a client has parsed under a name made of its content, since
//! clients share it. A text that names a statement (EXECUTE, EXPLAIN EXECUTE, another PREPARE), or
//! lists them, finds it on the connection under its own name: it is prepared there for as long as
//! the text takes. So its errors, positions and plans are PostgreSQL's own. A text that lists them
//! finds no others.
//!
//! A text that names or lists prepared statements finds the client's own on the connection: what
//! was parsed by protocol, and is shared under a name made of its content, is prepared there under
//! the client's name for as long as the text takes. So errors, positions and EXPLAIN are
//! PostgreSQL's; before a list all others are closed.

use std::sync::Arc;

use flywheel_statement::Analysis;
use flywheel_wire::Charset;

use super::parts::{Listening, Prepared, Upstream};
use super::work::Work;
use super::{Failure, Outcome, PreparedStatement, Session};

/// The client's statements that a text wants on the server connection.
pub(super) struct WantedNames<'s> {
    pub(super) prepared: &'s Prepared,
    pub(super) upstream: &'s Upstream,
    pub(super) listening: &'s Listening,
    pub(super) charset: Charset,
}

impl WantedNames<'_> {
    /// The client's statements that the server connection must have under their own names for a
    /// text.
    fn of(&self, analysis: &Analysis) -> Vec<(String, Arc<PreparedStatement>)> {
        if self.prepared.statements.is_empty() {
            return Vec::new();
        }
        let is_wanted = |name: &String, statement: &PreparedStatement| {
            !name.is_empty()
                && !statement.by_sql
                && (statement.charset == self.charset || statement.analysis.text.is_ascii())
                && !self.upstream.has_named(name)
                && (analysis.lists_prepared || analysis.names_prepared.contains(name))
        };
        let statements = self.prepared.statements.iter();
        let wanted = statements.filter(|(name, statement)| is_wanted(name, statement));
        wanted.map(|(name, statement)| (name.clone(), statement.clone())).collect()
    }

    /// Whether a text names or lists prepared statements, so that the connection must be prepared
    /// for it.
    pub(super) fn concern(&self, analysis: &Analysis) -> bool {
        analysis.lists_prepared
            || !self.listening.lacking(analysis).is_empty()
            || (!analysis.names_prepared.is_empty() && !self.of(analysis).is_empty())
    }
}

/// The names of a session's prepared statements, as its server connection must have them.
pub(super) struct StatementNames<'s> {
    pub(super) session: &'s mut Session,
}

impl StatementNames<'_> {
    /// Gives the server connection, which is at rest, the statements that a text names or lists.
    pub(super) async fn put(&mut self, analysis: &Analysis) -> Outcome<()> {
        if !self.session.wanted_names().concern(analysis) || self.session.transaction.has_failed() {
            return Ok(());
        }
        self.session.listener().put_channels(analysis).await?;
        let wanted = self.session.wanted_names().of(analysis);
        if analysis.lists_prepared {
            return self.put_listed(wanted).await;
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let statements = wanted.iter().map(|(name, statement)| {
            (name.as_str(), statement.analysis.text.as_str(), &statement.types[..])
        });
        let put = self.session.server().await?.prepare_named([], statements).await;
        self.session.upstream.note_named(wanted.into_iter().map(|(name, _)| name));
        put.map_err(|error| self.session.server_failed(&error))?;
        self.session.follow_server();
        Ok(())
    }

    /// The same in the place of all that others, and Flywheel, have prepared there. What can't be
    /// prepared any more, since a table is gone, is left out.
    async fn put_listed(&mut self, wanted: Vec<(String, Arc<PreparedStatement>)>) -> Outcome<()> {
        let lease = self.session.server().await?;
        let foreign = lease.take_prepared();
        let closed = lease.prepare_named(foreign.iter().map(String::as_str), []).await;
        closed.map_err(|error| self.session.server_failed(&error))?;
        self.session.upstream.note_listed();
        let in_block = self.session.transaction.is_well();
        for (name, statement) in wanted {
            if in_block {
                self.session.own_statements().on_server("SAVEPOINT flywheel_listed").await?;
            }
            let one = (name.as_str(), &*statement.analysis.text, &statement.types[..]);
            let put = self.session.server().await?.prepare_named([], [one]).await;
            if let Err(error) = put
                && let failure @ Failure::Session(_) = self.session.server_failed(&error)
            {
                return Err(failure);
            }
            if in_block {
                let undo =
                    "ROLLBACK TO SAVEPOINT flywheel_listed; RELEASE SAVEPOINT flywheel_listed";
                self.session.own_statements().on_server(undo).await?;
            }
            self.session.upstream.note_named([name]);
        }
        self.session.follow_server();
        Ok(())
    }

    /// [`Self::put`] in the middle of a batch, whose statements before this one are answered
    /// first.
    pub(super) async fn put_within(&mut self, analysis: &Analysis, work: &mut Work) -> Outcome<()> {
        if !self.session.wanted_names().concern(analysis) || self.session.transaction.has_failed() {
            return Ok(());
        }
        let is_listed = analysis.lists_prepared && self.session.upstream.is_listed();
        if is_listed && self.session.wanted_names().of(analysis).is_empty() {
            return Ok(());
        }
        work.catch_up(self.session).await?;
        self.put(analysis).await
    }

    /// Takes the client's own names off the server connection, which is at rest.
    pub(super) async fn withdraw(&mut self) -> Outcome<()> {
        let names = self.session.upstream.take_named();
        let Some(lease) = self.session.upstream.lease_mut().filter(|_| !names.is_empty()) else {
            return Ok(());
        };
        let closed = lease.prepare_named(names.iter().map(String::as_str), []).await;
        closed.map_err(|error| self.session.server_failed(&error))
    }

    /// Notes a statement that SQL's PREPARE has made on the server connection.
    pub(crate) fn note_prepared(&mut self, name: String, statement: PreparedStatement) {
        self.session.prepared.statements.insert(name, Arc::new(statement));
    }
}
