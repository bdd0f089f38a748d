//! Fills: answers that are kept while they are given.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flywheel_answers::{Caching, Elsewhere, Place};
use flywheel_cache::{Filling, Found, Lifetimes, Reason, Snapshot, Waited, Waiting};
use flywheel_front::Mark;
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::sqlstate;

use super::Lookups;
use super::answer::{answer, is_outage};
use super::question::{Head, Question};
use crate::session::{Outcome, Session};

/// How often a client waits for others that then go without an answer.
const TURNS: usize = 2;

/// What became of a lookup.
pub(in crate::session) enum Looked {
    /// The client has its answer.
    Answered,
    /// It takes the usual way, and its answer is kept.
    Fill(Box<Fill>),
    /// It takes the usual way.
    Past,
}

/// A fill that is under way.
pub(in crate::session) struct Fill {
    filling: Filling,
    snapshot: Snapshot,
    made: Instant,
    rule: usize,
    mark: Mark,
    head: Head,
    /// Where other gateways look for it.
    place: Option<(Place, Duration)>,
}

/// A lookup, once its rule is known.
pub(super) struct Lookup<'c> {
    pub(super) caching: &'c Arc<Caching>,
    pub(super) rule: usize,
    pub(super) lifetimes: Lifetimes,
    pub(super) key: &'c [u8],
    /// What stands before the answer.
    pub(super) head: Head,
}

impl Lookup<'_> {
    /// What is found now.
    pub(super) fn look(&self) -> Found {
        self.caching.cache().look(self.key, self.rule, &self.lifetimes)
    }

    /// Counts why there is no answer from memory.
    fn bypass(&self, reason: Reason) {
        self.caching.cache().counters(self.rule).bypass(reason);
    }

    /// What needs nobody to be waited for.
    pub(super) fn give_found(&self, session: &mut Session, found: Found) -> Outcome<Looked> {
        match found {
            Found::Hit(entry) => {
                if let Some(bytes) = entry.bytes() {
                    session.lookups().give(bytes, entry.read_until(), self.head);
                    return Ok(Looked::Answered);
                }
            }
            Found::Pass => self.bypass(Reason::Size),
            Found::Seldom => self.bypass(Reason::Seldom),
            Found::Stale(..) | Found::Fill(_) | Found::Wait(..) => {}
        }
        Ok(Looked::Past)
    }

    /// What isn't a hit at once.
    pub(super) async fn take_found(
        &self,
        session: &mut Session,
        mut found: Found,
        question: &Question,
    ) -> Outcome<Looked> {
        for _ in 0..TURNS {
            let (waiting, stale) = match found {
                Found::Hit(_) | Found::Pass | Found::Seldom => {
                    return self.give_found(session, found);
                }
                // Whoever comes next has it read anew.
                Found::Stale(entry, _) => {
                    return self.give_found(session, Found::Hit(entry));
                }
                Found::Fill(filling) => {
                    return self.begin_fill(session, filling, question).await;
                }
                Found::Wait(waiting, stale) => (waiting, stale),
            };
            let waited = session.lookups().wait_for_fill(waiting).await?;
            if !self.caching.keeps_up(self.rule) {
                self.bypass(Reason::Lag);
                return Ok(Looked::Past);
            }
            match waited {
                Waited::Answer(entry) if entry.is_current() => {
                    return self.give_found(session, Found::Hit(entry));
                }
                Waited::Answer(_) | Waited::Pass => {
                    return Ok(session.lookups().past_anothers_fill());
                }
                Waited::Again => {
                    if let Some(entry) = stale.as_ref().filter(|entry| entry.is_current())
                        && let Some(bytes) = entry.bytes()
                    {
                        session.lookups().give(bytes, entry.read_until(), self.head);
                        return Ok(Looked::Answered);
                    }
                }
            }
            found = self.look();
        }
        match found {
            Found::Fill(filling) => self.begin_fill(session, filling, question).await,
            Found::Stale(entry, _) => self.give_found(session, Found::Hit(entry)),
            Found::Wait(..) => Ok(session.lookups().past_anothers_fill()),
            found => self.give_found(session, found),
        }
    }

    /// Finds out what the answer will depend on, before it is asked for.
    pub(super) async fn begin_fill(
        &self,
        session: &mut Session,
        filling: Filling,
        question: &Question,
    ) -> Outcome<Looked> {
        let shared = session.shared.clone();
        let (caching, rule) = (self.caching, self.rule);
        let graph = match caching.graph(shared.pool()).await {
            Ok(graph) => graph,
            Err(error) => {
                tracing::debug!(%error, "the catalogue can't be read for the cache");
                if caching.keeps_up(rule)
                    && let Some(bytes) = filling.if_error().cloned()
                {
                    session.lookups().give(&bytes, Instant::now(), self.head);
                    filling.give_stale();
                    return Ok(Looked::Answered);
                }
                self.bypass(Reason::Catalogue);
                filling.pass();
                return Ok(Looked::Past);
            }
        };
        let reading = caching.reading(&question.analysis, &graph);
        if reading.refused_for(&caching.rules()[rule]).is_some() {
            self.bypass(Reason::Statement);
            filling.pass();
            return Ok(Looked::Past);
        }
        let made = Instant::now();
        let Some(snapshot) = caching.snapshot(rule, &reading, &graph, &question.parameters())
        else {
            self.bypass(Reason::Catalogue);
            filling.pass();
            return Ok(Looked::Past);
        };
        let of = (&*reading, &*graph);
        let place = match caching
            .look_elsewhere(rule, &self.lifetimes, self.key, of, &question.parameters())
            .await
        {
            Elsewhere::Answer(bytes, age) => {
                session.lookups().give(&bytes, Instant::now(), self.head);
                filling.complete_shared(bytes, snapshot, made.checked_sub(age).unwrap_or(made));
                return Ok(Looked::Answered);
            }
            Elsewhere::Place(place) => Some((place, self.lifetimes.ttl)),
            Elsewhere::Nothing => None,
        };
        // A replica must have what has ended earlier answers.
        session.upstream.replicas.must_have(snapshot.written());
        let mark = session.client.mark();
        // Beside the answer's own, there are the messages around it.
        session.client.record(caching.rules()[rule].max_result_size + 64);
        Ok(Looked::Fill(Box::new(Fill {
            filling,
            snapshot,
            made,
            rule,
            mark,
            head: self.head,
            place,
        })))
    }
}

