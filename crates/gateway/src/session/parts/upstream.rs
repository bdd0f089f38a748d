//! The server's side of a session.

use std::sync::Arc;

use flywheel_execute::{Outcome, PreparedStatement};
use flywheel_postgres::{Holder, Lease, ServerError, Settings};
use flywheel_wire::{Frame, PgError, sqlstate};

use super::{Learning, Pins, Reading};

/// The server connection, while the session has one, and what ties it to that.
pub(crate) struct Upstream {
    held: Option<Held>,
    /// The session, as its server connections know it.
    pub(crate) holder: Holder,
    /// Why the server connection stays with this session.
    pub(crate) pins: Pins,
    /// What is to be found out of what has run on the server connection, before anybody else gets
    /// it.
    pub(crate) learning: Learning,
    /// What the session has to do with replicas.
    pub(crate) replicas: Reading,
    /// The next server connection is to be one that has begun with the client's startup values.
    pub(crate) begins_anew: bool,
    /// It is to be one without temporary objects of others.
    pub(crate) begins_without_temporary: bool,
}

/// A server connection that the session has. What it knows of that goes with it.
struct Held {
    lease: Lease,
    /// A batch has been flushed to the server without its Sync.
    is_unsynced: bool,
    /// The settings aren't known any more to be the session's.
    must_apply: bool,
    names: Names,
}

/// Which of the client's statements a server connection has, and as what.
#[derive(Debug, Default)]
struct Names {
    /// Those under the client's own names.
    named: Vec<String>,
    /// It has none but the session's, since the batch or Query lists them.
    is_listed: bool,
    /// The one that is the unnamed statement.
    unnamed: Option<Arc<PreparedStatement>>,
}

fn no_connection() -> PgError {
    PgError::error(sqlstate::INTERNAL_ERROR, "no server connection")
}

impl Upstream {
    pub(crate) fn new(pins: Pins, replicas: Reading) -> Self {
        Self {
            held: None,
            holder: Holder::default(),
            pins,
            learning: Learning::default(),
            replicas,
            begins_anew: false,
            begins_without_temporary: false,
        }
    }

    /// Takes a connection that has the session's settings.
    pub(crate) fn take(&mut self, lease: Lease) {
        self.held =
            Some(Held { lease, is_unsynced: false, must_apply: false, names: Names::default() });
    }

    /// Gives the connection back. What was known of it is known no more.
    pub(crate) fn put_back(&mut self) -> Option<Lease> {
        self.held.take().map(|held| held.lease)
    }

    pub(crate) fn has_connection(&self) -> bool {
        self.held.is_some()
    }

    pub(crate) fn lease(&self) -> Option<&Lease> {
        self.held.as_ref().map(|held| &held.lease)
    }

    pub(crate) fn lease_mut(&mut self) -> Option<&mut Lease> {
        self.held.as_mut().map(|held| &mut held.lease)
    }

    /// The connection, where there must be one.
    pub(crate) fn held(&mut self) -> Outcome<&mut Lease> {
        self.lease_mut().ok_or_else(|| no_connection().into())
    }

    /// What the server says without being asked: notifications, notices, settings.
    pub(crate) async fn unasked(&mut self) -> Result<Frame, ServerError> {
        match &mut self.held {
            Some(held) => held.lease.next_message().await,
            None => std::future::pending().await,
        }
    }

    /// Takes last values of sequences off the connection that are of other sessions.
    pub(crate) async fn discard_sequences_of_others(&mut self) {
        let Some(held) = &mut self.held else { return };
        if held.lease.discard_sequences_of_others(&self.holder).await.is_err() {
            // What uses it next tells so.
            held.lease.poison();
        }
    }

    /// The connection can't be used any more.
    pub(crate) fn poison(&mut self) {
        if let Some(held) = &mut self.held {
            held.lease.poison();
        }
    }

    /// Whether a batch has been flushed to the server without its Sync.
    pub(crate) fn is_unsynced(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.is_unsynced)
    }

    /// The server has been sent a batch, and will be sent its Sync.
    pub(crate) fn note_flushed(&mut self) {
        if let Some(held) = &mut self.held {
            held.is_unsynced = true;
        }
    }

    /// The server has been sent the Sync of all that it was sent.
    pub(crate) fn note_synced(&mut self) {
        if let Some(held) = &mut self.held {
            held.is_unsynced = false;
        }
    }

    /// The connection has these settings, since the statement that changed them ran on it.
    pub(crate) fn note_settings(&mut self, settings: &Arc<Settings>) {
        if let Some(held) = &mut self.held {
            held.lease.note_settings(settings);
        }
    }

    /// Nothing is known of the connection's settings: the session's are set again before its next
    /// statement.
    pub(crate) fn forget_settings(&mut self) {
        if let Some(held) = &mut self.held {
            held.must_apply = true;
            held.lease.forget_settings();
        }
    }

    /// The connection, when its settings are to be set again, as they will be.
    pub(crate) fn take_to_apply(&mut self) -> Option<&mut Lease> {
        let held = self.held.as_mut()?;
        std::mem::take(&mut held.must_apply).then_some(&mut held.lease)
    }

    /// Whether the connection has a statement under the client's own name for it.
    pub(crate) fn has_named(&self, name: &str) -> bool {
        self.held.as_ref().is_some_and(|held| held.names.named.iter().any(|each| each == name))
    }

    /// Whether a statement that isn't known here may be one prepared by SQL, which the server
    /// knows.
    pub(crate) fn may_have_of_sql(&self, name: &str) -> bool {
        !self.pins.is_empty() && self.has_connection() && !name.is_empty()
    }

    /// Whether the connection has any statement under the client's own name for it.
    pub(crate) fn has_any_named(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !held.names.named.is_empty())
    }

    /// The connection has statements of these names, which are the client's own.
    pub(crate) fn note_named(&mut self, names: impl IntoIterator<Item = String>) {
        if let Some(held) = &mut self.held {
            held.names.named.extend(names);
        }
    }

    /// The names that are the client's own are taken off the connection: these.
    pub(crate) fn take_named(&mut self) -> Vec<String> {
        let Some(held) = &mut self.held else { return Vec::new() };
        held.names.is_listed = false;
        std::mem::take(&mut held.names.named)
    }

    /// Whether the connection has none but the session's statements, since they are listed.
    pub(crate) fn is_listed(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.names.is_listed)
    }

    /// The connection has none but the session's statements: what is prepared there besides isn't
    /// kept, until the names are taken off.
    pub(crate) fn note_listed(&mut self) {
        if let Some(held) = &mut self.held {
            held.names.is_listed = true;
        }
    }

    /// The connection's unnamed statement is none of the client's any more.
    pub(crate) fn lose_unnamed(&mut self) {
        if let Some(held) = &mut self.held {
            held.names.unnamed = None;
        }
    }

    /// The connection's unnamed statement is this one now.
    pub(crate) fn note_unnamed(&mut self, statement: &Arc<PreparedStatement>) {
        if let Some(held) = &mut self.held {
            held.names.unnamed = Some(statement.clone());
        }
    }

    /// Whether the connection's unnamed statement is this one.
    pub(crate) fn has_unnamed(&self, statement: &Arc<PreparedStatement>) -> bool {
        let unnamed = self.held.as_ref().and_then(|held| held.names.unnamed.as_ref());
        unnamed.is_some_and(|unnamed| Arc::ptr_eq(unnamed, statement))
    }
}
