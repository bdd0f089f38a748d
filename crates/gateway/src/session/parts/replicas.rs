//! Reads of replicas, which must have all that their session has seen.

use std::time::{Duration, Instant};

use flywheel_front::{Client, Mark};
use flywheel_postgres::{InUse, Seen, Servers};
use flywheel_statement::Analysis;
use flywheel_wire::PgError;

use super::batch::Message;

/// For how long a read is answered by the primary where no replica has what its session has seen,
/// before a replica is waited for. A session that never pauses between its reads would see ever
/// newer rows there, and never come back.
const KEPT_OFF: Duration = Duration::from_millis(250);
/// How long it is waited for then.
const PATIENCE: Duration = Duration::from_millis(20);

/// What a session has to do with replicas.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// A route leads this session's reads to replicas; where none does, nothing else here is kept.
    routed: bool,
    /// What the session can have seen.
    seen: Seen,
    /// When it was answered by the primary for want of a replica, or when one was last waited for.
    kept_off: Option<Instant>,
    /// What the server connection has been used for may have changed the database.
    may_write: bool,
    /// It has been used for preparing statements only: no row was seen.
    prepares_only: bool,
    /// The replica that the server connection leads to.
    on: Option<InUse>,
    /// The exchange that is under way with it.
    attempt: Option<Attempt>,
}

/// A batch that a replica was asked, and that may be asked elsewhere when the replica fails.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// Where its answer begins in what the client is told.
    mark: Mark,
    /// The replica can't answer it.
    refused: Option<Refusal>,
    /// There was an error in its answer.
    failed: bool,
}

/// Why a replica can't answer what the primary can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The replay of the log was in the way (hot-standby, "query conflicts").
    Conflict,
    /// It writes after all.
    Write,
}

impl Refusal {
    fn of(error: &PgError) -> Option<Self> {
        match error.code() {
            "40001" | "40P01" => Some(Self::Conflict),
            "25006" => Some(Self::Write),
            _ => None,
        }
    }
}

impl Reading {
    pub(crate) fn new(routed: bool) -> Self {
        Self { routed, ..Self::default() }
    }

    /// Whether a route leads this session's reads to replicas.
    pub(crate) fn are_read(&self) -> bool {
        self.routed
    }

    /// What follows on the server connection may change the database.
    pub(crate) fn note_write(&mut self) {
        self.may_write = true;
    }

    /// What follows on the server connection shows rows.
    pub(crate) fn note_read(&mut self) {
        self.prepares_only = false;
    }

    /// A batch is about to be worked off on the server connection, the one that is held or another.
    pub(crate) fn note_batch(&mut self, batch: &[Message], is_held: bool) {
        let executes =
            batch.iter().any(|message| matches!(message, Message::Bind(_) | Message::Execute(_)));
        self.prepares_only = !executes && (self.prepares_only || !is_held);
    }

    /// The server connection has gone back, or is lost. Whether it was the primary's, so that the
    /// replicas lack what the session can have seen.
    pub(crate) fn given_back(&mut self) -> bool {
        let may_write = std::mem::take(&mut self.may_write);
        let prepares_only = std::mem::take(&mut self.prepares_only) && !may_write;
        if !self.routed {
            return false;
        }
        match self.on.take() {
            None if prepares_only => false,
            Some(replica) => {
                self.note_replica(&replica);
                false
            }
            None => {
                self.seen.note_primary();
                if may_write {
                    // What it reads next is likely to be what it has written: that isn't made wait.
                    self.kept_off = Some(Instant::now());
                }
                true
            }
        }
    }

    pub(crate) fn note_replica(&mut self, replica: &InUse) {
        replica.note_in(&mut self.seen);
        self.kept_off = None;
    }

    /// A replica that is read from must have what was committed until then.
    pub(crate) fn must_have(&mut self, committed: Option<Instant>) {
        if let Some(committed) = committed.filter(|_| self.routed) {
            self.seen.note_committed(committed);
        }
    }

