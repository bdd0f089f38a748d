//! The tables homed in stores, with the definitions that PostgreSQL's catalogue gives them.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use flywheel_plan::{Home, Homes};
use flywheel_postgres::catalogue::{self, Definition};
use flywheel_postgres::{Connection, ServerError};
use flywheel_store::{Index, Layout, StoreTable};
use flywheel_types::{Table, TableName};
use flywheel_wire::{PgError, Severity, sqlstate};
use futures_util::future::join_all;

use crate::options::{IndexChoice, LayoutChoice, TableHome};

/// How long a store may take to say which indexes a table has. Statements wait for it.
const INDEX_PATIENCE: Duration = Duration::from_secs(2);

/// What is known of the configured tables now.
#[derive(Debug, Default, Clone)]
pub(crate) struct Known {
    /// Tables that can be used.
    pub(crate) homes: Homes,
    /// Tables that PostgreSQL defines, but that can't be used as they are; and views over store tables.
    pub(crate) refused: HashMap<TableName, PgError>,
    /// Those of the views whose query can stand in their place where they are read.
    pub(crate) views: HashSet<TableName>,
}

/// The configured tables and what is known of them.
#[derive(Debug)]
pub(crate) struct Catalogue {
    configured: Vec<TableHome>,
    known: RwLock<Arc<Known>>,
    /// Counts definitions made or changed through this gateway.
    definitions: AtomicU64,
    /// The digest of the definitions that `known` was made from.
    digest: Mutex<String>,
    /// Whether a store couldn't say which indexes it has.
    lacks_indexes: AtomicBool,
    /// Counts changes, so that plans made before one aren't used after it.
    version: AtomicU64,
}

impl Catalogue {
    pub(crate) fn new(configured: Vec<TableHome>) -> Self {
        Self {
            configured,
            known: RwLock::default(),
            definitions: AtomicU64::new(0),
            lacks_indexes: AtomicBool::new(false),
            digest: Mutex::default(),
            version: AtomicU64::new(0),
        }
    }

    pub(crate) fn configured(&self) -> &[TableHome] {
        &self.configured
    }

    pub(crate) fn known(&self) -> Arc<Known> {
        self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The names, without schemas, of the configured tables and of views over them.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names_with(&self.known())
    }

