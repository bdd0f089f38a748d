//! Statements that come again and again without being prepared by their clients.
//!
//! PostgreSQL parses and plans such a statement each time, which for a lookup by key costs as much
//! as carrying it out. On connections that clients share, it is prepared once.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use flywheel_postgres::Settings;
use flywheel_statement::Analysis;

use flywheel_execute::PreparedStatement;

/// Seen so often, a text is taken to come again.
const OFTEN: u8 = 5;
/// Refused so often in a row, it isn't tried any more.
const TRIES: u8 = 5;
/// How many versions are kept: one for each combination of parameter types and settings.
const MAX_VERSIONS: usize = 16;

/// What of a text is prepared.
#[derive(Debug, Default)]
pub(crate) struct Repeated {
    seen: AtomicU8,
    refused: AtomicU8,
    versions: RwLock<Vec<Version>>,
}

#[derive(Debug)]
struct Version {
    types: Vec<u32>,
    settings: Arc<Settings>,
    definitions: u64,
    statement: Arc<PreparedStatement>,
}

impl Repeated {
    /// What of this text is prepared.
    pub(crate) fn of(analysis: &Analysis) -> &Self {
        analysis.note()
    }

    /// Notes that the prepared form was of no use: the text fails, or fails only when it is
    /// prepared.
    pub(crate) fn note_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that it was of use.
    pub(crate) fn note_answered(&self) {
        if self.refused.load(Ordering::Relaxed) > 0 {
            self.refused.store(0, Ordering::Relaxed);
        }
    }

    /// Whether the text has come often; counts this time.
    fn is_often(&self) -> bool {
        let seen = self.seen.load(Ordering::Relaxed);
        if seen < OFTEN {
            self.seen.store(seen + 1, Ordering::Relaxed);
        }
        seen >= OFTEN && self.refused.load(Ordering::Relaxed) < TRIES
    }

    /// The prepared statement for a text that comes often, with parameters of these types, in a
    /// session with these settings; `definitions` is how often definitions have changed.
    pub(crate) fn statement(
        &self,
        analysis: &Arc<Analysis>,
        types: impl ExactSizeIterator<Item = u32> + Clone,
        settings: &Arc<Settings>,
        definitions: u64,
    ) -> Option<Arc<PreparedStatement>> {
        if !self.is_often() {
            return None;
        }
        let is_it = |version: &&Version| {
            version.definitions == definitions
                && version.types.iter().copied().eq(types.clone())
                && (Arc::ptr_eq(&version.settings, settings) || version.settings == *settings)
        };
        let versions = self.versions.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = versions.iter().find(is_it) {
            return Some(known.statement.clone());
        }
        drop(versions);
        let context = (settings, definitions);
        let types: Vec<u32> = types.collect();
        let statement =
            Arc::new(PreparedStatement::shared(analysis.clone(), types.clone(), &context)?);
        let mut versions = self.versions.write().unwrap_or_else(PoisonError::into_inner);
        versions.retain(|version| version.definitions == definitions);
        if versions.len() >= MAX_VERSIONS {
            versions.remove(0);
        }
        versions.push(Version {
            types,
            settings: settings.clone(),
            definitions,
            statement: statement.clone(),
        });
        Some(statement)
    }
}
