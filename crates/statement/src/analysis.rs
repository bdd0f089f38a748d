//! What each distinct text is, found once.
//!
//! What another crate finds out about a text is kept with it by `Analysis::note`.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

use flywheel_sql::lex::Token;
use flywheel_sql::{
    Materialized, SessionEffect, Statement, Traces, Verb, drops_unnamed, lists_prepared,
    names_prepared, split,
};
use flywheel_types::TableName;
use quick_cache::sync::Cache;

use crate::by_text::{ByText, TextMemory};
use crate::commands::is_command;
use crate::long::{is_long, on_text};
use crate::notes::Notes;
use crate::planning::ShapePlanning;
use crate::shown::Shown;
use crate::suspects::Suspects;

/// What takes longer, or answers more, isn't followed by others on the same connection.
const QUICK: Duration = Duration::from_millis(5);
const SMALL: usize = 16 * 1024;
/// Of how many forms of statements something observed is kept.
const OBSERVED: usize = 10_000;

/// About how many bytes others keep with a text.
const NOTES: usize = 512;

/// A text and its statements.
#[derive(Debug)]
pub struct Analysis {
    /// The text.
    pub text: String,
    /// Its statements, in their order.
    pub statements: Vec<Statement>,
    /// For each statement: whether one of its words is the name of a store table, or it is one of
    /// Flywheel's own, so that it must be read closely.
    pub concerns_store: Vec<bool>,
    /// Nothing in it needs the gateway: no store table, no change of the session, no transaction
    /// control.
    pub is_plain: bool,
    /// It is one query that may be sent again, by its words.
    is_repeatable: bool,
    /// All of its statements are queries that a replica may answer, as far as their words tell.
    pub is_read: bool,
    /// None of its statements changes the database.
    changes_nothing: bool,
    /// For each route: whether it matches, for users that it is for.
    pub routes: OnceLock<Box<[bool]>>,
    /// What was observed of it, and of texts that differ in their constants only.
    pub observed: Arc<Observed>,
    notes: Notes,
    /// Whether one plan serves all texts that differ from it in their constants.
    pub planning: ShapePlanning,
    /// The prepared statements that PREPARE and EXECUTE in it name.
    pub names_prepared: Vec<String>,
    /// It may list the prepared statements and cursors of its connection.
    pub lists_prepared: bool,
    /// It names something that isn't known.
    pub lacks: bool,
    /// What it shows of the connection that it runs on.
    pub shown: Shown,
    /// PostgreSQL's parser has read all of it without an error.
    read_whole: AtomicBool,
    /// The version of the known code with which it leaves behind what its statements say; 0: none.
    proved: AtomicU64,
    latest: Arc<AtomicU64>,
}

/// How long the server has taken for a text, and how much it has answered; and whether replicas
/// answer it.
#[derive(Debug, Default)]
pub struct Observed {
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
    pub fn is_quick(&self) -> bool {
        self.quick.load(Ordering::Relaxed) > 0
    }

    /// A replica has answered it, so that it writes nothing; or has refused it, since it does.
    pub fn note_on_replica(&self, answered: bool) {
        let seen = if answered { ANSWERED } else { REFUSED };
        // A function may write now and then: once is enough.
        let known = self.on_replica.load(Ordering::Relaxed);
        if known != seen && known != REFUSED {
            self.on_replica.store(seen, Ordering::Relaxed);
        }
    }

    /// A replica has answered it.
    pub fn is_answered_by_replicas(&self) -> bool {
        self.on_replica.load(Ordering::Relaxed) == ANSWERED
    }

    /// It has tried to write, in a function behind a view for instance.
    pub fn note_writes(&self) {
        self.writes.store(true, Ordering::Relaxed);
    }

    fn writes(&self) -> bool {
        self.writes.load(Ordering::Relaxed)
    }

    /// A replica has refused it as a write.
    pub fn is_refused_by_replicas(&self) -> bool {
        self.on_replica.load(Ordering::Relaxed) == REFUSED
    }

