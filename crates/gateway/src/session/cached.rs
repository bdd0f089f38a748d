//! Answers from memory.
//!
//! A query that a rule is for is looked up by all that its answer depends on. A hit is written as it was kept, without a server; a miss takes the way that it would
//! take without the cache, and what the client is told on that way is kept beside. [`answer`] finds the answer in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use flywheel_cache::{Filling, Found, Lifetimes, Reason, Snapshot, Waited, Waiting};
use flywheel_plan::Parameters;
use flywheel_postgres::Settings;
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::{Frame, PgError, frame, reply, sqlstate};

use super::revalidation::{Again, Request};
use super::shared::{Describes, Gathered};
use super::{Outcome, Session, cancelled};
use crate::analysis::{Analysis, Query};
use crate::caching::Caching;
use crate::front::{ClientError, Mark};
use crate::sharing::{Elsewhere, Place};

/// How often a client waits for others that then go without an answer.
const TURNS: usize = 2;

/// What the session has to do with the cache.
#[derive(Debug, Default)]
pub(super) struct Cached {
    /// The settings, as they stand in keys.
    context: Option<(Arc<Settings>, Box<[u8]>)>,
    /// Where keys are made.
    key: Vec<u8>,
}

/// What became of a lookup.
pub(super) enum Looked {
    /// The client has its answer.
    Answered,
    /// It takes the usual way, and its answer is kept.
    Fill(Box<Fill>),
    /// It takes the usual way.
    Past,
}

/// A fill that is under way.
pub(super) struct Fill {
    filling: Filling,
    snapshot: Snapshot,
    made: Instant,
    rule: usize,
    mark: Mark,
    head: Head,
    /// Where other gateways look for it.
    place: Option<(Place, Duration)>,
}

/// Which messages stand before an answer's own.
#[derive(Debug, Clone, Copy)]
struct Head {
    parse: bool,
    bind: bool,
}

impl Head {
    fn write(self, out: &mut BytesMut) {
        if self.parse {
            backend::parse_complete(out);
        }
        if self.bind {
            backend::bind_complete(out);
        }
    }
}

/// A query that is looked up.
pub(super) struct Question {
    analysis: Arc<Analysis>,
    types: Vec<u32>,
    formats: Vec<i16>,
    values: Vec<Option<Bytes>>,
    head: Head,
}

impl Question {
    fn parameters(&self) -> Parameters<'_> {
        Parameters {
            types: &self.types,
            formats: &self.formats,
            values: &self.values,
            computed: None,
        }
    }
}

/// Appends something whose end must be known.
fn put(key: &mut Vec<u8>, bytes: &[u8]) {
    key.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    key.extend_from_slice(bytes);
}

fn put_formats(key: &mut Vec<u8>, formats: &[i16]) {
    key.extend_from_slice(&(formats.len() as u64).to_le_bytes());
    formats.iter().for_each(|format| key.extend_from_slice(&format.to_le_bytes()));
}

impl Session {
    /// Looks a batch up that is one query. `None`: no rule is for it.
    pub(super) async fn look_up_batch(&mut self) -> Outcome<Looked> {
        let Some(caching) = self.shared.caching.clone() else {
            return Ok(Looked::Past);
        };
        if self.batch.len() > 4 || self.skipping {
            return Ok(Looked::Past);
        }
        let mut key = std::mem::take(&mut self.cached.key);
        key.clear();
        let Some(gathered) = self.gathered_query() else {
            self.cached.key = key;
            return Ok(Looked::Past);
        };
        let Gathered {
            parsed,
            bind,
            bound,
            describes,
        } = gathered;
        let Some(statement) = parsed.as_ref().or(bound.as_ref()) else {
            return Ok(Looked::Past);
        };
        let analysis = &statement.analysis;
        let Some((rule, lifetimes)) = self.may_be_kept(&caching, analysis) else {
            self.cached.key = key;
            return Ok(Looked::Past);
        };
        key.push(match describes {
            Describes::Nothing => b'e',
            Describes::Portal => b'p',
            Describes::StatementBefore => b'b',
            Describes::StatementAfter => b'a',
        });
        put(&mut key, analysis.text.as_bytes());
        key.extend_from_slice(&(statement.types.len() as u64).to_le_bytes());
        statement.types.iter().for_each(|oid| key.extend_from_slice(&oid.to_le_bytes()));
        put_formats(&mut key, &bind.parameter_formats);
        put_formats(&mut key, &bind.result_formats);
        for value in &bind.parameters {
            match value {
                Some(value) => put(&mut key, value),
                None => key.extend_from_slice(&u64::MAX.to_le_bytes()),
            }
        }
        let head = Head {
            parse: parsed.is_some(),
            // Otherwise it is in the middle of what is kept.
            bind: describes != Describes::StatementBefore,
        };
        // What only a fill needs is made when it comes to that; the key is all that a hit needs.
        let needs_question = |found: &Found| matches!(found, Found::Fill(_) | Found::Wait(..));
        let parsed = parsed.clone();
        let question = |session: &Self| {
            let gathered = session.gathered_query()?;
            let statement = gathered.parsed.as_ref().or(gathered.bound.as_ref())?;
            Some(Question {
                analysis: statement.analysis.clone(),
                types: statement.types.clone(),
                formats: gathered.bind.parameter_formats.clone(),
                values: gathered.bind.parameters.clone(),
                head,
            })
        };
        self.put_context(&caching, &mut key);
        let mut found = caching.cache().look(&key, rule, &lifetimes);
        if let Found::Stale(entry, filling) = found {
            if let Some(question) = question(self) {
                let request = Request::Batch(self.batch.clone());
                self.revalidate(filling, &caching, Again::new(&key, rule, lifetimes, question, request));
            }
            found = Found::Hit(entry);
        }
        let looked = if needs_question(&found) {
            match question(self) {
                Some(question) => self.take_found(found, &caching, &key, (rule, &lifetimes), &question).await,
                None => Ok(Looked::Past),
            }
        } else {
            self.give_found(found, &caching, rule, head)
        };
        self.cached.key = key;
        if let Ok(Looked::Answered) = looked {
            self.batch.clear();
            self.batch_bytes = 0;
            if let Some(parsed) = parsed {
                self.statements.insert(String::new(), parsed);
            }
            self.portals.clear();
        }
        looked
    }