    /// What was done so far wasn't the client's.
    pub(crate) fn forget_seen(&mut self) {
        self.seen = Seen::default();
    }

    /// What the server connection is about to be used for.
    pub(crate) fn note_use(&mut self, analysis: &Analysis) {
        self.note_read();
        if self.routed && !analysis.changes_nothing() {
            self.may_write = true;
        }
    }

    /// The replica to ask next. `None`: the primary is to be asked.
    pub(crate) async fn choose(
        &mut self,
        servers: &Servers,
        tried: &mut Vec<usize>,
    ) -> Option<InUse> {
        let mut chosen = servers.replica(&self.seen, tried);
        if chosen.is_none() {
            let now = Instant::now();
            let since = *self.kept_off.get_or_insert(now);
            if now.duration_since(since) >= KEPT_OFF {
                chosen = servers.replica_soon(&self.seen, tried, PATIENCE).await;
                self.kept_off = Some(Instant::now());
            }
        }
        let replica = chosen?;
        tried.push(replica.replica());
        Some(replica)
    }

    /// The session has an answer that came over a connection which it shares: of this replica, or
    /// of the primary.
    pub(crate) fn note_answered_by(&mut self, servers: &Servers, replica: Option<&InUse>) {
        if !self.routed {
            return;
        }
        match replica {
            Some(replica) => self.note_replica(replica),
            None => {
                self.seen.note_primary();
                servers.hasten();
            }
        }
    }

    /// An exchange with a replica begins, to which the server connection leads. What the client is
    /// told of it begins at `mark`.
    pub(crate) fn begin(&mut self, replica: InUse, mark: Mark) {
        self.on = Some(replica);
        self.attempt = Some(Attempt { mark, refused: None, failed: false });
    }

    /// The exchange with a replica that is under way.
    pub(crate) fn attempt(&mut self) -> Option<&mut Attempt> {
        self.attempt.as_mut()
    }

    /// The exchange with a replica is over.
    pub(crate) fn end(&mut self) -> Option<Attempt> {
        self.attempt.take()
    }

    /// Whether what is under way may be asked of another server.
    pub(crate) fn can_be_asked_elsewhere(&self, client: &Client) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| client.can_take_back(attempt.mark))
    }
}

impl Attempt {
    /// Takes in an error; whether another server is to be asked.
    pub(crate) fn is_refused(&mut self, error: &PgError, client: &Client) -> bool {
        self.failed = true;
        if self.refused.is_none() && client.can_take_back(self.mark) {
            self.refused = Refusal::of(error);
            return self.refused.is_some();
        }
        false
    }

    /// What the outcome says of a text that was asked alone. `is_well`: there was an answer.
    pub(crate) fn note_in(&self, analysis: &Analysis, is_well: bool) {
        match self.refused {
            Some(Refusal::Write) => analysis.observed.note_on_replica(false),
            None if !self.failed && is_well => analysis.observed.note_on_replica(true),
            _ => {}
        }
    }

    /// Takes back what the client was told, where another server is to be asked.
    pub(crate) fn take_back(&self, is_lost: bool, client: &mut Client) -> bool {
        if !(is_lost || self.refused.is_some()) || !client.can_take_back(self.mark) {
            return false;
        }
        client.take_back(self.mark);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_only_prepared_on_the_primary_was_not_seen() {
        let mut reading = Reading::new(true);
        reading.note_batch(&[], false);
        assert!(!reading.given_back());
        reading.note_batch(&[], false);
        reading.note_read();
        assert!(reading.given_back());
        reading.note_batch(&[], false);
        reading.note_write();
        assert!(reading.given_back(), "what may have written counts as seen");
    }

    #[test]
    fn without_routes_nothing_is_kept() {
        let mut reading = Reading::new(false);
        reading.note_write();
        assert!(!reading.given_back());
    }
}
