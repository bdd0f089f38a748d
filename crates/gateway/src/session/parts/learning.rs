//! What is to be found out of what has run on the server connection.

use std::collections::BTreeSet;
use std::sync::Arc;

use flywheel_sql::Traces;
use flywheel_statement::Analysis;

/// More names than this aren't asked for one by one.
const MAX_NAMES: usize = 200;

/// What is to be asked for.
#[derive(Debug, Default)]
pub(crate) struct Learning {
    pub(crate) names: BTreeSet<String>,
    pub(crate) any: bool,
    pub(crate) is_unknown: bool,
    /// Texts that name what isn't known, or for which that was proved before the catalogue has
    /// changed.
    pub(crate) unproved: Vec<Arc<Analysis>>,
    /// It has made or changed code itself.
    pub(crate) defines: bool,
}

impl Learning {
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.any && !self.is_unknown
    }

    pub(crate) fn add(&mut self, traces: &Traces) {
        self.names.extend(traces.names.iter().cloned());
        self.any |= traces.any || self.names.len() > MAX_NAMES;
        self.is_unknown |= traces.is_unknown;
        self.defines |= traces.defines;
    }

    /// A function was called of which nothing is known.
    pub(crate) fn add_anything(&mut self) {
        self.any = true;
        self.is_unknown = true;
    }

    /// A text was carried out that isn't known to leave no more behind than its words say.
    pub(crate) fn add_unproved(&mut self, analysis: &Arc<Analysis>) {
        if !self.unproved.iter().any(|each| Arc::ptr_eq(each, analysis)) {
            self.unproved.push(analysis.clone());
        }
    }

    /// DISCARD ALL has taken all of it away.
    pub(crate) fn forget_settings(&mut self) {
        self.names.clear();
        self.any = false;
        self.is_unknown = false;
    }

    /// Whether nothing needs to be asked: what has run is known.
    pub(crate) fn is_done(&self) -> bool {
        self.is_empty() && self.unproved.is_empty() && !self.defines
    }

    /// Whether something has run of which it isn't known what it has left.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.is_unknown || !self.unproved.is_empty()
    }
}
