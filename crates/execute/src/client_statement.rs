//! A client's prepared statements and portals.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use flywheel_postgres::{Known, Named};
use flywheel_sql::Verb;
use flywheel_sql::lex::{Token, TokenKind};
use flywheel_statement::{Analysis, TextShape};
use flywheel_wire::frontend::Bind;
use flywheel_wire::reply::fields_digest;
use flywheel_wire::{Charset, PgError};
use postgres_protocol::message::frontend;

use crate::answer::Answer;
use crate::error::changed_result;
use crate::statement::StoreStatement;

/// PostgreSQL cuts longer names, in bytes (`NAMEDATALEN`), and says so.
const LONGEST_NAME: usize = 63;

/// A statement that the client has parsed.
#[derive(Debug)]
pub struct PreparedStatement {
    /// What its text is.
    pub analysis: Arc<Analysis>,
    /// Parameter types as the client gave them.
    pub types: Vec<u32>,
    /// The name it has on every server connection that knows it: made of its content, so that
    /// clients share it. Empty for the unnamed statement, which is parsed anew.
    pub server_name: String,
    /// The same for connections shared with other clients: name and Parse message.
    pub named: Option<Named>,
    /// Its plan, when it names a store table.
    pub store: Option<Arc<StoreStatement>>,
    /// What makes `store` its plan, where that is the plan of texts that differ in their constants
    /// and comments: behind the client's parameters, the plan has those of the constants.
    pub shape: Option<Arc<TextShape>>,
    /// SQL's PREPARE has made it, on the server connection, which stays with the session.
    pub by_sql: bool,
    /// How its text is read: it can be sent only where it still is.
    pub charset: Charset,
    /// When the client has parsed it.
    since: Instant,
    /// The digest of the result columns that the client was told of it, or that its plan had when
    /// it was parsed; 0: none.
    told: AtomicU64,
}

impl PreparedStatement {
    /// `context` is what parsing depends on beside the text: the session's settings, and how often
    /// definitions have changed.
    pub fn new(
        name: &str,
        analysis: Arc<Analysis>,
        types: Vec<u32>,
        store: Option<Arc<StoreStatement>>,
        context: &impl Hash,
    ) -> Self {
        let server_name = if name.is_empty() {
            String::new()
        } else if has_moment(&analysis) || tells_more(&analysis) {
            content_name(&(rand::random::<u128>(), &analysis.text))
        } else {
            content_name(&(&analysis.text, &types, context))
        };
        let named = (store.is_none() && !server_name.is_empty() && !tells_more(&analysis))
            .then(|| named(&server_name, &analysis, &types))
            .flatten();
        let told = AtomicU64::new(columns_of(store.as_deref()));
        Self {
            analysis,
            types,
            server_name,
            named,
            store,
            shape: None,
            by_sql: false,
            charset: Charset::Utf8,
            since: Instant::now(),
            told,
        }
    }

    /// One that no client has given a name to, for connections shared with other clients. `None`
    /// when it can't be anybody else's.
    pub fn shared(analysis: Arc<Analysis>, types: Vec<u32>, context: &impl Hash) -> Option<Self> {
        if has_moment(&analysis) || tells_more(&analysis) {
            return None;
        }
        let named = named(&content_name(&(&analysis.text, &types, context)), &analysis, &types)?;
        Some(Self { named: Some(named), ..Self::unnamed(analysis, types) })
    }

    /// One that SQL's PREPARE has made. `types` are known where it names a store table.
    pub fn by_sql(
        name: String,
        analysis: Arc<Analysis>,
        types: Vec<u32>,
        store: Option<Arc<StoreStatement>>,
    ) -> Self {
        Self {
            server_name: name,
            by_sql: true,
            told: AtomicU64::new(columns_of(store.as_deref())),
            store,
            ..Self::unnamed(analysis, types)
        }
    }

    /// The unnamed statement, when PostgreSQL answers it.
    pub fn unnamed(analysis: Arc<Analysis>, types: Vec<u32>) -> Self {
        Self {
            analysis,
            types,
            server_name: String::new(),
            named: None,
            store: None,
            shape: None,
            by_sql: false,
            charset: Charset::Utf8,
            since: Instant::now(),
            told: AtomicU64::new(0),
        }
    }

    /// The same of a text that was read in this way.
    #[must_use]
    pub fn in_charset(self, charset: Charset) -> Self {
        // What it is called where others could send it has its text in UTF-8.
        let named = self.named.filter(|_| charset.is_utf8());
        Self { charset, named, ..self }
    }

    /// The same with another plan. As in PostgreSQL, a statement keeps the result columns that it
    /// had when it was parsed.
    pub fn with_store(&self, store: Arc<StoreStatement>) -> Result<Self, PgError> {
        let columns = columns_of(Some(&store));
        let told = match self.told.load(Ordering::Relaxed) {
            0 => columns,
            told if told == columns || store.is_relayed() => told,
            _ => return Err(changed_result()),
        };
        Ok(Self {
            analysis: self.analysis.clone(),
            types: self.types.clone(),
            server_name: self.server_name.clone(),
            named: None,
            store: Some(store),
            shape: None,
            by_sql: self.by_sql,
            charset: self.charset,
            since: self.since,
            told: AtomicU64::new(told),
        })
    }