    /// Looks a simple Query up.
    pub(super) async fn look_up_query(&mut self, frame: &Frame, text: &str, query: &Query) -> Outcome<Looked> {
        let Some(caching) = self.shared.caching.clone() else {
            return Ok(Looked::Past);
        };
        let analysis = &query.analysis;
        let Some((rule, lifetimes)) = self.may_be_kept(&caching, analysis) else {
            return Ok(Looked::Past);
        };
        let mut key = std::mem::take(&mut self.cached.key);
        key.clear();
        let head = Head { parse: false, bind: false };
        match &query.constants {
            Some(constants) => {
                key.push(b'q');
                put(&mut key, analysis.memo.normal(analysis).as_bytes());
                for constant in constants {
                    key.extend_from_slice(&constant.type_oid.to_le_bytes());
                    put(&mut key, text[constant.range.clone()].as_bytes());
                }
            }
            None => {
                key.push(b't');
                put(&mut key, text.as_bytes());
            }
        }
        self.put_context(&caching, &mut key);
        let question = || {
            let constants = query.constants.as_deref().unwrap_or_default();
            Question {
                analysis: analysis.clone(),
                types: constants.iter().map(|constant| constant.type_oid).collect(),
                formats: Vec::new(),
                values: constants
                    .iter()
                    .map(|constant| Some(Bytes::copy_from_slice(text[constant.range.clone()].as_bytes())))
                    .collect(),
                head,
            }
        };
        let found = caching.cache().look(&key, rule, &lifetimes);
        let looked = match found {
            found @ (Found::Hit(_) | Found::Pass | Found::Seldom) => self.give_found(found, &caching, rule, head),
            Found::Stale(entry, filling) => {
                let request = Request::Query(frame.clone());
                self.revalidate(filling, &caching, Again::new(&key, rule, lifetimes, question(), request));
                self.give_found(Found::Hit(entry), &caching, rule, head)
            }
            found => self.take_found(found, &caching, &key, (rule, &lifetimes), &question()).await,
        };
        self.cached.key = key;
        looked
    }

    /// The rule that is for a statement, when nothing stands against it.
    fn may_be_kept(&self, caching: &Caching, analysis: &Analysis) -> Option<(usize, Lifetimes)> {
        let (rule, lifetimes) = caching.rule(analysis, &self.user)?;
        let reason = if analysis.memo.hint(analysis).refuses {
            Reason::Hint
        } else if self.is_pinned() {
            Reason::Pinned
        } else if !self.is_free() {
            Reason::Transaction
        } else if caching
            .known_reading(analysis)
            .is_some_and(|reading| reading.refused_for(&caching.rules()[rule]).is_some())
        {
            Reason::Statement
        } else if !caching.keeps_up(rule) {
            Reason::Lag
        } else {
            return Some((rule, lifetimes));
        };
        caching.cache().counters(rule).bypass(reason);
        None
    }

