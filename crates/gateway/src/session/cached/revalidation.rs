//! Answers read anew behind the client that was given the old one.
//!
//! A session without a client carries out what the client has sent, as the same user and with the
//! same settings, in whatever way that takes; what it is told is kept, and nobody hears it.

use std::sync::Arc;

use flywheel_answers::Caching;
use flywheel_cache::{Filling, Lifetimes};
use flywheel_front::Client;
use flywheel_wire::Frame;

use super::fill::{Looked, Lookup};
use super::question::{Head, Question};
use crate::session::Session;
use crate::session::parts::{Batch, Message};

/// What a client has sent.
pub(super) enum Request {
    /// Messages up to Sync.
    Batch(Vec<(Frame, Message)>),
    Query(Frame),
}

/// What is to be read anew, and kept under which key for how long.
pub(super) struct Again {
    key: Box<[u8]>,
    rule: usize,
    lifetimes: Lifetimes,
    head: Head,
    question: Question,
    request: Request,
}

impl Again {
    pub(super) fn new(lookup: &Lookup<'_>, question: Question, request: Request) -> Self {
        Self {
            key: lookup.key.into(),
            rule: lookup.rule,
            lifetimes: lookup.lifetimes,
            head: lookup.head,
            question,
            request,
        }
    }
}

impl Session {
    /// Has an answer read anew, unless too many are. The client doesn't wait for it.
    pub(super) fn revalidate(&self, filling: Filling, caching: &Arc<Caching>, again: Again) {
        let Ok(place) = caching.revalidations().try_acquire_owned() else {
            return;
        };
        let mut session = self.aside();
        if let Request::Batch(batch) = &again.request {
            session.take_statements(self, batch);
        }
        let caching = caching.clone();
        tokio::spawn(async move {
            session.read_anew(filling, &caching, again).await;
            session.leave().await;
            drop(place);
        });
    }

    /// One of the same user, as it stands outside a transaction.
    fn aside(&self) -> Self {
        let identity = self.identity.aside();
        let mut session = Self::new(self.shared.clone(), Client::nowhere(), identity, &[]);
        session.settings = self.settings.aside();
        session
    }

    /// What the batch binds that was prepared before it.
    fn take_statements(&mut self, from: &Self, batch: &[(Frame, Message)]) {
        for (_, message) in batch {
            if let Message::Bind(bind) = message
                && let Some(statement) = from.prepared.statements.get(&bind.statement)
            {
                self.prepared
                    .statements
                    .insert(bind.statement.clone(), Arc::new(statement.aside()));
            }
        }
    }

    async fn read_anew(&mut self, filling: Filling, caching: &Arc<Caching>, again: Again) {
        let lookup = Lookup {
            caching,
            rule: again.rule,
            lifetimes: again.lifetimes,
            key: &again.key,
            head: again.head,
        };
        let Ok(Looked::Fill(fill)) = lookup.begin_fill(self, filling, &again.question).await else {
            return;
        };
        let done = match again.request {
            Request::Batch(batch) => {
                self.batch = Batch::of(batch);
                self.sync_past_cache().await
            }
            Request::Query(frame) => self.query_past_cache(&frame).await,
        };
        // What fails so that its session ends fails for the next who asks.
        if done.is_ok() {
            fill.end(self);
        }
    }
}