    fn names_with(&self, known: &Known) -> Vec<String> {
        let configured = self.configured.iter().map(|table| &table.name);
        let mut names: Vec<_> = configured.chain(known.refused.keys()).map(|name| name.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// A definition has changed: plans, and statements prepared on servers, are to be made anew.
    pub(crate) fn touch(&self) {
        self.definitions.fetch_add(1, Ordering::AcqRel);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// How many definitions have been made or changed through this gateway.
    pub(crate) fn definitions(&self) -> u64 {
        self.definitions.load(Ordering::Acquire)
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Whether there is nothing to be read any more before the first statement.
    pub(crate) fn is_read(&self) -> bool {
        self.configured.is_empty() || !self.digest.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_empty()
    }

    /// Whether this is another digest than that of the known definitions.
    pub(crate) fn has_changed(&self, digest: &str) -> bool {
        *self.digest.lock().unwrap_or_else(std::sync::PoisonError::into_inner) != digest
    }

    /// Whether a store couldn't say which indexes it has: it is to be asked again.
    pub(crate) fn lacks_indexes(&self) -> bool {
        self.lacks_indexes.load(Ordering::Acquire)
    }

    /// The indexes of a table as its store has them, and whether they are all.
    async fn find_indexes(&self, home: &Home) -> (Vec<Index>, bool) {
        let wanted = &home.table.indexes;
        let is_listed = |configured: &&TableHome| configured.name == *home.name() && configured.indexes.is_some();
        let listed = self.configured.iter().any(|configured| is_listed(&configured));
        if listed && wanted.is_empty() {
            return (Vec::new(), true);
        }
        let found = tokio::time::timeout(INDEX_PATIENCE, home.store.find_indexes(&home.table, listed)).await;
        let problem = match found {
            Ok(Ok(indexes)) => {
                let is_missing = |wanted: &&Index| !indexes.iter().any(|index| index.name == wanted.name);
                let Some(missing) = wanted.iter().find(is_missing) else {
                    return (indexes, true);
                };
                let problem = format!(
                    "the store has no index \"{}\" that could be read, or not as it is configured",
                    missing.name
                );
                if !self.lacks_indexes() {
                    tracing::warn!(table = %home.name(), store = home.store_name, "{problem}; `flywheel check --connect` compares them");
                }
                return (indexes, false);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the store didn't say in time which indexes the table has".to_owned(),
        };
        if !self.lacks_indexes() {
            tracing::warn!(table = %home.name(), store = home.store_name, problem, "the table's indexes aren't used as long as they aren't known");
        }
        (Vec::new(), false)
    }

    /// Reads the definitions anew.
    pub(crate) async fn reload(&self, connection: &mut Connection) -> Result<(), ServerError> {
        let names: Vec<_> = self.configured.iter().map(|table| table.name.clone()).collect();
        let mut definitions = catalogue::load(connection, &names).await?;
        let mut known = Known::default();
        let mut homes = Vec::new();
        for configured in &self.configured {
            let Some(definition) = definitions.remove(&configured.name) else {
                continue;
            };
            for view in &definition.dependents {
                known.refused.insert(view.clone(), view_refused(view, configured));
            }
            known.views.extend(definition.plain_views.iter().cloned());
            match home(configured, definition) {
                Ok(home) => homes.push(home),
                Err(error) => {
                    tracing::warn!(table = %configured.name, store = configured.store_name, %error, "table can't be used in its store");
                    known.refused.insert(configured.name.clone(), error);
                }
            }
        }
        let found = join_all(homes.iter().map(|home| self.find_indexes(home))).await;
        let lacks_indexes = found.iter().any(|(_, is_complete)| !is_complete);
        for (mut home, (indexes, _)) in homes.into_iter().zip(found) {
            home.table.indexes = indexes;
            known.homes.insert(Arc::new(home));
        }
        let digest = catalogue::names(connection, &self.names_with(&known)).await?.digest;
        if lacks_indexes && self.lacks_indexes.swap(lacks_indexes, Ordering::AcqRel) && !self.has_changed(&digest) {
            // Nothing new: plans stay.
            return Ok(());
        }
        self.lacks_indexes.store(lacks_indexes, Ordering::Release);
        *self.digest.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = digest;
        *self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(known);
        self.version.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

/// A configured table with its definition; the error says why it can't live in its store.
pub(crate) fn home(configured: &TableHome, definition: Definition) -> Result<Home, PgError> {
    let refuse = |state, what: String, hint: &str| {
        let message = format!(
            "table \"{}\" can't be homed in {} (store \"{}\"): {what}",
            configured.name,
            configured.store.kind(),
            configured.store_name
        );
        Err(PgError::error(state, message)
            .with_hint(hint.to_owned())
            .with_field(b's', configured.name.schema.clone())
            .with_field(b't', configured.name.name.clone()))
    };
    if let Some(obstacle) = definition.obstacles.first() {
        return refuse(
            sqlstate::FEATURE_NOT_SUPPORTED,
            format!("it has {}", obstacle.what),
            if obstacle.drop.is_some() {
                "Only PostgreSQL could keep that. Drop it, set `drop_constraints = true` for the table in the configuration to have that done, or keep the \
                 table in PostgreSQL."
            } else {
                "Only PostgreSQL could keep that. Drop it, or keep the table in PostgreSQL."
            },
        );
    }
    if definition.has_rows {
        return refuse(
            sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "it still has rows in PostgreSQL, which would be hidden".into(),
            "Copy them out with the table not yet configured as homed, TRUNCATE it, then insert them through Flywheel.",
        );
    }
    let Some(table) = definition.table else {
        return refuse(
            sqlstate::FEATURE_NOT_SUPPORTED,
            "it has no primary key".into(),
            "A store finds rows by their key: declare a PRIMARY KEY.",
        );
    };
    let column = |name: &str| table.column(name).ok_or_else(|| name.to_owned());
    let layout = match &configured.layout {
        LayoutChoice::Hash => Ok(Layout::Hash),
        LayoutChoice::Json => Ok(Layout::Json),
        LayoutChoice::SortedSet { score } => column(score).map(|score| Layout::SortedSet { score }),
    };
    let expires_at = configured.expires_at.as_deref().map(column).transpose();
    let indexes = configured.indexes.iter().flatten();
    let indexes: Result<Vec<_>, _> = indexes.map(|choice| index(choice, &table)).collect();
    let (layout, expires_at, indexes) = match (layout, expires_at, indexes) {
        (Ok(layout), Ok(expires_at), Ok(indexes)) => (layout, expires_at, indexes),
        (Err(name), ..) | (_, Err(name), _) | (.., Err(name)) => {
            return refuse(
                sqlstate::FEATURE_NOT_SUPPORTED,
                format!("it has no column \"{name}\", which the configuration names"),
                "Mend `score`, `expires_at` or `indexes` in the configuration.",
            );
        }
    };
    let table = StoreTable {
        table: Arc::new(table),
        physical_name: configured.physical_name.clone(),
        layout,
        expires_at,
        allow_scan: configured.allow_scan,
        allow_drop: configured.allow_drop,
        consistent_read: configured.consistent_read,
        mismatch_is_null: configured.mismatch_is_null,
        scan_segments: configured.scan_segments,
        wanted: None,
        indexes,
    };
    match configured.store.accepts(&table) {
        Ok(()) => Ok(Home {
            table,
            store: configured.store.clone(),
            store_name: configured.store_name.clone(),
        }),
        Err(error) => refuse(
            sqlstate::FEATURE_NOT_SUPPORTED,
            error.to_string(),
            "Change the definition or the table's configuration.",
        ),
    }
}

/// A configured index; the error is the name of a column that the table hasn't.
fn index(choice: &IndexChoice, table: &Table) -> Result<Index, String> {
    let column = |name: &String| table.column(name).ok_or_else(|| name.clone());
    let columns = choice.columns.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    // What stands in the partition of its row can be kept with it.
    let is_in_partition = columns.len() == 2 && table.primary_key.len() > 1 && columns[0] == table.primary_key[0];
    Ok(Index {
        name: choice.name.clone(),
        columns,
        is_eventual: choice.is_eventual.unwrap_or(!is_in_partition),
        consistent_read: choice.consistent_read,
        projected: None,
    })
}

/// What the configuration gives up of a table's definition: statements that drop it, each with a warning of what it was.
pub(crate) fn given_up(configured: &TableHome, definition: &Definition) -> Vec<(String, PgError)> {
    if !configured.drop_constraints {
        return Vec::new();
    }
    let warning = |what: &str| {
        let message = format!(
            "table \"{}\", homed in {}, doesn't keep {what}",
            configured.name,
            configured.store.kind()
        );
        PgError::new(Severity::Warning, sqlstate::WARNING, message)
            .with_detail("It is dropped, since `drop_constraints = true` is set for the table in the configuration.")
            .with_field(b's', configured.name.schema.clone())
            .with_field(b't', configured.name.name.clone())
    };
    let obstacles = definition.obstacles.iter();
    obstacles
        .filter_map(|obstacle| Some((obstacle.drop.clone()?, warning(&obstacle.what))))
        .collect()
}

fn view_refused(view: &TableName, configured: &TableHome) -> PgError {
    let message = format!(
        "view \"{view}\" reads table \"{}\", whose rows are in {} (store \"{}\")",
        configured.name,
        configured.store.kind(),
        configured.store_name
    );
    PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
        .with_hint("Plain views can be read. Write this one's query out in the statement.")
}
