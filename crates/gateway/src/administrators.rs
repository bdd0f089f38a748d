//! Who may look into the cache, and who may empty it, as PostgreSQL has said.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use flywheel_postgres::Rows;

/// Whether the current role may show the cache, and whether it may flush it. Superusers have every
/// role's rights.
pub(crate) const CACHE_RIGHTS: &str = "SELECT pg_catalog.pg_has_role(datdba, 'USAGE') OR pg_catalog.pg_has_role('pg_monitor', 'USAGE'), \
                      pg_catalog.pg_has_role(datdba, 'USAGE') \
                      FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()";

#[derive(Debug, Clone, Copy)]
pub(crate) struct Rights {
    pub(crate) shows: bool,
    pub(crate) flushes: bool,
}

impl Rights {
    /// As [`CACHE_RIGHTS`] tells them.
    pub(crate) fn of(told: Option<&Rows>) -> Self {
        let is_true = |column| told.is_some_and(|rows| rows.text(0, column) == "t");
        Self { shows: is_true(0), flushes: is_true(1) }
    }
}

/// What PostgreSQL has said, by the statements that made the role: the cache is looked at above all
/// when PostgreSQL can't be reached.
#[derive(Debug, Default)]
pub(crate) struct Administrators {
    pub(crate) known: Mutex<HashMap<Option<String>, Rights>>,
}

impl Administrators {
    /// Takes in what the role of a login may, before any session has another one.
    pub(crate) fn learn(&self, told: Option<&Rows>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(None, Rights::of(told));
    }
}
