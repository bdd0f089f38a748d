//! The tables homed in stores, with the definitions that PostgreSQL's catalogue gives them.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use flywheel_plan::{Home, Homes};
use flywheel_postgres::catalogue::{self, Definition};
use flywheel_postgres::{Connection, ServerError};
use flywheel_store::{Index, IndexChoice, Layout, Own, StoreTable};
use flywheel_types::{Table, TableName};
use flywheel_wire::{PgError, Severity, sqlstate};
use futures_util::future::join_all;

use crate::options::TableHome;
use crate::twin::WAY_OUT;

/// How long a store may take to say which indexes a table has. Statements wait for it.
const INDEX_PATIENCE: Duration = Duration::from_secs(2);

/// What is known of the configured tables now.
#[derive(Debug, Default, Clone)]
pub struct Known {
    /// Tables that can be used.
    pub homes: Homes,
    /// Tables that PostgreSQL defines, but that can't be used as they are; and views over store
    /// tables.
    pub refused: HashMap<TableName, PgError>,
    /// Those of the views whose query can stand in their place where they are read.
    pub views: HashSet<TableName>,
    /// Tables that have rows in PostgreSQL.
    pub occupied: HashSet<TableName>,
}

/// The configured tables and what is known of them.
#[derive(Debug)]
pub struct Catalogue {
    configured: Vec<TableHome>,
    known: RwLock<Arc<Known>>,
    /// Counts definitions made or changed through this gateway.
    definitions: AtomicU64,
    /// The digest of the definitions that `known` was made from.
    digest: Mutex<String>,
    /// The digest of what rights depend on beside the tables.
    rights: Mutex<String>,
    /// Tables that have been found to have rows in PostgreSQL.
    suspects: Mutex<HashSet<TableName>>,
    /// Whether a store couldn't say which indexes it has.
    lacks_indexes: AtomicBool,
    /// Counts changes, so that plans made before one aren't used after it.
    version: AtomicU64,
}

/// The versions of catalogues of single transactions, which are nobody else's: above all that are
/// counted from 0.
static WITHIN: AtomicU64 = AtomicU64::new(1 << 63);
/// How many versions each of them has.
const VERSIONS_WITHIN: u64 = 1 << 20;

impl Catalogue {
    /// Of the configured tables. Nothing is read yet.
    pub fn new(configured: Vec<TableHome>) -> Self {
        Self {
            configured,
            known: RwLock::default(),
            definitions: AtomicU64::new(0),
            lacks_indexes: AtomicBool::new(false),
            digest: Mutex::default(),
            rights: Mutex::default(),
            suspects: Mutex::default(),
            version: AtomicU64::new(0),
        }
    }

    /// One for a transaction that sees other definitions than everybody does. Nothing is read yet.
    pub fn within(&self) -> Self {
        let within = Self::new(self.configured.clone());
        Self {
            known: RwLock::new(self.known()),
            version: AtomicU64::new(WITHIN.fetch_add(VERSIONS_WITHIN, Ordering::Relaxed)),
            ..within
        }
    }

    /// The tables as they are configured.
    pub fn configured(&self) -> &[TableHome] {
        &self.configured
    }

