//! A Query that a server answers.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use flywheel_plan::Parameters;
use flywheel_postgres::{Lease, ServerError};
use flywheel_sql::Template;
use flywheel_statement::Analysis;
use flywheel_wire::{Frame, backend, frontend};

use super::lost::is_lost;
use super::step::Step;
use super::{Failure, Outcome, Session};

/// How often a single read is sent again because its connection has broken.
const REPETITIONS: usize = 3;

/// A Query, and what its text is, maybe without its constants.
#[derive(Clone, Copy)]
pub(super) struct Asked<'q> {
    pub(super) frame: &'q Frame,
    pub(super) analysis: &'q Arc<Analysis>,
}

impl Asked<'_> {
    /// [`Self::relay`], again when the connection breaks under a single read of whose answer
    /// nothing has been sent.
    pub(super) async fn relay_again(self, session: &mut Session) -> Outcome<()> {
        let may_repeat = self.analysis.is_repeatable() && session.is_free();
        let mark = session.client.mark();
        for _ in 0..REPETITIONS {
            if may_repeat && !session.replicas().goes_to_replica(self.analysis) {
                // A server that can't be reached is told at once.
                session.server().await?;
            }
            let relayed = self.relay(session).await;
            let is_lost = matches!(&relayed, Err(Failure::Statement(error)) if is_lost(error));
            if !(may_repeat
                && is_lost
                && !session.has_server()
                && session.client.can_take_back(mark))
            {
                return relayed;
            }
            session.client.take_back(mark);
        }
        self.relay(session).await
    }

    /// The whole text to a server, its whole answer back.
    async fn relay(self, session: &mut Session) -> Outcome<()> {
        if session.replicas().goes_to_replica(self.analysis) {
            let mut tried = Vec::new();
            while session.replicas().borrow_replica(&mut tried).await {
                let relayed = self.exchange(session, true).await.map(drop);
                if !session.replicas().is_to_be_asked_elsewhere(&relayed, &[self.analysis]).await {
                    return relayed;
                }
            }
        }
        self.exchange(session, true).await.map(drop)
    }

    /// A Query that ends a batch for which a transaction was begun: it is part of it.
    pub(super) async fn relay_within(self, session: &mut Session) -> Outcome<()> {
        let failed = self.exchange(session, false).await?;
        session.batches().end_flushed(!failed).await.map_err(Failure::Session)
    }

    /// A Query whose last statement resets something; its ReadyForQuery is kept back.
    pub(super) async fn relay_restored(self, session: &mut Session) -> Outcome<()> {
        session.settings.reports.begin_silence();
        let relayed = self.exchange(session, false).await;
        let restored = match (relayed, self.analysis.statements.last()) {
            (Ok(false), Some(last)) => session.defaults().restore(&last.session).await,
            (relayed, _) => relayed.map(|_| ()),
        };
        session.settings.reports.end_silence();
        session.report_settings();
        restored
    }

    /// Whether the answer to a Query is an error, or ends in one.
    async fn exchange(self, session: &mut Session, show_ready: bool) -> Outcome<bool> {
        session.listener().announce(self.analysis).await?;
        session.upstream.replicas.note_use(self.analysis);
        self.note_writes(session);
        session.explained_cache().expect(self.analysis).await;
        if session.proving().must_guard_now(self.analysis).await? {
            return self.exchange_guarded(session, show_ready).await;
        }
        let lease = session.server().await?;
        if let Err(error) = self.put(lease) {
            return Err(session.server_failed(&error));
        }
        session.upstream.lose_unnamed();
        session.upstream.note_synced();
        session.send_to_server().await?;
        let step =
            Step::Query { analysis: self.analysis.clone(), first: 0, show_ready, is_part: false };
        let failed = session.drain(VecDeque::from([step])).await?.failed;
        if failed {
            session.control().undo_settings();
        }
        Ok(failed)
    }

    /// The message, as its client has sent it.
    fn put(self, lease: &mut Lease) -> Result<(), ServerError> {
        if !lease.charset().is_utf8() {
            return lease.put_query(frontend::query(self.frame).unwrap_or_default());
        }
        lease.out().extend_from_slice(self.frame.raw());
        lease.expect_ready();
        Ok(())
    }

    /// What a Query is about to write: its analysis may be that of texts like it, without their
    /// constants.
    fn note_writes(self, session: &mut Session) {
        if session.shared.caching.is_none() {
            return;
        }
        let text = &*session.settings.conforming(frontend::query(self.frame).unwrap_or_default());
        let template = if self.analysis.text == text { None } else { Template::of(text) };
        let constants = template.map(|template| template.constants).unwrap_or_default();
        let types: Vec<u32> = constants.iter().map(|constant| constant.type_oid).collect();
        let values: Vec<Option<Bytes>> = constants
            .iter()
            .map(|constant| Some(Bytes::copy_from_slice(constant.value(text).as_bytes())))
            .collect();
        let parameters = Parameters { types: &types, values: &values, ..Parameters::default() };
        session.noted_writes().note(self.analysis, 0..self.analysis.statements.len(), &parameters);
    }

    /// A Query of which something must be guarded. Whether it failed.
    async fn exchange_guarded(self, session: &mut Session, show_ready: bool) -> Outcome<bool> {
        let step = Step::Query {
            analysis: self.analysis.clone(),
            first: 0,
            show_ready: false,
            is_part: false,
        };
        session.upstream.note_synced();
        let put = |lease: &mut Lease| self.put(lease);
        let failed = session.guard().exchange(self.analysis, step, put).await?;
        if failed {
            session.control().undo_settings();
        }
        if show_ready {
            session.listener().tell_heard().await?;
            backend::ready_for_query(&mut session.client.out, session.transaction.status);
        }
        Ok(failed)
    }
}
