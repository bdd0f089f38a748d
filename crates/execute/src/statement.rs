//! Statements on store tables, as they are kept.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use flywheel_plan::{Fetch, General, Home, Plan};
use flywheel_postgres::Described;
use flywheel_sql::{Explained, Parsed, RelationName};
use flywheel_wire::PgError;
use flywheel_wire::reply::Field;

use crate::expressions::Expressions;
use crate::new_values::NewValues;
use crate::options::TableHome;
use crate::rewritten::Rewritten;

/// What a statement is to Flywheel.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one for each text, behind an Arc")]
pub(crate) enum Kind {
    /// It reads or writes store tables.
    Planned { parsed: Parsed, plan: Plan },
    /// EXPLAIN of one that does; the lines of the answer.
    Explain { lines: Vec<String>, as_json: bool },
    /// EXPLAIN ANALYZE of one that does.
    Analyze { inner: Arc<StoreStatement>, options: Explained },
    /// CREATE TABLE of a table that the configuration homes in a store.
    CreateTable { table: Box<TableHome> },
    /// ALTER TABLE of this store table.
    AlterTable { home: Arc<Home> },
    /// DROP TABLE of these store tables.
    DropTable { homes: Vec<Arc<Home>> },
    /// A statement that may drop store tables along with what it names.
    DropUnnamed,
    /// COPY out of store tables, as COPY of a query: relayed with their rows put in.
    Copy { parsed: Parsed, fetches: Vec<Fetch> },
    /// One in which PostgreSQL has found an error that it tells when the statement runs.
    Failing(PgError),
    /// COPY of the client's rows into a store table.
    CopyFrom { home: Arc<Home> },
    /// CREATE VIEW over store tables.
    CreateView,
    /// CREATE or REFRESH MATERIALIZED VIEW over these rows of store tables.
    Materialize { fetches: Vec<Fetch> },
    /// SQL's PREPARE of a statement on store tables.
    Prepare { name: String, inner: String },
    /// EXECUTE of one.
    Execute {
        statement: Arc<StoreStatement>,
        arguments: SqlArguments,
        /// The digest of the result columns that it had when it was prepared.
        columns: Option<u64>,
    },
    /// TRUNCATE of these store tables, all of one store.
    Truncate { homes: Vec<Arc<Home>> },
    /// SHOW CACHE, FLUSH CACHE and RELOAD.
    Cache(CacheCommand),
    /// It only looked like one, or does nothing that concerns the rows: relayed.
    Relayed,
}

/// Where the arguments of an EXECUTE stand in its text, if it has any; or why there can't be so
/// many.
pub(crate) type SqlArguments = Result<Option<Range<usize>>, PgError>;

/// A command to the gateway.
#[derive(Debug)]
pub enum CacheCommand {
    /// SHOW CACHE
    Show,
    /// FLUSH CACHE, or of what was read from this relation.
    Flush(Option<RelationName>),
    /// RELOAD: the configuration is read anew.
    Reload,
}

/// A statement and what was found about it.
#[derive(Debug)]
pub struct StoreStatement {
    pub(crate) text: String,
    /// The same with the views that it names still in it, of which PostgreSQL checks the rights.
    pub(crate) named: String,
    pub(crate) kind: Kind,
    pub(crate) described: Described,
    /// What decided what its names mean.
    pub(crate) names: Option<String>,
    /// The catalogue's version that it was planned for.
    pub(crate) version: u64,
    /// Whether the role's rights were checked when it was planned.
    pub(crate) is_checked: bool,
    /// The text that runs over fetched rows, where they stand in the places of tables.
    pub(crate) rewritten: Option<Rewritten>,
    /// What PostgreSQL computes before its rows are read.
    pub(crate) expressions: Option<Expressions>,
    /// How PostgreSQL computes what it assigns, without staged rows.
    pub(crate) new_values: Option<NewValues>,
    pub(crate) freshness: Freshness,
    /// How it answers texts that have constants in the places of its parameters.
    pub(crate) serving: OnceLock<Serving>,
}

/// How a statement with parameters answers texts with constants in their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serving {
    /// The store alone, or not at all.
    Natively,
    /// PostgreSQL, over fetched rows.
    OverRows {
        /// Server connections may keep it prepared.
        is_kept: bool,
    },
}

