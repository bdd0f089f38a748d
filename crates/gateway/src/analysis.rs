//! What each distinct text is, found once.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use flywheel_sql::{Literal, Materialized, SessionEffect, Statement, Template, Verb, drops_unnamed, split};
use flywheel_types::TableName;
use quick_cache::sync::Cache;

use crate::caching::{Memo, is_command};
use crate::repeated::Repeated;

/// Texts longer than this aren't kept: they are bulk loads, not statements that come again.
const MAX_CACHED_TEXT: usize = 64 * 1024;
/// What takes longer, or answers more, isn't followed by others on the same connection.
const QUICK: Duration = Duration::from_millis(5);
const SMALL: usize = 16 * 1024;
const CACHED_TEXTS: usize = 10_000;

/// A text and its statements.
#[derive(Debug)]
pub(crate) struct Analysis {
    pub(crate) text: String,
    pub(crate) statements: Vec<Statement>,
    /// For each statement: whether one of its words is the name of a store table, or it is one of Flywheel's own, so that it must be read closely.
    pub(crate) concerns_store: Vec<bool>,
    /// Nothing in it needs the gateway: no store table, no change of the session, no transaction control.
    pub(crate) is_plain: bool,
    /// It is one query that may be sent again, by its words.
    is_repeatable: bool,
    /// All of its statements are queries that a replica may answer, as far as their words tell.
    pub(crate) is_read: bool,
    /// None of its statements changes the database.
    changes_nothing: bool,
    /// For each route: whether it matches, for users that it is for.
    pub(crate) routes: OnceLock<Box<[bool]>>,
    pub(crate) observed: Arc<Observed>,
    repeated: Repeated,
    /// What of it concerns the cache.
    pub(crate) memo: Memo,
}

/// How long the server has taken for a text, and how much it has answered; and whether replicas answer it.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// How often it was seen to be quick and small, running.
    quick: AtomicU8,
    on_replica: AtomicU8,
    /// A connection that is read only has refused it.
    writes: AtomicBool,
}

const ANSWERED: u8 = 1;
const REFUSED: u8 = 2;

impl Observed {
    /// Others may be sent behind it.
    pub(crate) fn is_quick(&self) -> bool {
        self.quick.load(Ordering::Relaxed) > 0
    }

    /// A replica has answered it, so that it writes nothing; or has refused it, since it does.
    pub(crate) fn note_on_replica(&self, answered: bool) {
        let seen = if answered { ANSWERED } else { REFUSED };
        // A function may write now and then: once is enough.
        if !matches!(self.on_replica.load(Ordering::Relaxed), known if known == seen || known == REFUSED) {
            self.on_replica.store(seen, Ordering::Relaxed);
        }
    }

    /// A replica has answered it.
    pub(crate) fn is_answered_by_replicas(&self) -> bool {
        self.on_replica.load(Ordering::Relaxed) == ANSWERED
    }

    /// It has tried to write, in a function behind a view for instance.
    pub(crate) fn note_writes(&self) {
        self.writes.store(true, Ordering::Relaxed);
    }

    fn writes(&self) -> bool {
        self.writes.load(Ordering::Relaxed)
    }

    /// A replica has refused it as a write.
    pub(crate) fn is_refused_by_replicas(&self) -> bool {
        self.on_replica.load(Ordering::Relaxed) == REFUSED
    }

    pub(crate) fn note(&self, took: Duration, size: usize) {
        if took <= QUICK && size <= SMALL {
            // Not written to by everybody all the time.
            if !self.is_quick() {
                self.quick.store(1, Ordering::Relaxed);
            }
        } else {
            self.quick.store(0, Ordering::Relaxed);
        }
    }
}

impl Analysis {
    pub(crate) fn concerns_any_store(&self) -> bool {
        self.concerns_store.contains(&true)
    }

    /// Whether it leaves the database as it is, as far as is known.
    pub(crate) fn changes_nothing(&self) -> bool {
        self.changes_nothing || (self.is_read && self.observed.is_answered_by_replicas())
    }

    /// Whether it is one query that may be sent again, as far as is known: it can share a server connection with others'.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.is_repeatable && !self.observed.writes()
    }

    /// What of it is prepared because it comes again and again.
    pub(crate) fn repeated(&self) -> &Repeated {
        &self.repeated
    }

    /// The text of a statement.
    pub(crate) fn statement_text(&self, position: usize) -> &str {
        &self.text[self.statements[position].range.clone()]
    }
}

