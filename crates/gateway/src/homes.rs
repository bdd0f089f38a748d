//! The tables homed in stores, with the definitions that PostgreSQL's catalogue gives them.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use flywheel_plan::{Home, Homes};
use flywheel_postgres::catalogue::{self, Definition};
use flywheel_postgres::{Connection, ServerError};
use flywheel_store::{Layout, StoreTable};
use flywheel_types::TableName;
use flywheel_wire::{PgError, sqlstate};

use crate::options::{LayoutChoice, TableHome};

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
    /// Counts changes, so that plans made before one aren't used after it.
    version: AtomicU64,
}

impl Catalogue {
    pub(crate) fn new(configured: Vec<TableHome>) -> Self {
        Self {
            configured,
            known: RwLock::default(),
            definitions: AtomicU64::new(0),
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

    /// Reads the definitions anew.
    pub(crate) async fn reload(&self, connection: &mut Connection) -> Result<(), ServerError> {
        let names: Vec<_> = self.configured.iter().map(|table| table.name.clone()).collect();
        let mut definitions = catalogue::load(connection, &names).await?;
        let mut known = Known::default();
        for configured in &self.configured {
            let Some(definition) = definitions.remove(&configured.name) else {
                continue;
            };
            for view in &definition.dependents {
                known.refused.insert(view.clone(), view_refused(view, configured));
            }
            known.views.extend(definition.plain_views.iter().cloned());
            match home(configured, definition) {
                Ok(home) => known.homes.insert(Arc::new(home)),
                Err(error) => {
                    tracing::warn!(table = %configured.name, store = configured.store_name, %error, "table can't be used in its store");
                    known.refused.insert(configured.name.clone(), error);
                }
            }
        }
        let digest = catalogue::names(connection, &self.names_with(&known)).await?.digest;
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
            format!("it has {obstacle}"),
            "Only PostgreSQL could keep that. Drop it, or keep the table in PostgreSQL.",
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
        LayoutChoice::SortedSet { score } => column(score).map(|score| Layout::SortedSet { score }),
    };
    let expires_at = configured.expires_at.as_deref().map(column).transpose();
    let (layout, expires_at) = match (layout, expires_at) {
        (Ok(layout), Ok(expires_at)) => (layout, expires_at),
        (Err(name), _) | (_, Err(name)) => {
            return refuse(
                sqlstate::FEATURE_NOT_SUPPORTED,
                format!("it has no column \"{name}\", which the configuration names"),
                "Mend `score` or `expires_at` in the configuration.",
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