    /// What an answer depends on beside the statement.
    fn put_context(&mut self, caching: &Caching, key: &mut Vec<u8>) {
        let known = self.cached.context.as_ref();
        if let Some((_, context)) = known.filter(|(settings, _)| Arc::ptr_eq(settings, &self.settings)) {
            key.extend_from_slice(context);
            return;
        }
        let mut context = Vec::new();
        put(&mut context, caching.database.as_bytes());
        put(&mut context, self.user.as_bytes());
        for statement in self.settings.statements() {
            put(&mut context, statement.as_bytes());
        }
        key.extend_from_slice(&context);
        // While it is kept, settings that change are other ones.
        self.cached.context = Some((self.settings.clone(), context.into()));
    }

    /// What needs nobody to be waited for.
    fn give_found(&mut self, found: Found, caching: &Caching, rule: usize, head: Head) -> Outcome<Looked> {
        match found {
            Found::Hit(entry) => {
                if let Some(bytes) = entry.bytes() {
                    self.give(bytes, head);
                    return Ok(Looked::Answered);
                }
            }
            Found::Pass => caching.cache().counters(rule).bypass(Reason::Size),
            Found::Seldom => caching.cache().counters(rule).bypass(Reason::Seldom),
            Found::Stale(..) | Found::Fill(_) | Found::Wait(..) => {}
        }
        Ok(Looked::Past)
    }

    fn give(&mut self, bytes: &Bytes, head: Head) {
        let out = &mut self.client.out;
        head.write(out);
        out.extend_from_slice(bytes);
        backend::ready_for_query(out, TransactionStatus::Idle);
    }

    /// What isn't a hit at once.
    async fn take_found(
        &mut self,
        mut found: Found,
        caching: &Arc<Caching>,
        key: &[u8],
        (rule, lifetimes): (usize, &Lifetimes),
        question: &Question,
    ) -> Outcome<Looked> {
        for _ in 0..TURNS {
            let (waiting, stale) = match found {
                Found::Hit(_) | Found::Pass | Found::Seldom => return self.give_found(found, caching, rule, question.head),
                // Whoever comes next has it read anew.
                Found::Stale(entry, _) => return self.give_found(Found::Hit(entry), caching, rule, question.head),
                Found::Fill(filling) => return self.begin_fill(filling, caching, key, (rule, lifetimes), question).await,
                Found::Wait(waiting, stale) => (waiting, stale),
            };
            let waited = self.wait_for_fill(waiting).await?;
            if !caching.keeps_up(rule) {
                caching.cache().counters(rule).bypass(Reason::Lag);
                return Ok(Looked::Past);
            }
            match waited {
                Waited::Answer(entry) if entry.is_current() => return self.give_found(Found::Hit(entry), caching, rule, question.head),
                Waited::Answer(_) | Waited::Pass => return Ok(self.past_anothers_fill()),
                Waited::Again => {
                    if let Some(bytes) = stale.as_ref().filter(|entry| entry.is_current()).and_then(|entry| entry.bytes()) {
                        self.give(bytes, question.head);
                        return Ok(Looked::Answered);
                    }
                }
            }
            found = caching.cache().look(key, rule, lifetimes);
        }
        match found {
            Found::Fill(filling) => self.begin_fill(filling, caching, key, (rule, lifetimes), question).await,
            Found::Stale(entry, _) => self.give_found(Found::Hit(entry), caching, rule, question.head),
            Found::Wait(..) => Ok(self.past_anothers_fill()),
            found => self.give_found(found, caching, rule, question.head),
        }
    }

    /// Others' writes may have ended what was waited for: a replica that is asked must have them.
    fn past_anothers_fill(&mut self) -> Looked {
        self.replicas.must_have(Some(Instant::now()));
        Looked::Past
    }

    /// Waits for another client's fill, unless this one cancels or goes.
    async fn wait_for_fill(&mut self, waiting: Waiting) -> Outcome<Waited> {
        let interrupt = &self.registered.handle.interrupt;
        tokio::select! {
            biased;
            waited = waiting.wait() => Ok(waited),
            () = interrupt.notified() => Err(cancelled().into()),
            () = std::future::poll_fn(|cx| self.client.poll_gone(cx, true)) => Err(ClientError::Gone.into()),
        }
    }

