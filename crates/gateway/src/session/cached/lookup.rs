//! Lookups of answers in memory, by all that they depend on.

use bytes::Bytes;
use flywheel_answers::{Caching, Memo};
use flywheel_cache::{Found, Lifetimes, Reason};
use flywheel_statement::{Analysis, Query};
use flywheel_wire::Frame;

use super::Lookups;
use super::answer::described;
use super::fill::{Looked, Lookup};
use super::question::{Head, Question};
use super::revalidation::{Again, Request};
use crate::session::gathered::{Describes, Gathered};
use crate::session::parts::{put, put_formats};
use crate::session::{Outcome, Session};

impl Lookups<'_> {
    /// Looks a batch up that is one query. `None`: no rule is for it.
    pub(in crate::session) async fn batch(&mut self) -> Outcome<Looked> {
        let Some(caching) = self.session.shared.caching.clone() else {
            return Ok(Looked::Past);
        };
        if self.session.batch.len() > 4 || self.session.phase.is_skipping() {
            return Ok(Looked::Past);
        }
        let mut key = self.session.cached.take_key();
        let Some(gathered) = self.session.gathered_query() else {
            self.session.cached.give_key_back(key);
            return Ok(Looked::Past);
        };
        let Gathered { parsed, bind, bound, describes, limit } = gathered;
        let Some(statement) = parsed.as_ref().or(bound.as_ref()) else {
            self.session.cached.give_key_back(key);
            return Ok(Looked::Past);
        };
        let analysis = &statement.analysis;
        let Some((rule, lifetimes)) = self.may_be_kept(&caching, analysis) else {
            self.session.cached.give_key_back(key);
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
        if let (Describes::Nothing, Some(bound)) = (describes, &bound) {
            // The rows must have the columns that the client takes them to have.
            key.extend_from_slice(&bound.known().columns.unwrap_or(0).to_le_bytes());
        }
        key.extend_from_slice(&limit.to_le_bytes());
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
        let tells = matches!(describes, Describes::StatementBefore | Describes::StatementAfter);
        let mark = self.session.client.mark();
        let question = |session: &Session| {
            let gathered = session.gathered_query()?;
            let statement = gathered.statement()?;
            Some(Question {
                analysis: statement.analysis.clone(),
                types: statement.types.clone(),
                formats: gathered.bind.parameter_formats.clone(),
                values: gathered.bind.parameters.clone(),
            })
        };
        let (user, settings) = (&self.session.identity.user, &self.session.settings.now);
        self.session.cached.put_context(&caching.database, user, settings, &mut key);
        let lookup = Lookup { caching: &caching, rule, lifetimes, key: &key, head };
        let mut found = lookup.look();
        if let Found::Stale(entry, filling) = found {
            if let Some(question) = question(self.session) {
                let request = Request::Batch(self.session.batch.gathered().to_vec());
                Again::new(&lookup, question, request).begin(self.session, filling, &caching);
            }
            found = Found::Hit(entry);
        }
        let looked = if needs_question(&found) {
            match question(self.session) {
                Some(question) => lookup.take_found(self.session, found, &question).await,
                None => Ok(Looked::Past),
            }
        } else {
            lookup.give_found(self.session, found)
        };
        self.session.cached.give_key_back(key);
        if let Ok(Looked::Answered) = looked {
            self.session.batch.clear();
            if let Some(parsed) = parsed {
                if tells {
                    parsed.note_told(self.session.client.told_since(mark).and_then(described));
                }
                self.session.prepared.statements.insert(String::new(), parsed);
            }
            self.session.prepared.portals.clear();
        }
        looked
    }

    /// Looks a simple Query up.
    pub(in crate::session) async fn query(
        &mut self,
        frame: &Frame,
        text: &str,
        query: &Query,
    ) -> Outcome<Looked> {
        let Some(caching) = self.session.shared.caching.clone() else {
            return Ok(Looked::Past);
        };
        let analysis = &query.analysis;
        let Some((rule, lifetimes)) = self.may_be_kept(&caching, analysis) else {
            return Ok(Looked::Past);
        };
        let mut key = self.session.cached.take_key();
        let head = Head { parse: false, bind: false };
        match &query.constants {
            Some(constants) => {
                key.push(b'q');
                put(&mut key, Memo::of(analysis).normal(analysis).as_bytes());
                for constant in constants {
                    key.extend_from_slice(&constant.type_oid.to_le_bytes());
                    put(&mut key, constant.value(text).as_bytes());
                }
            }
            None => {
                key.push(b't');
                put(&mut key, text.as_bytes());
            }
        }
        let (user, settings) = (&self.session.identity.user, &self.session.settings.now);
        self.session.cached.put_context(&caching.database, user, settings, &mut key);
        let question = || {
            let constants = query.constants.as_deref().unwrap_or_default();
            Question {
                analysis: analysis.clone(),
                types: constants.iter().map(|constant| constant.type_oid).collect(),
                formats: Vec::new(),
                values: constants
                    .iter()
                    .map(|constant| Some(Bytes::copy_from_slice(constant.value(text).as_bytes())))
                    .collect(),
            }
        };
        let lookup = Lookup { caching: &caching, rule, lifetimes, key: &key, head };
        let found = lookup.look();
        let looked = match found {
            found @ (Found::Hit(_) | Found::Pass | Found::Seldom) => {
                lookup.give_found(self.session, found)
            }
            Found::Stale(entry, filling) => {
                let request = Request::Query(frame.clone());
                Again::new(&lookup, question(), request).begin(self.session, filling, &caching);
                lookup.give_found(self.session, Found::Hit(entry))
            }
            found => lookup.take_found(self.session, found, &question()).await,
        };
        self.session.cached.give_key_back(key);
        looked
    }

    /// The rule that is for a statement, when nothing stands against it.
    fn may_be_kept(&self, caching: &Caching, analysis: &Analysis) -> Option<(usize, Lifetimes)> {
        let (rule, lifetimes) = caching.rule(analysis, &self.session.identity.user)?;
        let reason = if Memo::of(analysis).hint(analysis).refuses {
            Reason::Hint
        } else if self.session.is_pinned() {
            Reason::Pinned
        } else if !self.session.is_free() {
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
}
