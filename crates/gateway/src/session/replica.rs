//! Reads that the routes send to replicas.

use std::collections::HashSet;
use std::sync::Arc;

use flywheel_postgres::InUse;
use flywheel_statement::Analysis;
use flywheel_wire::PgError;

use super::parts::Message;
use super::{Failure, Outcome, Session};

/// A session whose reads may go to replicas.
pub(super) struct Replicas<'s> {
    pub(super) session: &'s mut Session,
}

impl Replicas<'_> {
    /// Whether the routes send this text to a replica, as the session stands.
    pub(super) fn goes_to_replica(&self, analysis: &Analysis) -> bool {
        self.session.upstream.replicas.are_read()
            && self.session.is_free()
            && !analysis.observed.is_refused_by_replicas()
            && self.session.shared.routes_to_replica(&self.session.identity.user, analysis)
    }

    /// The texts of a batch that ends in Sync, when a replica is to answer all of it. What is only
    /// prepared is left to the primary: where it will be executed isn't known yet.
    pub(super) fn batch_for_replica(&self, batch: &[Message]) -> Option<Vec<Arc<Analysis>>> {
        if !self.session.upstream.replicas.are_read() || !self.session.is_free() {
            return None;
        }
        let (mut parsed, mut bound) = (Vec::<(&str, Arc<Analysis>)>::new(), HashSet::new());
        let mut analyses = Vec::new();
        let mut executes = false;
        for message in batch {
            match message {
                Message::Parse(parse) => {
                    let analysis = self.session.shared.analyses.of(&parse.query);
                    parsed.push((&parse.name, analysis.clone()));
                    analyses.push(analysis);
                }
                Message::Bind(bind) => {
                    bound.insert(bind.portal.as_str());
                    if !parsed.iter().any(|(name, _)| *name == bind.statement) {
                        analyses.push(
                            self.session.prepared.statements.get(&bind.statement)?.analysis.clone(),
                        );
                    }
                }
                Message::Execute(execute) if bound.contains(execute.portal.as_str()) => {
                    executes = true
                }
                // The portal of an earlier batch.
                Message::Execute(_) => return None,
                Message::Describe(..) | Message::Close(..) => {}
            }
        }
        (executes && analyses.iter().all(|analysis| self.goes_to_replica(analysis)))
            .then_some(analyses)
    }

    /// The replica to ask next. `None`: the primary is to be asked.
    pub(super) async fn choose_replica(&mut self, tried: &mut Vec<usize>) -> Option<InUse> {
        self.session.upstream.replicas.choose(self.session.identity.access.servers(), tried).await
    }

    /// The session has an answer that came over a connection which it shares: of this replica, or
    /// of the primary.
    pub(super) fn note_answered_by(&mut self, replica: Option<&InUse>) {
        self.session
            .upstream
            .replicas
            .note_answered_by(self.session.identity.access.servers(), replica);
    }

    /// Borrows a connection of a replica. False: the primary is to be asked.
    pub(super) async fn borrow_replica(&mut self, tried: &mut Vec<usize>) -> bool {
        while let Some(replica) = self.choose_replica(tried).await {
            let pool = self.session.identity.access.servers().server_of(&replica).pool.clone();
            if self.session.server_of(&pool).await.is_ok() {
                self.session.upstream.replicas.begin(replica, self.session.client.mark());
                return true;
            }
        }
        false
    }

    /// The server connection has gone back, or is lost.
    pub(super) fn note_given_back(&mut self) {
        if self.session.upstream.replicas.given_back() {
            self.session.identity.access.servers().hasten();
        }
    }

    /// Takes in an error of the server; whether another server is to be asked, so that the client
    /// needn't hear of it.
    pub(super) fn leave_to_others(&mut self, error: &PgError) -> bool {
        let Some(attempt) = self.session.upstream.replicas.attempt() else {
            if error.code() == "25006" {
                // It may not be the primary any more.
                self.session.identity.access.servers().suspect();
            }
            return false;
        };
        attempt.is_refused(error, &self.session.client)
    }

    /// Whether what is under way may be asked of another server.
    pub(super) fn can_be_asked_elsewhere(&self) -> bool {
        self.session.upstream.replicas.can_be_asked_elsewhere(&self.session.client)
    }

    /// Ends an exchange with a replica. True when another server is to be asked instead: then
    /// nothing of it is left.
    pub(super) async fn is_to_be_asked_elsewhere<T>(
        &mut self,
        outcome: &Outcome<T>,
        analyses: &[impl AsRef<Analysis>],
    ) -> bool {
        let Some(attempt) = self.session.upstream.replicas.end() else {
            return false;
        };
        let lost = !self.session.has_server() && matches!(outcome, Err(Failure::Statement(_)));
        if let [analysis] = analyses {
            attempt.note_in(analysis.as_ref(), outcome.is_ok());
        }
        if !attempt.take_back(lost, &mut self.session.client) {
            return false;
        }
        self.session.release().await;
        true
    }

    /// Undoes what the messages of a batch have made in the session.
    pub(super) fn undo_batch(&mut self, batch: &[Message]) {
        for message in batch {
            match message {
                Message::Parse(parse) => drop(self.session.prepared.statements.remove(&parse.name)),
                Message::Bind(bind) => drop(self.session.prepared.portals.remove(&bind.portal)),
                _ => {}
            }
        }
        self.session.phase.take();
    }

    /// The server has ended the session in the middle of an answer.
    pub(super) fn server_ended(&mut self, error: PgError) -> Failure {
        match self.session.held_server() {
            Some(lease) => {
                let error = lease.end(error);
                self.session.server_failed(&error)
            }
            None => Failure::Statement(error.into_error()),
        }
    }
}