    /// The same, for somebody whose being told concerns the client no more.
    pub fn aside(&self) -> Self {
        Self {
            analysis: self.analysis.clone(),
            types: self.types.clone(),
            server_name: self.server_name.clone(),
            named: self.named.clone(),
            store: self.store.clone(),
            shape: self.shape.clone(),
            by_sql: self.by_sql,
            charset: self.charset,
            since: self.since,
            told: AtomicU64::new(self.told.load(Ordering::Relaxed)),
        }
    }

    /// Notes the result columns that the client was told.
    pub fn note_told(&self, columns: Option<u64>) {
        self.told.store(columns.unwrap_or(0), Ordering::Relaxed);
    }

    /// What the client knows of it.
    pub fn known(&self) -> Known {
        let told = self.told.load(Ordering::Relaxed);
        Known { since: self.since, columns: (told != 0).then_some(told) }
    }

    /// The same, answered by the plan of its shape.
    pub fn shaped(self, shape: TextShape) -> Self {
        Self { shape: Some(Arc::new(shape)), ..self }
    }

    /// The types of its parameters, as far as they are known.
    pub fn parameters(&self) -> &[u32] {
        let Some(store) = &self.store else { return &self.types };
        match &self.shape {
            Some(shape) => shape.own(store.parameters()),
            None => store.parameters(),
        }
    }

    /// Whether Flywheel answers it rather than a server.
    pub fn is_local(&self) -> bool {
        self.store.as_ref().is_some_and(|store| !store.is_relayed())
    }
}

/// The digest of the result columns of a plan; 0: it has none, or they are the server's to tell.
fn columns_of(store: Option<&StoreStatement>) -> u64 {
    let planned = store.filter(|store| !store.is_relayed());
    planned.and_then(StoreStatement::fields).map_or(0, fields_digest)
}

/// `None` for a text that can't be a message.
fn named(name: &str, analysis: &Analysis, types: &[u32]) -> Option<Named> {
    let mut parse = BytesMut::new();
    frontend::parse(name, &analysis.text, types.iter().copied(), &mut parse).ok()?;
    Some(Named { name: name.into(), parse: parse.freeze() })
}

/// Whether whoever parses it is told more than that it is done.
fn tells_more(analysis: &Analysis) -> bool {
    let is_long = |token: &Token| {
        token.range.len() > LONGEST_NAME
            && matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord)
    };
    analysis.statements.iter().flat_map(|statement| &statement.tokens).any(is_long)
}

/// Whether PostgreSQL may read the time of parsing into one of its literals (datatype-datetime,
/// "special values"), or it executes what a session has prepared under that name by then: such a
/// statement is nobody else's.
pub(crate) fn has_moment(analysis: &Analysis) -> bool {
    if analysis.statements.iter().any(|statement| statement.verb == Verb::Execute) {
        return true;
    }
    const MOMENTS: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];
    let strings = analysis.statements.iter().flat_map(|statement| &statement.tokens);
    strings.filter(|token| token.kind == TokenKind::String).any(|token| {
        let literal = analysis.text[token.range.clone()].to_ascii_lowercase();
        MOMENTS.iter().any(|moment| literal.contains(moment))
    })
}

/// 128 bits of the content: clients that prepare the same text in the same context use the same
/// statement.
pub(crate) fn content_name(content: &impl Hash) -> String {
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        (seed, content).hash(&mut hasher);
        hasher.finish()
    };
    format!("flywheel_{:016x}{:016x}", half(0), half(1))
}

/// A statement with parameters bound.
#[derive(Debug)]
pub struct BoundPortal {
    /// The statement.
    pub statement: Arc<PreparedStatement>,
    /// The formats of the values.
    pub formats: Vec<i16>,
    /// The values; `None`: NULL.
    pub values: Vec<Option<Bytes>>,
    /// The formats of the result's columns.
    pub result_formats: Vec<i16>,
    /// How far it has come, when Flywheel answers it.
    pub progress: Progress,
    /// How often the session had been changed when it was bound.
    pub as_of: u64,
}

impl BoundPortal {
    /// As a Bind gives the values.
    pub fn new(statement: Arc<PreparedStatement>, bind: Bind) -> Self {
        Self {
            statement,
            formats: bind.parameter_formats,
            values: bind.parameters,
            result_formats: bind.result_formats,
            progress: Progress::New,
            as_of: 0,
        }
    }
}

/// How far a portal has come.
#[derive(Debug, Default)]
pub enum Progress {
    /// It hasn't begun.
    #[default]
    New,
    /// A row limit has suspended it; what is left of its answer.
    Suspended(Box<Answer>),
    /// All of its answer has been given.
    Finished,
}
