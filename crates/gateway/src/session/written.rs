//! What a session writes, for the answers that are kept: they end when it is noted, and again when it is visible.

use flywheel_plan::Parameters;
use flywheel_wire::backend::TransactionStatus;

use super::Session;
use crate::analysis::Analysis;
use crate::caching::Written;
use crate::execute::{Arguments, StoreStatement};

impl Session {
    /// A statement is about to be carried out by a server.
    pub(super) fn note_writes(&mut self, analysis: &Analysis, positions: std::ops::Range<usize>, parameters: &Parameters<'_>) {
        let Some(caching) = self.shared.caching.clone() else { return };
        let may_be_temporary = self.is_pinned();
        for position in positions {
            caching.note(&mut self.written, analysis, position, parameters, may_be_temporary);
        }
    }

    /// Something of which nothing is known is about to be carried out.
    pub(super) fn note_any_write(&mut self) {
        if let Some(caching) = &self.shared.caching {
            caching.note_anything(&mut self.written);
        }
    }

    /// A statement on store tables is about to be carried out.
    pub(crate) fn note_store_write(&mut self, statement: &StoreStatement, arguments: &Arguments<'_>) {
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
            computed: None,
        };
        self.note_writes(&analysis, 0..analysis.statements.len(), &parameters);
    }

    /// The answer to a write has come, of a transaction that may be over with it.
    pub(super) fn apply_writes(&self) {
        if let Some(caching) = &self.shared.caching {
            caching.apply(&self.written);
        }
    }

    /// Outside a block, all that was written is visible: before the client hears of it, nothing is left of the answers from before.
    pub(crate) fn settle_writes(&mut self) {
        if self.status == TransactionStatus::Idle && !self.written.is_nothing() && !self.unsynced {
            self.apply_writes();
            if !self.block.is_open() && !self.answering {
                self.written = Written::default();
            }
        }
    }

    /// The server is at rest after all that was sent to it. What Flywheel itself is carrying out may be written to its store only now.
    pub(crate) fn settle_writes_at_rest(&mut self) {
        if self.status == TransactionStatus::Idle && !self.written.is_nothing() {
            self.apply_writes();
            if self.block.writes.is_empty() && !self.answering {
                self.written = Written::default();
            }
        }
    }

    /// The server connection, or a store's answer, is lost, or left: what was written there may become visible, now or in a moment.
    pub(crate) fn lose_writes(&mut self) {
        if !self.written.is_nothing()
            && let Some(caching) = &self.shared.caching
        {
            caching.apply_for_a_while(std::mem::take(&mut self.written));
        }
    }
}
