//! Statements that are prepared on a connection, each in the version that its definitions had at
//! the time.
//!
//! Named prepared statements are shared by clients under a name made of the text, the parameter
//! types, and all that PostgreSQL's parser depends on beside them: the session's settings and how
//! often definitions have changed.

use std::time::{Duration, Instant};

use flywheel_wire::PgError;
use postgres_protocol::message::frontend;

use crate::{Connection, Rows, ServerError};

/// Prepared statements kept on one connection; past that they are all closed and prepared again on
/// demand.
pub(crate) const MAX_PREPARED: usize = 1000;

/// A statement may be this much older on a connection than its client's Parse of it: definitions
/// that were changed past the gateway are noticed later by errors only, and not at all when they
/// change the types of parameters.
const TOLERANCE: Duration = Duration::from_secs(1);

/// A statement as it is prepared on a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version {
    /// When it was prepared.
    pub(crate) since: Instant,
    /// The digest of its result columns, when they are known
    /// ([`flywheel_wire::reply::columns_digest`]).
    pub(crate) columns: Option<u64>,
}

/// What a client knows of a statement that it has prepared.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// When it sent its Parse.
    pub since: Instant,
    /// The digest of the result columns that it takes the rows to have, when it was told them and
    /// isn't told again.
    pub columns: Option<u64>,
}

impl Version {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), columns: None }
    }

    /// Whether it was prepared long before a client has sent its Parse.
    pub(crate) fn is_old_for(&self, asked: Instant) -> bool {
        asked.saturating_duration_since(self.since) > TOLERANCE
    }
}

/// Whether an error says that a statement which the connection was thought to have is missing, or
/// outdated: its result has changed with a definition.
#[must_use]
pub fn is_about_statement(error: &PgError) -> bool {
    error.code() == "26000"
        || (error.code() == "0A000" && error.field(b'R') == Some("RevalidateCachedQuery"))
}

impl Connection {
    /// Whether a statement of this name is prepared here; when it isn't, it counts as prepared from
    /// now on.
    pub fn prepare_once(&mut self, name: &str) -> bool {
        self.prepared.contains_key(name)
            || self.prepared.insert(name.to_owned(), Version::new()).is_some()
    }

    /// The digest of the result columns of a statement that is prepared here, when they are known.
    #[must_use]
    pub fn columns_of(&self, name: &str) -> Option<u64> {
        self.prepared.get(name)?.columns
    }

    /// Notes the result columns of a statement.
    pub fn note_columns(&mut self, name: &str, columns: Option<u64>) {
        if let Some(version) = self.prepared.get_mut(name) {
            version.columns = columns;
        }
    }

    /// Has a statement prepared anew that a client has parsed since then. In a transaction block
    /// (`strictly`) nothing can be repeated, so that its version must be the client's or a later
    /// one.
    pub fn renew_prepared(&mut self, name: &str, asked: Instant, strictly: bool) {
        let is_old =
            |version: &Version| version.is_old_for(asked) || (strictly && version.since < asked);
        if self.prepared.get(name).is_some_and(is_old) {
            self.outdate_prepared(name);
        }
    }

    /// Forgets a statement that isn't there: its Parse was carried out and has failed.
    pub fn forget_prepared(&mut self, name: &str) {
        self.prepared.remove(name);
    }

    /// Whether a statement of this name is there isn't known any more: the server may have ignored
    /// its Close and Parse behind an error, or code may have deallocated it. It is closed before it
    /// is prepared anew, and before the connection's statements are listed.
    pub fn doubt_prepared(&mut self, name: &str) {
        self.prepared.remove(name);
        self.outdated.insert(name.to_owned());
    }

    /// Notes that a prepared statement isn't what it should be any more: it is to be closed and
    /// prepared anew.
    pub fn outdate_prepared(&mut self, name: &str) {
        if self.prepared.remove(name).is_some() {
            self.outdated.insert(name.to_owned());
        }
    }

    /// Whether a statement of this name must be closed before it is prepared; asked once.
    pub fn take_outdated(&mut self, name: &str) -> bool {
        self.outdated.remove(name)
    }

    /// Whether so many statements are prepared here that they should be closed.
    #[must_use]
    pub fn has_too_many_prepared(&self) -> bool {
        self.prepared.len() + self.outdated.len() >= MAX_PREPARED
    }

    /// The names of all statements that Flywheel has prepared here, which count as not prepared
    /// from now on: each is to be closed.
    pub fn take_prepared(&mut self) -> Vec<String> {
        let own = std::iter::once(crate::query::OWN.to_owned());
        let prepared = self.prepared.drain().map(|(name, _)| name);
        own.chain(prepared).chain(self.outdated.drain()).collect()
    }

    /// Prepares statements, each with its name, text and parameter types, and closes others first.
    ///
    /// # Errors
    /// PostgreSQL refuses one of them, or the connection broke.
    pub async fn prepare_named<'s>(
        &mut self,
        closed: impl IntoIterator<Item = &'s str>,
        prepared: impl IntoIterator<Item = (&'s str, &'s str, &'s [u32])>,
    ) -> Result<(), ServerError> {
        for name in closed {
            self.put(|out| frontend::close(b'S', name, out))?;
        }
        for (name, sql, types) in prepared {
            self.put_parse(name, sql, types)?;
        }
        frontend::sync(self.out());
        self.expect_ready();
        self.send().await?;
        self.until_ready(drop).await
    }

    /// Prepares a statement (name, text, parameter types), runs a text that executes it, and closes
    /// it, in one exchange.
    ///
    /// # Errors
    /// The first error of one of them, or the connection broke.
    pub async fn execute_named(
        &mut self,
        (name, sql, types): (&str, &str, &[u32]),
        executing: &str,
    ) -> Result<Vec<Rows>, ServerError> {
        self.put(|out| frontend::close(b'S', name, out))?;
        self.put_parse(name, sql, types)?;
        frontend::sync(self.out());
        self.expect_ready();
        self.put_query(executing)?;
        self.put(|out| frontend::close(b'S', name, out))?;
        frontend::sync(self.out());
        self.expect_ready();
        self.send().await?;
        self.read_results().await
    }

    /// A client's DEALLOCATE ALL or DISCARD ALL was carried out: none of the statements is known to
    /// be there, but for those whose Parse was sent behind it already.
    pub fn doubt_all_prepared(&mut self) {
        let prepared = self.prepared.drain().map(|(name, _)| name);
        self.outdated.extend(prepared);
    }

    /// Forgets all statements, after Flywheel's own DEALLOCATE ALL or DISCARD ALL, behind which
    /// nothing was sent.
    pub fn forget_all_prepared(&mut self) {
        self.prepared.clear();
        self.outdated.clear();
    }
}