    /// The server has taken so long for it, and has answered so much.
    pub fn note(&self, took: Duration, size: usize) {
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
    /// About how much memory it takes, its text as a key included.
    fn bytes(&self) -> usize {
        let of_statement = |statement: &Statement| {
            size_of::<Statement>() + statement.tokens.capacity() * size_of::<Token>()
        };
        let statements: usize = self.statements.iter().map(of_statement).sum();
        size_of::<Self>() + NOTES + 2 * self.text.len() + statements
    }

    /// How many tokens it consists of.
    pub fn token_count(&self) -> usize {
        self.statements.iter().map(|statement| statement.tokens.len()).sum()
    }

    /// Whether one of its statements must be read closely.
    pub fn concerns_any_store(&self) -> bool {
        self.concerns_store.contains(&true)
    }

    /// Whether it leaves the database as it is, as far as is known.
    pub fn changes_nothing(&self) -> bool {
        self.changes_nothing || (self.is_read && self.observed.is_answered_by_replicas())
    }

    /// Whether it is one query that may be sent again, as far as is known: it can share a server
    /// connection with others'.
    pub fn is_repeatable(&self) -> bool {
        self.is_repeatable && self.is_proved() && !self.observed.writes()
    }

    /// Whether its words say that it is one query that may be sent again.
    pub fn reads_as_repeatable(&self) -> bool {
        matches!(&self.statements[..], [only] if only.is_repeatable(&self.text))
    }

    /// Whether its statements leave nothing behind but what they are known to.
    pub fn is_proved(&self) -> bool {
        self.proved.load(Ordering::Relaxed) == self.latest.load(Ordering::Relaxed)
    }

    /// Nothing else was found in the code that is known in this version.
    pub fn prove(&self, version: u64) {
        self.proved.store(version, Ordering::Relaxed);
    }

    /// Whether PostgreSQL's parser is known to read all of it.
    pub fn is_read_whole(&self) -> bool {
        self.read_whole.load(Ordering::Relaxed)
    }

    /// PostgreSQL's parser has read all of it.
    pub fn note_read_whole(&self) {
        self.read_whole.store(true, Ordering::Relaxed);
    }

    /// Whether both leave the same behind.
    pub fn has_effects_of(&self, other: &Self) -> bool {
        let effects = |analysis: &'_ Self| {
            analysis.statements.iter().map(|each| each.session.clone()).collect::<Vec<_>>()
        };
        self.statements.len() == other.statements.len() && effects(self) == effects(other)
    }

    /// What somebody else has found out about it, as a value of its type.
    pub fn note<T: Any + Default + Send + Sync>(&self) -> &T {
        self.notes.of()
    }

    /// The text of a statement.
    pub fn statement_text(&self, position: usize) -> &str {
        &self.text[self.statements[position].range.clone()]
    }
}

/// GRANT and REVOKE, and what gives a role's objects to another.
pub fn changes_rights(statement: &Statement, text: &str) -> bool {
    let first = statement.tokens.first();
    first.is_some_and(|first| {
        ["grant", "revoke", "reassign"].iter().any(|word| first.is_keyword(text, word))
    })
}

/// Whether a statement can't change the database, by its words.
fn changes_nothing(statement: &Statement, text: &str) -> bool {
    match statement.verb {
        Verb::Empty => true,
        // What COMMIT carries out was noted when it was written, unless another session has.
        Verb::Begin
        | Verb::Commit
        | Verb::Rollback
        | Verb::RollbackTo
        | Verb::Savepoint
        | Verb::Release => !statement.has_keyword(text, "prepared"),
        Verb::Other => {
            matches!(
                statement.session,
                SessionEffect::Set { .. }
                    | SessionEffect::SetLocal { .. }
                    | SessionEffect::ResetLocal { .. }
                    | SessionEffect::Reset { .. }
            ) || statement.tokens.first().is_some_and(|first| {
                first.is_keyword(text, "show") || first.is_keyword(text, "set")
            })
        }
        _ => statement.is_repeatable(text),
    }
}

/// Analyses of long texts, for as long as somebody has them: reading such a text again for each
/// question about it takes long.
#[derive(Debug, Default)]
struct Held(Mutex<HeldByHash>);

#[derive(Debug, Default)]
struct HeldByHash {
    analyses: HashMap<u64, Weak<Analysis>>,
    hashing: RandomState,
    /// How many there may be before those that have gone are looked for.
    most: usize,
}

impl Held {
    fn get(&self, text: &str) -> Option<Arc<Analysis>> {
        if !is_long(text.len()) {
            return None;
        }
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let analysis = held.analyses.get(&held.hashing.hash_one(text))?.upgrade()?;
        (analysis.text == text).then_some(analysis)
    }

    fn insert(&self, analysis: &Arc<Analysis>) {
        if !is_long(analysis.text.len()) {
            return;
        }
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.analyses.len() >= held.most {
            held.analyses.retain(|_, analysis| analysis.strong_count() > 0);
            held.most = 16 + 2 * held.analyses.len();
        }
        let hash = held.hashing.hash_one(&analysis.text);
        held.analyses.insert(hash, Arc::downgrade(analysis));
    }

    fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).analyses.clear();
    }
}

/// Analyses by text.
#[derive(Debug)]
pub struct Analyses {
    known: ByText<String, Arc<Analysis>>,
    /// Those of long texts that somebody has at hand, kept or not.
    held: Held,
    /// What was observed of texts that differ in their constants only.
    observed: Cache<u64, Arc<Observed>>,
    store_tables: RwLock<HashSet<String>>,
    suspects: RwLock<Arc<Suspects>>,
    /// Counts what `suspects` has been.
    version: Arc<AtomicU64>,
    /// It is time to look whether `suspects` still is what the catalogue has.
    is_stale: AtomicBool,
}

