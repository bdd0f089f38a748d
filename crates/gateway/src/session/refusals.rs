//! What can't be relayed because of what it would do to the session.

use std::sync::atomic::Ordering;

use flywheel_sql::{Pin, SessionEffect, Verb};
use flywheel_statement::Analysis;
use flywheel_wire::{PgError, sqlstate};

use super::effects::only_mentions;
use super::{Outcome, Session};
use crate::options::PoolMode;

/// What a session refuses to relay.
pub(super) struct Refusals<'s> {
    pub(super) session: &'s mut Session,
}

impl Refusals<'_> {
    /// What can't be relayed because of what it would do to the session.
    pub(super) fn check(&mut self, analysis: &Analysis) -> Outcome<()> {
        self.session.encoding().check(analysis)?;
        self.session.defaults().check_shown(analysis)?;
        if analysis.is_plain {
            return Ok(());
        }
        for statement in &analysis.statements {
            if self.session.identity.mode == PoolMode::Statement && statement.verb == Verb::Begin {
                let message = "transaction blocks aren't supported with pool_mode = \"statement\"";
                return Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
                    .with_hint("Send the statements in one text, which is one transaction, or set `pool_mode` to \"transaction\" for this user in Flywheel's configuration.")
                    .into());
            }
            if statement.session.pins().contains(&Pin::HeldCursor)
                && self.session.proofs().holds_unproved(analysis)
            {
                let message = "a cursor WITH HOLD of a query that may read or write store tables isn't supported";
                return Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
                    .with_hint("PostgreSQL runs it at COMMIT, when nothing can be undone. Declare it without HOLD.")
                    .into());
            }
            match &statement.session {
                SessionEffect::Set { name } | SessionEffect::SetLocal { name }
                    if name == "track_counts" && !self.session.shared.stores.twins.is_empty() =>
                {
                    let message = "track_counts can't be set where tables live in stores";
                    return Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
                        .with_hint("PostgreSQL's counters tell whether a function, trigger, rule or DO block touches such a table.")
                        .into());
                }
                SessionEffect::Pins(Pin::LastValue)
                    if !self.session.transaction.has_failed()
                        && !self.knows_last_values()
                        && !only_mentions(statement, &analysis.text) =>
                {
                    // The sequence may have been used on a connection that has gone back to the
                    // pool, and this one by other clients.
                    self.session.shared.asks_last_values.store(true, Ordering::Relaxed);
                    self.session.pin(Pin::LastValue);
                    let message = "the sequence value of an earlier statement isn't known any more: it was made on a pooled connection";
                    return Err(PgError::error(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                        .with_hint(
                            "Use INSERT … RETURNING, or ask in the same transaction. From now on this session keeps its connection, so that asking works.",
                        )
                        .into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the last values of sequences on the server connection are this session's, and all
    /// that it has.
    fn knows_last_values(&self) -> bool {
        let is_kept = self.session.is_pinned() || !self.session.transaction.is_idle();
        is_kept
            && self
                .session
                .upstream
                .lease()
                .is_none_or(|lease| lease.has_sequences_of(&self.session.upstream.holder))
    }
}
