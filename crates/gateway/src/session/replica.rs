//! Reads that the routes send to replicas, and what a session must see of its own writes there.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use flywheel_postgres::InUse;
use flywheel_wire::PgError;

use super::batch::Message;
use super::{Failure, Outcome, Session};
use crate::analysis::Analysis;
use crate::front::Mark;

/// What a session has to do with replicas.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// A route leads this session's reads to replicas; where none does, nothing else here is kept.
    routed: bool,
    /// When the session's last write was over: a replica that it reads from must have all that was committed before.
    wrote: Option<Instant>,
    /// What the server connection has been used for may have changed the database.
    may_write: bool,
    /// The replica that the server connection leads to.
    on: Option<InUse>,
    /// The exchange that is under way with it.
    attempt: Option<Attempt>,
}

/// A batch that a replica was asked, and that may be asked elsewhere when the replica fails.
#[derive(Debug)]
struct Attempt {
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
    pub(super) fn new(routed: bool) -> Self {
        Self { routed, ..Self::default() }
    }

    /// Whether a route leads this session's reads to replicas.
    pub(super) fn are_read(&self) -> bool {
        self.routed
    }

    /// What follows on the server connection may change the database.
    pub(super) fn note_write(&mut self) {
        self.may_write = true;
    }

    /// The server connection has gone back, or is lost.
    pub(super) fn given_back(&mut self) {
        let may_write = std::mem::take(&mut self.may_write);
        if self.on.take().is_none() && may_write && self.routed {
            self.wrote = Some(Instant::now());
        }
    }

    /// A replica that is read from must have what was written until then.
    pub(super) fn must_have(&mut self, written: Option<Instant>) {
        if self.routed {
            self.wrote = self.wrote.max(written);
        }
    }

    /// What was done so far wasn't the client's.
    pub(super) fn forget_writes(&mut self) {
        self.wrote = None;
    }
}

impl Session {
    /// Whether the routes send this text to a replica, as the session stands.
    pub(super) fn goes_to_replica(&self, analysis: &Analysis) -> bool {
        self.replicas.routed
            && self.is_free()
            && !analysis.observed.is_refused_by_replicas()
            && self.shared.routes_to_replica(&self.user, analysis)
    }

    /// The texts of a batch that ends in Sync, when a replica is to answer all of it. What is only prepared is left to the primary: where it will be
    /// executed isn't known yet.
    pub(super) fn batch_for_replica(&self, batch: &[Message]) -> Option<Vec<Arc<Analysis>>> {
        if !self.replicas.routed || !self.is_free() {
            return None;
        }
        let (mut parsed, mut bound) = (Vec::<(&str, Arc<Analysis>)>::new(), HashSet::new());
        let mut analyses = Vec::new();
        let mut executes = false;
        for message in batch {
            match message {
                Message::Parse(parse) => {
                    let analysis = self.shared.analyses.of(&parse.query);
                    parsed.push((&parse.name, analysis.clone()));
                    analyses.push(analysis);
                }
                Message::Bind(bind) => {
                    bound.insert(bind.portal.as_str());
                    if !parsed.iter().any(|(name, _)| *name == bind.statement) {
                        analyses.push(self.statements.get(&bind.statement)?.analysis.clone());
                    }
                }
                Message::Execute(execute) if bound.contains(execute.portal.as_str()) => executes = true,
                // The portal of an earlier batch.
                Message::Execute(_) => return None,
                Message::Describe(..) | Message::Close(..) => {}
            }
        }
        (executes && analyses.iter().all(|analysis| self.goes_to_replica(analysis))).then_some(analyses)
    }

    /// The replica to ask next. `None`: the primary is to be asked.
    pub(super) fn choose_replica(&self, tried: &mut Vec<usize>) -> Option<InUse> {
        let replica = self.access.servers().replica(self.replicas.wrote, tried)?;
        tried.push(replica.replica());
        Some(replica)
    }

    /// Borrows a connection of a replica. False: the primary is to be asked.
    pub(super) async fn borrow_replica(&mut self, tried: &mut Vec<usize>) -> bool {
        while let Some(replica) = self.choose_replica(tried) {
            let pool = self.access.servers().server_of(&replica).pool.clone();
            if self.server_of(&pool).await.is_ok() {
                self.replicas.on = Some(replica);
                self.replicas.attempt = Some(Attempt {
                    mark: self.client.mark(),
                    refused: None,
                    failed: false,
                });
                return true;
            }
        }
        false
    }

    /// Notes what the server connection is about to be used for.
    pub(super) fn note_use(&mut self, analysis: &Analysis) {
        if self.replicas.routed && !analysis.changes_nothing() {
            self.replicas.may_write = true;
        }
    }

    /// Takes in an error of the server; whether another server is to be asked, so that the client needn't hear of it.
    pub(super) fn leave_to_others(&mut self, error: &PgError) -> bool {
        let Some(attempt) = &mut self.replicas.attempt else {
            if error.code() == "25006" {
                // It may not be the primary any more.
                self.access.servers().suspect();
            }
            return false;
        };
        attempt.failed = true;
        if attempt.refused.is_none() && self.client.can_take_back(attempt.mark) {
            attempt.refused = Refusal::of(error);
            return attempt.refused.is_some();
        }
        false
    }

    /// Whether what is under way may be asked of another server.
    pub(super) fn can_be_asked_elsewhere(&self) -> bool {
        let attempt = self.replicas.attempt.as_ref();
        attempt.is_some_and(|attempt| self.client.can_take_back(attempt.mark))
    }

    /// Ends an exchange with a replica. True when another server is to be asked instead: then nothing of it is left.
    pub(super) async fn is_to_be_asked_elsewhere<T>(&mut self, outcome: &Outcome<T>, analyses: &[impl AsRef<Analysis>]) -> bool {
        let Some(attempt) = self.replicas.attempt.take() else {
            return false;
        };
        let lost = !self.has_server() && matches!(outcome, Err(Failure::Statement(_)));
        if let [analysis] = analyses {
            let observed = &analysis.as_ref().observed;
            match attempt.refused {
                Some(Refusal::Write) => observed.note_on_replica(false),
                None if !attempt.failed && outcome.is_ok() => observed.note_on_replica(true),
                _ => {}
            }
        }
        if !(lost || attempt.refused.is_some()) || !self.client.can_take_back(attempt.mark) {
            return false;
        }
        self.client.take_back(attempt.mark);
        self.release().await;
        true
    }

    /// Undoes what the messages of a batch have made in the session.
    pub(super) fn undo_batch(&mut self, batch: &[Message]) {
        for message in batch {
            match message {
                Message::Parse(parse) => drop(self.statements.remove(&parse.name)),
                Message::Bind(bind) => drop(self.portals.remove(&bind.portal)),
                _ => {}
            }
        }
        self.skipping = false;
    }

    /// The server has ended the session in the middle of an answer.
    pub(super) fn server_ended(&mut self, error: PgError) -> Failure {
        match self.held_server() {
            Some(lease) => {
                let error = lease.end(error);
                self.server_failed(&error)
            }
            None => Failure::Statement(error.into_error()),
        }
    }
}
