//! Answers read anew behind the client that was given the old one.
//!
//! A session without a client carries out what the client has sent, as the same user and with the same settings, in whatever way that takes; what it is told is
//! kept, and nobody hears it.

use std::sync::Arc;

use flywheel_cache::{Filling, Lifetimes};
use flywheel_wire::Frame;

use super::Session;
use super::batch::Message;
use super::cached::{Looked, Question};
use crate::caching::Caching;
use crate::front::{Client, Login};

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
    question: Question,
    request: Request,
}

impl Again {
    pub(super) fn new(key: &[u8], rule: usize, lifetimes: Lifetimes, question: Question, request: Request) -> Self {
        Self {
            key: key.into(),
            rule,
            lifetimes,
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
        let login = Login {
            user: self.user.clone(),
            database: String::new(),
            minor: 0,
            replication: None,
            settings: self.settings.as_ref().clone(),
            values: Vec::new(),
        };
        Self::new(self.shared.clone(), Client::nowhere(), login, self.registered.another())
    }

    /// What the batch binds that was prepared before it.
    fn take_statements(&mut self, from: &Self, batch: &[(Frame, Message)]) {
        for (_, message) in batch {
            if let Message::Bind(bind) = message
                && let Some(statement) = from.statements.get(&bind.statement)
            {
                self.statements.insert(bind.statement.clone(), Arc::new(statement.aside()));
            }
        }
    }

    async fn read_anew(&mut self, filling: Filling, caching: &Arc<Caching>, again: Again) {
        let rule = (again.rule, &again.lifetimes);
        let Ok(Looked::Fill(fill)) = self.begin_fill(filling, caching, &again.key, rule, &again.question).await else {
            return;
        };
        let done = match again.request {
            Request::Batch(batch) => {
                self.batch = batch;
                self.sync_past_cache().await
            }
            Request::Query(frame) => self.query_past_cache(&frame).await,
        };
        // What fails so that its session ends fails for the next who asks.
        if done.is_ok() {
            self.end_fill(*fill);
        }
    }
}
