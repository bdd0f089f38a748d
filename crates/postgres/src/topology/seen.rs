//! What a session can have seen, and which replicas therefore can answer it.
//!
//! PostgreSQL never shows a session less than it has shown it before. Several servers do, unless a
//! session goes only to one that has everything the session can have seen: all that was committed
//! when the primary answered it last, and all that the replica which answered it last had then. How
//! far that replica was isn't asked; it can't have been further than the primary was at that
//! moment. The same replica is never behind itself, so a session stays with it.
//!
//! A replica must have what a session has seen: all that was committed when the primary answered
//! last, and when another replica did, which can't have been further than the primary was at that
//! moment. Moments are the gateway's own; `history.rs` knows how far the primary's log was at each,
//! so nothing is asked for a read. A replica is never behind itself, so a session stays with it,
//! unless it has failed meanwhile: one that starts again may begin further back. Sessions that wait
//! for a replica have the servers looked at sooner (`Cluster::hasten`).

use std::time::Instant;

/// What a session can have seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// All that was committed before.
    committed: Option<Instant>,
    /// What the replica that answered last had.
    replica: Option<OnReplica>,
}

/// An answer of a replica.
#[derive(Debug, Clone, Copy)]
struct OnReplica {
    place: ReplicaPlace,
    answered: Instant,
}

/// A replica, as long as nothing has happened to it that may have put it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplicaPlace {
    pub(crate) replica: usize,
    /// How often it has failed, or been another server.
    pub(crate) lapses: u64,
}

impl Seen {
    /// All that was committed before has been seen, or must be.
    pub fn note_committed(&mut self, before: Instant) {
        self.committed = self.committed.max(Some(before));
    }

    /// The primary has answered.
    pub fn note_primary(&mut self) {
        self.committed = Some(Instant::now());
        self.replica = None;
    }

    pub(crate) fn note_replica(&mut self, place: ReplicaPlace) {
        self.replica = Some(OnReplica { place, answered: Instant::now() });
    }

    /// Up to which moment a replica must have all that was committed.
    pub(crate) fn wanted_of(&self, place: ReplicaPlace) -> Option<Instant> {
        match &self.replica {
            Some(last) if last.place != place => self.committed.max(Some(last.answered)),
            _ => self.committed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_isnt_behind_itself_and_others_may_be() {
        let place = |replica, lapses| ReplicaPlace { replica, lapses };
        let mut seen = Seen::default();
        assert_eq!(seen.wanted_of(place(0, 0)), None);
        seen.note_primary();
        let committed = seen.wanted_of(place(0, 0));
        assert!(committed.is_some());
        seen.note_replica(place(0, 0));
        assert_eq!(seen.wanted_of(place(0, 0)), committed);
        assert!(seen.wanted_of(place(1, 0)) >= committed);
        assert!(seen.wanted_of(place(0, 1)) >= committed);
        assert_ne!(seen.wanted_of(place(1, 0)), None);
        // What a replica must have beside is wanted of that one as well.
        let later = Instant::now() + std::time::Duration::from_secs(1);
        seen.note_committed(later);
        assert_eq!(seen.wanted_of(place(0, 0)), Some(later));
        assert_eq!(seen.wanted_of(place(1, 0)), Some(later));
    }
}