    /// What is known of them now.
    pub fn known(&self) -> Arc<Known> {
        self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The names, without schemas, of the configured tables and of views over them.
    pub fn names(&self) -> Vec<String> {
        self.names_with(&self.known())
    }

    fn names_with(&self, known: &Known) -> Vec<String> {
        let configured = self.configured.iter().map(|table| &table.name);
        let mut names: Vec<_> =
            configured.chain(known.refused.keys()).map(|name| name.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// A definition has changed: plans, and statements prepared on servers, are to be made anew.
    pub fn touch(&self) {
        self.definitions.fetch_add(1, Ordering::AcqRel);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// What plans rest on beside the tables' own definitions has changed: functions, or what roles
    /// may do.
    pub fn replan(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Has the rows of these tables in PostgreSQL looked for when definitions are read.
    pub fn suspect(&self, tables: HashSet<TableName>) {
        *self.suspects.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = tables;
    }

    /// Takes in the digest of what rights depend on beside the tables.
    pub fn note_rights(&self, digest: String) {
        let mut known = self.rights.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *known != digest {
            *known = digest;
            drop(known);
            self.replan();
        }
    }

    /// How many definitions have been made or changed through this gateway.
    pub fn definitions(&self) -> u64 {
        self.definitions.load(Ordering::Acquire)
    }

    /// Counts whatever plans rest on.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Whether there is nothing to be read any more before the first statement.
    pub fn is_read(&self) -> bool {
        self.configured.is_empty()
            || !self.digest.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_empty()
    }

    /// Whether this is another digest than that of the known definitions.
    pub fn has_changed(&self, digest: &str) -> bool {
        *self.digest.lock().unwrap_or_else(std::sync::PoisonError::into_inner) != digest
    }

    /// Whether a store couldn't say which indexes it has: it is to be asked again.
    pub fn lacks_indexes(&self) -> bool {
        self.lacks_indexes.load(Ordering::Acquire)
    }

    /// The indexes of a table as its store has them, and whether they are all.
    async fn find_indexes(&self, home: &Home) -> (Vec<Index>, bool) {
        let wanted = &home.table.indexes;
        let is_listed = |configured: &&TableHome| {
            configured.name == *home.name() && configured.indexes.is_some()
        };
        let listed = self.configured.iter().any(|configured| is_listed(&configured));
        if listed && wanted.is_empty() {
            return (Vec::new(), true);
        }
        let found =
            tokio::time::timeout(INDEX_PATIENCE, home.store.find_indexes(&home.table, listed))
                .await;
        let problem = match found {
            Ok(Ok(indexes)) => {
                let is_missing =
                    |wanted: &&Index| !indexes.iter().any(|index| index.name == wanted.name);
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
    pub async fn reload(&self, connection: &mut Connection) -> Result<(), ServerError> {
        // First the digest: what changes while the rest is read makes it another one. Views that
        // are new have to be in it.
        let mut names = self.names();
        loop {
            let digest = catalogue::names(connection, &names, false).await?.digest;
            let (known, lacks_indexes) = self.load(connection).await?;
            let of_known = self.names_with(&known);
            if of_known == names {
                self.publish(known, digest, lacks_indexes);
                return Ok(());
            }
            names = of_known;
        }
    }

    /// The definitions as they are now, and whether a store couldn't say which indexes it has.
    async fn load(&self, connection: &mut Connection) -> Result<(Known, bool), ServerError> {
        let names: Vec<_> = self.configured.iter().map(|table| table.name.clone()).collect();
        // Their rows were looked for when they were new. Some may be locked now, for long: dropped
        // by a transaction that isn't over.
        let suspects =
            self.suspects.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let before = self.known();
        let before: Vec<u32> = before
            .homes
            .iter()
            .filter(|home| !suspects.contains(home.name()))
            .map(|home| home.table.table.oid)
            .collect();
        let mut definitions = catalogue::load_beside(connection, &names, &before).await?;
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
            if definition.has_rows {
                known.occupied.insert(configured.name.clone());
            }
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
        Ok((known, lacks_indexes))
    }

    fn publish(&self, known: Known, digest: String, lacks_indexes: bool) {
        if lacks_indexes
            && self.lacks_indexes.swap(lacks_indexes, Ordering::AcqRel)
            && !self.has_changed(&digest)
        {
            // Nothing new: plans stay.
            return;
        }
        // Before and after: who has read the one version twice has read nothing of this between.
        self.version.fetch_add(1, Ordering::AcqRel);
        self.lacks_indexes.store(lacks_indexes, Ordering::Release);
        self.digest.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone_from(&digest);
        *self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(known);
        self.version.fetch_add(1, Ordering::AcqRel);
    }
}

/// A configured table with its definition; the error says why it can't live in its store.
pub fn home(configured: &TableHome, definition: Definition) -> Result<Home, PgError> {
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
            "it has rows in PostgreSQL, which would be hidden".into(),
            WAY_OUT,
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
    let expires_at = configured.expires_at.as_deref().map(column).transpose();
    let indexes = configured.indexes.iter().flatten();
    let indexes: Result<Vec<_>, _> = indexes.map(|choice| index(choice, &table)).collect();
    let bound = expires_at.and_then(|expires_at| {
        let mut bound = StoreTable {
            physical_name: configured.physical_name.clone(),
            layout: Layout::Hash,
            expires_at,
            allow_scan: configured.allow_scan,
            allow_drop: configured.allow_drop,
            consistent_read: configured.consistent_read,
            wanted: None,
            indexes: indexes?,
            own: Own::default(),
            table: Arc::new(table),
        };
        configured.options.bind(&mut bound)?;
        Ok(bound)
    });
    let table = match bound {
        Ok(table) => table,
        Err(name) => {
            return refuse(
                sqlstate::FEATURE_NOT_SUPPORTED,
                format!("it has no column \"{name}\", which the configuration names"),
                "Mend `score`, `expires_at` or `indexes` in the configuration.",
            );
        }
    };
    if !table.indexes.is_empty() && configured.store.indexes().is_none() {
        return refuse(
            sqlstate::FEATURE_NOT_SUPPORTED,
            format!("{} keeps no secondary indexes", configured.store.kind()),
            "Leave `indexes` out of the table's configuration.",
        );
    }
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
    let is_in_partition =
        columns.len() == 2 && table.primary_key.len() > 1 && columns[0] == table.primary_key[0];
    Ok(Index {
        name: choice.name.clone(),
        columns,
        is_eventual: choice.is_eventual.unwrap_or(!is_in_partition),
        consistent_read: choice.consistent_read,
        projected: None,
    })
}

/// What the configuration gives up of a table's definition: statements that drop it, each with a
/// warning of what it was.
pub fn given_up(configured: &TableHome, definition: &Definition) -> Vec<(String, PgError)> {
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