/// Whether a plan can still be used.
#[derive(Debug, Default)]
pub(crate) struct Freshness {
    /// It was found to be kept from an earlier statement.
    pub(crate) is_old: AtomicBool,
    /// A definition has changed that the catalogue's version doesn't tell of: a table of
    /// PostgreSQL's own, past this gateway.
    pub(crate) is_over: AtomicBool,
}

impl StoreStatement {
    pub(super) fn described(&self) -> &Described {
        &self.described
    }

    pub(super) fn rewritten(&self) -> Option<&Rewritten> {
        self.rewritten.as_ref()
    }

    /// Whether the role's rights are to be checked whenever it runs.
    pub(super) fn is_unchecked(&self) -> bool {
        !self.is_checked
    }

    /// Parameter types.
    pub fn parameters(&self) -> &[u32] {
        &self.described.parameters
    }

    /// Result columns, when it returns rows.
    pub fn fields(&self) -> Option<&[Field]> {
        self.described.fields.as_deref()
    }

    /// One of Flywheel's own, with the columns of its answer.
    pub(super) fn own(text: String, kind: Kind, fields: Option<Vec<Field>>) -> Self {
        Self {
            named: text.clone(),
            text,
            kind,
            described: Described { parameters: Vec::new(), fields },
            names: None,
            version: 0,
            is_checked: true,
            rewritten: None,
            expressions: None,
            new_values: None,
            freshness: Freshness::default(),
            serving: OnceLock::new(),
        }
    }

    /// One that fails with an error whenever it runs. It isn't kept.
    pub(crate) fn failing(text: String, described: Described, error: PgError) -> Self {
        Self {
            named: text.clone(),
            text,
            kind: Kind::Failing(error),
            described,
            names: None,
            version: u64::MAX,
            is_checked: true,
            rewritten: None,
            expressions: None,
            new_values: None,
            freshness: Freshness::default(),
            serving: OnceLock::new(),
        }
    }

    /// An EXECUTE of it.
    pub(super) fn executed_by(&self, text: String, kind: Kind, described: Described) -> Self {
        Self {
            named: text.clone(),
            text,
            kind,
            described,
            names: self.names.clone(),
            version: self.version,
            is_checked: self.is_checked,
            rewritten: None,
            expressions: None,
            new_values: None,
            freshness: Freshness::default(),
            serving: OnceLock::new(),
        }
    }

    /// Whether it was made for an earlier statement than the one at hand.
    pub(super) fn is_old(&self) -> bool {
        self.freshness.is_old.load(Ordering::Relaxed)
    }

    /// Whether it was planned for these definitions.
    pub fn is_of(&self, version: u64) -> bool {
        self.version == version && !self.freshness.is_over.load(Ordering::Relaxed)
    }

    /// Its result has other columns than when it was planned.
    pub(super) fn outdate(&self) {
        self.freshness.is_over.store(true, Ordering::Relaxed);
    }

    /// Whether it names relations that aren't store tables, whose definitions the catalogue's
    /// version doesn't tell of.
    pub(super) fn reads_others(&self) -> bool {
        let Kind::Planned { parsed, plan } = &self.kind else { return false };
        let homed = match &plan.general {
            General::Read { fetches, .. } => fetches.len(),
            General::Write { targets, fetches, .. } => targets.len() + fetches.len(),
            General::Refuse(_) => return false,
        };
        parsed.relations.len() > homed
    }

    /// Whether it is COPY out of store tables.
    pub fn is_copy(&self) -> bool {
        matches!(self.kind, Kind::Copy { .. })
    }

    /// Whether it is of the cache's own.
    pub fn is_cache_command(&self) -> bool {
        matches!(self.kind, Kind::Cache(_))
    }

    /// The text of what it writes, with the types of its parameters. `None`: it may write anything.
    pub fn written(&self) -> Option<(&str, &[u32])> {
        match &self.kind {
            Kind::Execute { .. } => None,
            _ => Some((&self.text, &self.described.parameters)),
        }
    }

    /// Whether a server answers it after all, as it stands.
    pub fn is_relayed(&self) -> bool {
        matches!(self.kind, Kind::Relayed)
    }
}

/// What a kept statement was made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StatementKey {
    pub(crate) text: String,
    pub(crate) types: Vec<u32>,
    /// What decides what names mean, and whose rights count: the statements that made the search
    /// path and the role, or what PostgreSQL says of both.
    pub(crate) names: Option<String>,
}
