//! The settings with which a server begins a session. They may be others tomorrow: ALTER ROLE or
//! DATABASE … SET, a server that was restarted or upgraded. What a client was told holds for it;
//! connections that began with others aren't lent any more once a newer one is known.
//!
//! Defaults have generations: a login that is told other settings than the one before, or a changed
//! `pg_db_role_setting`, makes a pool's older connections outdated; what a client was told is among
//! its settings from then on.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Connection;

/// Reported settings that differ between sessions of one server, or are the gateway's own.
const OF_SESSIONS: &[&str] = &[
    "application_name",
    "client_encoding",
    "in_hot_standby",
    "is_superuser",
    "session_authorization",
];

/// A digest of reported settings.
#[must_use]
pub fn defaults_digest(reported: &HashMap<String, String>) -> u64 {
    let mut reported: Vec<_> =
        reported.iter().filter(|(name, _)| !OF_SESSIONS.contains(&name.as_str())).collect();
    reported.sort_unstable();
    let mut hasher = DefaultHasher::new();
    reported.hash(&mut hasher);
    hasher.finish()
}

/// Counts the defaults that a pool's connections have begun with.
#[derive(Debug, Default)]
pub(crate) struct Generations {
    current: AtomicU64,
    /// The digest of the latest; 0: there is none.
    latest: AtomicU64,
}

/// The one that a connection belongs to.
#[derive(Debug)]
pub(crate) struct Generation {
    all: Arc<Generations>,
    number: u64,
}

impl Generations {
    pub(crate) fn current(&self) -> u64 {
        self.current.load(Ordering::Acquire)
    }

    /// Connections that are there have other defaults than those to come.
    pub(crate) fn end(&self) {
        self.current.fetch_add(1, Ordering::AcqRel);
    }

    /// A connection has logged in. `began` is what [`Self::current`] was before.
    pub(crate) fn add(all: &Arc<Self>, connection: &Connection, began: u64) -> Generation {
        let digest = connection.defaults();
        let before = all.latest.swap(digest, Ordering::AcqRel);
        let number = if before != 0 && before != digest {
            all.current.fetch_add(1, Ordering::AcqRel) + 1
        } else {
            began
        };
        Generation { all: all.clone(), number }
    }
}

impl Generation {
    pub(crate) fn is_over(&self) -> bool {
        self.number != self.all.current()
    }
}

impl Connection {
    /// A digest of the settings that the server has reported at login.
    #[must_use]
    pub fn defaults(&self) -> u64 {
        self.defaults
    }

    /// The settings that the server has reported at login.
    #[must_use]
    pub fn login_parameters(&self) -> &HashMap<String, String> {
        &self.login_parameters
    }

    pub(crate) fn note_defaults(&mut self) {
        self.login_parameters.clone_from(&self.parameters);
        self.defaults = defaults_digest(&self.parameters);
    }
}
