//! The statements that are prepared on a shared connection.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::BytesMut;
use postgres_protocol::message::frontend;

use super::request::{Named, Request};
use crate::Lease;
use crate::prepared::{MAX_PREPARED, Version};

#[derive(Debug)]
pub(super) struct Statements {
    /// In the versions in which they were prepared, by their names.
    prepared: HashMap<Arc<str>, Version>,
    /// Those that the server may have all the same: they are closed before they are prepared anew.
    unprepared: HashSet<Arc<str>>,
}

impl Statements {
    /// Takes over what a connection has.
    pub(super) fn of(lease: &mut Lease) -> Self {
        let prepared = lease.prepared.drain();
        Self {
            prepared: prepared.map(|(name, version)| (Arc::from(name), version)).collect(),
            unprepared: lease.outdated.drain().map(Arc::from).collect(),
        }
    }

    /// Notes for the connection's next user what it has.
    pub(super) fn give_back(&mut self, lease: &mut Lease) {
        let prepared = self.prepared.drain();
        lease.outdated = self.unprepared.drain().map(|name| name.to_string()).collect();
        lease.prepared = prepared.map(|(name, version)| (name.to_string(), version)).collect();
    }

    /// Whether a batch's statement is prepared in a version that its client can use.
    pub(super) fn has_for(&self, request: &Request, named: &Named) -> bool {
        let Some(version) = self.prepared.get(&named.name) else { return false };
        let columns = request.known.and_then(|known| known.columns);
        version.since.elapsed() <= request.form.max_age()
            && request.known.is_none_or(|known| !version.is_old_for(known.since))
            && (columns.is_none() || version.columns.is_none() || version.columns == columns)
    }

    /// Writes the messages that prepare a statement. Returns how many answers they have.
    pub(super) fn prepare(&mut self, named: &Named, outgoing: &mut BytesMut) -> u8 {
        let mut answers = 0;
        if self.prepared.len() >= MAX_PREPARED
            && let Some(other) = self.prepared.keys().next().cloned()
        {
            self.prepared.remove(&other);
            answers += u8::from(frontend::close(b'S', &other, outgoing).is_ok());
        }
        // It may be there in a version that the catalogue has outdated.
        answers += u8::from(frontend::close(b'S', &named.name, outgoing).is_ok());
        outgoing.extend_from_slice(&named.parse);
        answers += 1;
        self.unprepared.remove(&named.name);
        self.prepared.insert(named.name.clone(), Version::new());
        answers
    }

    /// The digest of a statement's result columns, when it is known.
    pub(super) fn columns(&self, name: &str) -> Option<u64> {
        self.prepared.get(name)?.columns
    }

    /// The digest of a statement's result columns has become known.
    pub(super) fn learn(&mut self, name: &str, columns: Option<u64>) {
        if let Some(version) = self.prepared.get_mut(name) {
            version.columns = columns;
        }
    }

    /// The server doesn't have the statement, or not as it should be.
    pub(super) fn unprepare(&mut self, name: &str) {
        if let Some((name, _)) = self.prepared.remove_entry(name) {
            self.unprepared.insert(name);
        }
    }
}
