//! What a session writes, for the answers that are kept: they end when it is noted, and again when
//! it is visible.

use std::sync::Arc;

use flywheel_answers::Caching;
use flywheel_execute::{Arguments, StoreStatement};
use flywheel_plan::Parameters;
use flywheel_statement::{Analyses, Analysis};
use flywheel_wire::Charset;

use super::parts::{Prepared, Transaction, Writes};

/// The writes of a session, as they are noted for the cache.
pub(super) struct NotedWrites<'s> {
    pub(super) caching: Option<&'s Arc<Caching>>,
    pub(super) analyses: &'s Analyses,
    pub(super) writes: &'s mut Writes,
    pub(super) transaction: &'s Transaction,
    pub(super) prepared: &'s Prepared,
    pub(super) is_pinned: bool,
    pub(super) is_unsynced: bool,
    pub(super) charset: Charset,
}

impl NotedWrites<'_> {
    /// A statement is about to be carried out by a server.
    pub(super) fn note(
        &mut self,
        analysis: &Analysis,
        positions: std::ops::Range<usize>,
        parameters: &Parameters<'_>,
    ) {
        let Some(caching) = self.caching else { return };
        if !self.charset.is_utf8() {
            // Its values and names aren't read here.
            let mut statements = positions.clone();
            if !analysis.changes_nothing() && statements.next().is_some() {
                caching.note_anything(&mut self.writes.written);
            }
            return;
        }
        let may_be_temporary = self.is_pinned;
        for position in positions {
            caching.note(
                &mut self.writes.written,
                analysis,
                position,
                parameters,
                may_be_temporary,
            );
        }
    }

    /// Something of which nothing is known is about to be carried out.
    pub(super) fn note_any(&mut self) {
        if let Some(caching) = self.caching {
            caching.note_anything(&mut self.writes.written);
        }
    }

    /// A statement on store tables is about to be carried out.
    pub(crate) fn note_store(&mut self, statement: &StoreStatement, arguments: &Arguments<'_>) {
        if self.caching.is_none() || statement.is_cache_command() {
            return;
        }
        let Some((text, types)) = statement.written() else {
            return self.note_any();
        };
        let analysis = self.analyses.of(text);
        let parameters = Parameters {
            types,
            formats: arguments.formats,
            values: arguments.values,
            ..Parameters::default()
        };
        self.note(&analysis, 0..analysis.statements.len(), &parameters);
    }

    /// The answer to a write has come, of a transaction that may be over with it.
    pub(super) fn apply(&self) {
        self.writes.apply(self.caching);
    }

    /// Outside a block, all that was written is visible: before the client hears of it, nothing is
    /// left of the answers from before.
    pub(crate) fn settle(&mut self) {
        if self.transaction.is_idle() && !self.is_unsynced {
            let is_open = self.transaction.block.is_open();
            self.writes.settle(self.caching, is_open);
        }
    }

    /// The server is at rest after all that was sent to it. What Flywheel itself is carrying out
    /// may be written to its store only now.
    pub(crate) fn settle_at_rest(&mut self) {
        if self.transaction.is_idle() {
            let is_open = !self.transaction.block.writes.is_empty();
            self.writes.settle(self.caching, is_open);
        }
    }

    /// The server connection, or a store's answer, is lost, or left: what was written there may
    /// become visible, now or in a moment.
    pub(crate) fn lose(&mut self) {
        self.writes.lose(self.caching);
    }

    /// What a portal is about to write.
    pub(super) fn note_portal(&mut self, portal: &str) {
        if self.caching.is_none() {
            return;
        }
        let Some(portal) = self.prepared.portals.get(portal) else { return };
        let statement = &portal.statement;
        let parameters = Parameters {
            types: &statement.types,
            formats: &portal.formats,
            values: &portal.values,
            ..Parameters::default()
        };
        self.note(&statement.analysis, 0..statement.analysis.statements.len(), &parameters);
    }
}