/// Whether a statement can't change the database, by its words.
fn changes_nothing(statement: &Statement, text: &str) -> bool {
    match statement.verb {
        Verb::Empty => true,
        // What COMMIT carries out was noted when it was written, unless another session has.
        Verb::Begin | Verb::Commit | Verb::Rollback | Verb::RollbackTo | Verb::Savepoint | Verb::Release => {
            !statement.has_keyword(text, "prepared")
        }
        Verb::Other => {
            matches!(
                statement.session,
                SessionEffect::Set { .. } | SessionEffect::SetLocal { .. } | SessionEffect::Reset { .. }
            ) || statement.tokens.first().is_some_and(|first| first.is_keyword(text, "show"))
        }
        _ => statement.is_repeatable(text),
    }
}

/// What the text of a simple Query is.
pub(crate) struct Query {
    /// Of the text, or of what it has in common with texts that differ in their constants only.
    pub(crate) analysis: Arc<Analysis>,
    /// The constants that make the analysed text this one. `None` where they alone don't.
    pub(crate) constants: Option<Vec<Literal>>,
}

/// Analyses by text.
#[derive(Debug)]
pub(crate) struct Analyses {
    cache: Cache<String, Arc<Analysis>>,
    /// What was observed of texts that differ in their constants only.
    observed: Cache<u64, Arc<Observed>>,
    store_tables: RwLock<HashSet<String>>,
}

impl Analyses {
    pub(crate) fn new() -> Self {
        Self {
            cache: Cache::new(CACHED_TEXTS),
            observed: Cache::new(CACHED_TEXTS),
            store_tables: RwLock::default(),
        }
    }

    /// Sets the names that make a statement one to be read closely: tables homed in stores, and views over them.
    pub(crate) fn set_names<'n>(&self, names: impl Iterator<Item = &'n TableName>) {
        let names: HashSet<String> = names.map(|name| name.name.clone()).collect();
        let mut known = self.store_tables.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *known != names {
            *known = names;
            self.cache.clear();
        }
    }

    fn observed(&self, text: &str, statement: &Statement) -> Arc<Observed> {
        let shape = statement.shape(text);
        if let Some(known) = self.observed.get(&shape) {
            return known;
        }
        let new = Arc::<Observed>::default();
        self.observed.insert(shape, new.clone());
        new
    }

    /// What the text of a simple Query is: where nothing in it needs the gateway, what is known of texts like it is enough.
    pub(crate) fn of_query(&self, text: &str) -> Query {
        if let Some(known) = self.cache.get(text) {
            return Query {
                analysis: known,
                constants: Some(Vec::new()),
            };
        }
        if let Some(template) = Template::of(text) {
            let analysis = self.of(&template.text);
            if analysis.is_plain && analysis.statements.len() == 1 {
                return Query {
                    analysis,
                    constants: template.is_exact.then_some(template.constants),
                };
            }
        }
        Query {
            analysis: self.of(text),
            constants: Some(Vec::new()),
        }
    }

    pub(crate) fn of(&self, text: &str) -> Arc<Analysis> {
        if let Some(known) = self.cache.get(text) {
            return known;
        }
        let statements = split(text);
        let names = self.store_tables.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let concerns_store: Vec<bool> = statements
            .iter()
            .map(|statement| {
                statement.has_word(text, |word| names.contains(word))
                    || (!names.is_empty()
                        && (drops_unnamed(text, &statement.tokens) || Materialized::of(text, &statement.tokens).is_some()))
                    || is_command(text, statement)
            })
            .collect();
        let is_plain = !concerns_store.contains(&true)
            && statements.iter().all(|statement| {
                statement.session == SessionEffect::None
                    && !statement.verb.is_transaction_control()
                    && !statement.verb.is_definition()
                    && !statement.has_keyword(text, "deallocate")
            });
        let is_repeatable = is_plain && matches!(&statements[..], [only] if only.is_repeatable(text));
        let is_read = !concerns_store.contains(&true)
            && !statements.is_empty()
            && statements
                .iter()
                .all(|statement| statement.is_read(text) && statement.verb != Verb::Empty);
        let changes_nothing = statements.iter().all(|statement| changes_nothing(statement, text));
        let observed = match &statements[..] {
            [only] if is_read || is_repeatable => self.observed(text, only),
            _ => Arc::default(),
        };
        let analysis = Arc::new(Analysis {
            text: text.to_owned(),
            statements,
            concerns_store,
            is_plain,
            is_repeatable,
            is_read,
            changes_nothing,
            routes: OnceLock::new(),
            observed,
            repeated: Repeated::default(),
            memo: Memo::default(),
        });
        if text.len() <= MAX_CACHED_TEXT {
            self.cache.insert(text.to_owned(), analysis.clone());
        }
        analysis
    }
}
