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

impl Again {
    /// Has the answer read, unless too many are. The client doesn't wait for it.
    pub(super) fn begin(self, session: &Session, filling: Filling, caching: &Arc<Caching>) {
        let Ok(place) = caching.revalidations().try_acquire_owned() else {
            return;
        };
        let mut aside = aside(session);
        if let Request::Batch(batch) = &self.request {
            take_statements(&mut aside, session, batch);
        }
        let caching = caching.clone();
        tokio::spawn(async move {
            self.read(&mut aside, filling, &caching).await;
            aside.leave().await;
            drop(place);
        });
    }

    async fn read(self, session: &mut Session, filling: Filling, caching: &Arc<Caching>) {
        let lookup = Lookup {
            caching,
            rule: self.rule,
            lifetimes: self.lifetimes,
            key: &self.key,
            head: self.head,
        };
        let Ok(Looked::Fill(fill)) = lookup.begin_fill(session, filling, &self.question).await
        else {
            return;
        };
        let done = match self.request {
            Request::Batch(batch) => {
                session.batch = Batch::of(batch);
                session.batches().past_cache().await
            }
            Request::Query(frame) => session.queries().past_cache(&frame).await,
        };
        // What fails so that its session ends fails for the next who asks.
        if done.is_ok() {
            fill.end(session);
        }
    }
}

/// A session of the same user, as it stands outside a transaction.
fn aside(session: &Session) -> Session {
    let identity = session.identity.aside();
    let mut aside = Session::new(session.shared.clone(), Client::nowhere(), identity, &[]);
    aside.settings = session.settings.aside();
    aside
}

/// What the batch binds that was prepared before it.
fn take_statements(session: &mut Session, from: &Session, batch: &[(Frame, Message)]) {
    for (_, message) in batch {
        if let Message::Bind(bind) = message
            && let Some(statement) = from.prepared.statements.get(&bind.statement)
        {
            let statement = Arc::new(statement.aside());
            session.prepared.statements.insert(bind.statement.clone(), statement);
        }
    }
}