impl Analyses {
    /// Nothing is kept yet. What is kept is a part of this memory.
    pub fn new(memory: Arc<TextMemory>) -> Self {
        Self {
            known: ByText::new(memory),
            held: Held::default(),
            observed: Cache::new(OBSERVED),
            store_tables: RwLock::default(),
            suspects: RwLock::default(),
            version: Arc::new(AtomicU64::new(1)),
            is_stale: AtomicBool::new(true),
        }
    }
}

impl Analyses {
    /// The code that may change sessions, as it is known.
    pub fn suspects(&self) -> Arc<Suspects> {
        self.suspects.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Sets it anew: what was proved before isn't any more.
    pub fn set_suspects(&self, suspects: Suspects) {
        let mut known = self.suspects.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *known = Arc::new(suspects);
        self.version.fetch_add(1, Ordering::Relaxed);
        self.known.clear();
        self.held.clear();
    }

    /// Counts how often it has been set.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// Whether somebody should look at the catalogue.
    pub fn is_stale(&self) -> bool {
        self.is_stale.load(Ordering::Relaxed)
    }

    /// Somebody has looked, or should.
    pub fn set_stale(&self, is_stale: bool) {
        self.is_stale.store(is_stale, Ordering::Relaxed);
    }

    /// Sets the names that make a statement one to be read closely: tables homed in stores, and
    /// views over them.
    pub fn set_names<'n>(&self, names: impl Iterator<Item = &'n TableName>) {
        let names: HashSet<String> = names.map(|name| name.name.clone()).collect();
        let mut known =
            self.store_tables.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *known != names {
            *known = names;
            self.known.clear();
            self.held.clear();
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

    /// What is known of a text without reading it.
    pub(crate) fn known(&self, text: &str) -> Option<Arc<Analysis>> {
        self.known.get(text).or_else(|| self.held.get(text))
    }

    /// [`Self::of`], without keeping the thread from others meanwhile.
    pub async fn of_long(self: &Arc<Self>, text: &str) -> Arc<Analysis> {
        if let Some(known) = self.known(text) {
            return known;
        }
        if !is_long(text.len()) {
            return self.of(text);
        }
        let (analyses, text) = (self.clone(), text.to_owned());
        on_text(text.len(), move || analyses.of(&text)).await
    }

    /// What a text is.
    pub fn of(&self, text: &str) -> Arc<Analysis> {
        if let Some(known) = self.known(text) {
            return known;
        }
        let mut statements = split(text);
        let version = self.version();
        let suspects = self.suspects();
        for statement in &mut statements {
            let mut code = suspects.of(text, statement);
            if code.is_unknown {
                code.merge(&Traces::of_strings(text, &statement.tokens));
            }
            if !code.is_empty() {
                let own = std::mem::replace(&mut statement.session, SessionEffect::None);
                statement.session = own.with_code(statement.verb, &code);
            }
        }
        let lacks = statements
            .iter()
            .any(|statement| !statement.verb.is_definition() && suspects.lack(text, statement));
        let shown = Shown::of(text, &statements);
        let names = self.store_tables.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let concerns_store: Vec<bool> = statements
            .iter()
            .map(|statement| {
                statement.has_word(text, |word| names.contains(word))
                    || (!names.is_empty()
                        && (drops_unnamed(text, &statement.tokens)
                            || Materialized::of(text, &statement.tokens).is_some()))
                    || is_command(text, statement)
            })
            .collect();
        let is_plain = !concerns_store.contains(&true)
            && statements.iter().all(|statement| {
                statement.session == SessionEffect::None
                    && !statement.verb.is_transaction_control()
                    && !statement.verb.is_definition()
                    && !changes_rights(statement, text)
                    && statement.verb != Verb::CreateIndex
                    && !statement.has_keyword(text, "deallocate")
            });
        let lists_prepared = lists_prepared(text);
        let is_repeatable = is_plain
            && !lists_prepared
            && !shown.settings
            && shown.resets.is_empty()
            && !shown.resets_any
            && matches!(&statements[..], [only] if only.is_repeatable(text));
        let is_read = !concerns_store.contains(&true)
            && !lists_prepared
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
            concerns_store,
            is_plain,
            is_repeatable,
            is_read,
            changes_nothing,
            routes: OnceLock::new(),
            names_prepared: statements
                .iter()
                .filter_map(|each| names_prepared(text, each))
                .collect(),
            lists_prepared,
            statements,
            observed,
            notes: Notes::default(),
            planning: ShapePlanning::default(),
            lacks,
            shown,
            read_whole: AtomicBool::new(false),
            proved: AtomicU64::new(if lacks { 0 } else { version }),
            latest: self.version.clone(),
        });
        self.known.insert(text.to_owned(), analysis.clone(), analysis.bytes());
        self.held.insert(&analysis);
        analysis
    }
}
