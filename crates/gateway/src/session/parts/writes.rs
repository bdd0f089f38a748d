//! What the session writes, for the answers that are kept.

use std::sync::Arc;

use flywheel_answers::{Caching, Written};

/// What was written and isn't known to be visible to all yet.
#[derive(Default)]
pub(crate) struct Writes {
    pub(crate) written: Written,
    /// Flywheel itself is carrying out a statement: what it writes stays noted until that is done.
    pub(crate) is_answering: bool,
}

impl Writes {
    /// Ends the answers from before.
    pub(crate) fn apply(&self, caching: Option<&Arc<Caching>>) {
        if let Some(caching) = caching {
            caching.apply(&self.written);
        }
    }

    /// All of it is visible, unless `is_open`: more may come of the same transaction.
    pub(crate) fn settle(&mut self, caching: Option<&Arc<Caching>>, is_open: bool) {
        if self.written.is_nothing() {
            return;
        }
        self.apply(caching);
        if !is_open && !self.is_answering {
            self.written = Written::default();
        }
    }

    /// What was written may become visible, now or in a moment.
    pub(crate) fn lose(&mut self, caching: Option<&Arc<Caching>>) {
        if !self.written.is_nothing()
            && let Some(caching) = caching
        {
            caching.apply_for_a_while(std::mem::take(&mut self.written));
        }
    }
}