impl Fill {
    /// The client has been told what there is to tell: what of it is an answer is kept.
    pub(in crate::session) fn end(self, session: &mut Session) {
        let told = session.client.end_recording();
        let answer = told.map(|told| answer(&told).map(Bytes::copy_from_slice));
        let Some(caching) = &session.shared.caching else { return };
        let counters = caching.cache().counters(self.rule);
        let Some(answer) = answer else {
            counters.bypass(Reason::Size);
            self.filling.complete(None, self.snapshot, self.made);
            return;
        };
        match answer {
            Ok(answer) => {
                let entry = self.filling.complete(Some(answer), self.snapshot, self.made);
                if let (Some(sharing), Some((place, ttl))) = (caching.sharing(), self.place) {
                    sharing.keep(place, entry, ttl);
                }
            }
            Err(None) => {
                counters.bypass(Reason::Answer);
                self.filling.pass();
            }
            Err(Some(error)) if is_outage(&error) => {
                if caching.keeps_up(self.rule)
                    && let Some(bytes) = self.filling.if_error().cloned()
                    && session.client.can_take_back(self.mark)
                    && session.transaction.is_idle()
                {
                    session.client.take_back(self.mark);
                    session.lookups().give(&bytes, Instant::now(), self.head);
                    self.filling.give_stale();
                }
            }
            // Whoever has cancelled it isn't the only one who waits for it.
            Err(Some(error)) if error.code() == sqlstate::QUERY_CANCELED.0 => {}
            Err(Some(_)) => self.filling.pass(),
        }
    }
}

impl Lookups<'_> {
    /// An answer that was read until then: what the client is told by a replica from now on has it,
    /// too.
    fn give(&mut self, bytes: &Bytes, read_until: Instant, head: Head) {
        self.session.upstream.replicas.must_have(Some(read_until));
        let out = &mut self.session.client.out;
        head.write(out);
        out.extend_from_slice(bytes);
        // One that has to go for it goes at the next look.
        let _ = self.session.listener().tell_news();
        backend::ready_for_query(&mut self.session.client.out, TransactionStatus::Idle);
    }

    /// Others' writes may have ended what was waited for: a replica that is asked must have them.
    fn past_anothers_fill(&mut self) -> Looked {
        self.session.upstream.replicas.must_have(Some(Instant::now()));
        Looked::Past
    }

    /// Waits for another client's fill, unless this one cancels or goes.
    async fn wait_for_fill(&mut self, waiting: Waiting) -> Outcome<Waited> {
        self.session.interruptible(waiting.wait()).await
    }
}