    /// Finds out what the answer will depend on, before it is asked for.
    pub(super) async fn begin_fill(
        &mut self,
        filling: Filling,
        caching: &Arc<Caching>,
        key: &[u8],
        (rule, lifetimes): (usize, &Lifetimes),
        question: &Question,
    ) -> Outcome<Looked> {
        let shared = self.shared.clone();
        let counters = caching.cache().counters(rule);
        let graph = match caching.graph(shared.pool()).await {
            Ok(graph) => graph,
            Err(error) => {
                tracing::debug!(%error, "the catalogue can't be read for the cache");
                if caching.keeps_up(rule)
                    && let Some(bytes) = filling.if_error().cloned()
                {
                    self.give(&bytes, question.head);
                    filling.give_stale();
                    return Ok(Looked::Answered);
                }
                counters.bypass(Reason::Catalogue);
                filling.pass();
                return Ok(Looked::Past);
            }
        };
        let reading = caching.reading(&question.analysis, &graph);
        if reading.refused_for(&caching.rules()[rule]).is_some() {
            counters.bypass(Reason::Statement);
            filling.pass();
            return Ok(Looked::Past);
        }
        let made = Instant::now();
        let Some(snapshot) = caching.snapshot(rule, &reading, &graph, &question.parameters()) else {
            counters.bypass(Reason::Catalogue);
            filling.pass();
            return Ok(Looked::Past);
        };
        let of = (&*reading, &*graph);
        let place = match caching.look_elsewhere(rule, lifetimes, key, of, &question.parameters()).await {
            Elsewhere::Answer(bytes, age) => {
                self.give(&bytes, question.head);
                filling.complete_shared(bytes, snapshot, made.checked_sub(age).unwrap_or(made));
                return Ok(Looked::Answered);
            }
            Elsewhere::Place(place) => Some((place, lifetimes.ttl)),
            Elsewhere::Nothing => None,
        };
        // A replica must have what has ended earlier answers.
        self.replicas.must_have(snapshot.written());
        let mark = self.client.mark();
        // Beside the answer's own, there are the messages around it.
        self.client.record(caching.rules()[rule].max_result_size + 64);
        Ok(Looked::Fill(Box::new(Fill {
            filling,
            snapshot,
            made,
            rule,
            mark,
            head: question.head,
            place,
        })))
    }

    /// The client has been told what there is to tell: what of it is an answer is kept.
    pub(super) fn end_fill(&mut self, fill: Fill) {
        let told = self.client.end_recording();
        let answer = told.map(|told| answer(&told).map(Bytes::copy_from_slice));
        let Some(caching) = &self.shared.caching else { return };
        let counters = caching.cache().counters(fill.rule);
        let Some(answer) = answer else {
            counters.bypass(Reason::Size);
            fill.filling.complete(None, fill.snapshot, fill.made);
            return;
        };
        match answer {
            Ok(answer) => {
                let entry = fill.filling.complete(Some(answer), fill.snapshot, fill.made);
                if let (Some(sharing), Some((place, ttl))) = (caching.sharing(), fill.place) {
                    sharing.keep(place, entry, ttl);
                }
            }
            Err(None) => {
                counters.bypass(Reason::Answer);
                fill.filling.pass();
            }
            Err(Some(error)) if is_outage(&error) => {
                if caching.keeps_up(fill.rule)
                    && let Some(bytes) = fill.filling.if_error().cloned()
                    && self.client.can_take_back(fill.mark)
                    && self.status == TransactionStatus::Idle
                {
                    self.client.take_back(fill.mark);
                    self.give(&bytes, fill.head);
                    fill.filling.give_stale();
                }
            }
            // Whoever has cancelled it isn't the only one who waits for it.
            Err(Some(error)) if error.code() == sqlstate::QUERY_CANCELED.0 => {}
            Err(Some(_)) => fill.filling.pass(),
        }
    }
}

/// Whether the error says that there is nobody to answer, rather than that the statement is wrong.
fn is_outage(error: &PgError) -> bool {
    ["08", "53", "57P", "58"].iter().any(|class| error.code().starts_with(class))
}

/// The answer in what a client was told: descriptions, rows, CommandComplete. An error that it is; nothing for what can't be kept.
fn answer(told: &[u8]) -> Result<&[u8], Option<PgError>> {
    use reply::tag;
    let (mut at, mut start, mut end) = (0, None, None);
    while at < told.len() {
        let Ok(Some((tag, length))) = frame::peek(&told[at..], i32::MAX as usize) else {
            return Err(None);
        };
        let Some(message) = told.get(at..at + length) else {
            return Err(None);
        };
        match tag {
            tag::PARSE_COMPLETE | tag::BIND_COMPLETE if start.is_none() => {}
            tag::BIND_COMPLETE | tag::PARAMETER_DESCRIPTION | tag::ROW_DESCRIPTION | tag::DATA_ROW if end.is_none() => {
                start = start.or(Some(at));
            }
            tag::COMMAND_COMPLETE if end.is_none() => {
                start = start.or(Some(at));
                end = Some(at + length);
            }
            tag::READY_FOR_QUERY if end.is_some() && message.last() == Some(&b'I') && at + length == told.len() => {
                return match (start, end) {
                    (Some(start), Some(end)) => Ok(&told[start..end]),
                    _ => Err(None),
                };
            }
            tag::ERROR_RESPONSE => return Err(Some(PgError::read(&message[frame::HEADER_LEN..]))),
            _ => return Err(None),
        }
        at += length;
    }
    Err(None)
}
