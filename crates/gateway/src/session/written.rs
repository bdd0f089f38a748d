//! What a session writes, for the answers that are kept: they end when it is noted, and again when
//! it is visible.

use flywheel_execute::{Arguments, StoreStatement};
use flywheel_plan::Parameters;
use flywheel_statement::Analysis;

use super::Session;

impl Session {
    /// A statement is about to be carried out by a server.
    pub(super) fn note_writes(
        &mut self,
        analysis: &Analysis,
        positions: std::ops::Range<usize>,
        parameters: &Parameters<'_>,
    ) {
        let Some(caching) = self.shared.caching.clone() else { return };
        let may_be_temporary = self.is_pinned();
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
    pub(super) fn note_any_write(&mut self) {
        if let Some(caching) = &self.shared.caching {
            caching.note_anything(&mut self.writes.written);
        }
    }

    /// A statement on store tables is about to be carried out.
    pub(crate) fn note_store_write(
        &mut self,
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) {
        if self.shared.caching.is_none() || statement.is_cache_command() {
            return;
        }
        let Some((text, types)) = statement.written() else {
            return self.note_any_write();
        };
        let analysis = self.shared.analyses.of(text);
        let parameters = Parameters {
            types,
            formats: arguments.formats,
            values: arguments.values,
            ..Parameters::default()
        };
        self.note_writes(&analysis, 0..analysis.statements.len(), &parameters);
    }

    /// The answer to a write has come, of a transaction that may be over with it.
    pub(super) fn apply_writes(&self) {
        self.writes.apply(self.shared.caching.as_ref());
    }

    /// Outside a block, all that was written is visible: before the client hears of it, nothing is
    /// left of the answers from before.
    pub(crate) fn settle_writes(&mut self) {
        if self.transaction.is_idle() && !self.upstream.is_unsynced() {
            let is_open = self.transaction.block.is_open();
            self.writes.settle(self.shared.caching.as_ref(), is_open);
        }
    }

    /// The server is at rest after all that was sent to it. What Flywheel itself is carrying out
    /// may be written to its store only now.
    pub(crate) fn settle_writes_at_rest(&mut self) {
        if self.transaction.is_idle() {
            let is_open = !self.transaction.block.writes.is_empty();
            self.writes.settle(self.shared.caching.as_ref(), is_open);
        }
    }

    /// The server connection, or a store's answer, is lost, or left: what was written there may
    /// become visible, now or in a moment.
    pub(crate) fn lose_writes(&mut self) {
        self.writes.lose(self.shared.caching.as_ref());
    }

    /// What a portal is about to write.
    pub(super) fn note_portal_writes(&mut self, portal: &str) {
        if self.shared.caching.is_none() {
            return;
        }
        let Some(portal) = self.prepared.portals.remove_entry(portal) else { return };
        let statement = &portal.1.statement;
        let parameters = Parameters {
            types: &statement.types,
            formats: &portal.1.formats,
            values: &portal.1.values,
            ..Parameters::default()
        };
        self.note_writes(&statement.analysis, 0..statement.analysis.statements.len(), &parameters);
        self.prepared.portals.insert(portal.0, portal.1);
    }
}
