//! What is known of a database's store tables, and kept so.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use flywheel_plan::Visible;
use flywheel_postgres::{Connection, Pool, ServerError, catalogue};
use flywheel_statement::Analyses;
use flywheel_types::TableName;
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::sqlstate;
use tokio::sync::Notify;

use crate::homes::Catalogue;
use crate::options::TableHome;
use crate::steady::Steady;
use crate::transaction::{Locks, Outbox};
use crate::twin::{self, Twins};

/// How long definitions and rights that others have changed may go unnoticed.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How long a look for rows in PostgreSQL's own tables waits for a lock.
const LOCK_PATIENCE: &str = "100ms";

/// What a database's store tables need of the gateway that they are in.
pub trait Around: Debug + Send + Sync {
    /// Connections for what is Flywheel's own.
    fn pool(&self) -> &Pool;

    /// Whether some users have roles of their own in PostgreSQL.
    fn has_roles(&self) -> bool;

    /// Somebody else's transaction has been carried out in the tables with these oids.
    fn written_to(&self, tables: &[u32]);
}

/// What all sessions of one database share of its store tables.
#[derive(Debug)]
pub struct Stores {
    /// The tables, as they are defined.
    pub catalogue: Catalogue,
    /// PostgreSQL's own tables of those.
    pub twins: Twins,
    /// Transactions that PostgreSQL has committed, until all stores have carried them out.
    pub outbox: Outbox,
    /// Notes of what transactions lock in the stores.
    pub locks: Locks,
    /// What each distinct text is.
    pub analyses: Arc<Analyses>,
    /// How many rows one statement may read from one table.
    pub max_fetch_rows: usize,
    /// The definitions that plans may rely on.
    pub steady: Steady,
    /// Told that a definition has been changed elsewhere.
    redefined: Arc<Notify>,
    pub(crate) around: Arc<dyn Around>,
}

impl Stores {
    /// Nothing is read yet.
    pub fn new(
        tables: Vec<TableHome>,
        max_fetch_rows: usize,
        analyses: Arc<Analyses>,
        around: Arc<dyn Around>,
    ) -> Self {
        analyses.set_names(tables.iter().map(|table| &table.name));
        Self {
            twins: Twins::new(tables.iter().map(|table| table.name.clone()).collect()),
            catalogue: Catalogue::new(tables),
            outbox: Outbox::default(),
            locks: Locks::default(),
            steady: Steady::default(),
            analyses,
            max_fetch_rows,
            redefined: Arc::default(),
            around,
        }
    }

    /// Connections for what is Flywheel's own.
    pub fn pool(&self) -> &Pool {
        self.around.pool()
    }

    /// Told when a definition has been changed elsewhere.
    pub fn redefined(&self) -> &Arc<Notify> {
        &self.redefined
    }

    /// Reads the definitions of the configured tables anew.
    pub async fn reload(&self, connection: &mut Connection) -> Result<(), ServerError> {
        self.read(&self.catalogue, connection).await?;
        let known = self.catalogue.known();
        let configured = self.catalogue.configured().iter().map(|table| &table.name);
        self.analyses.set_names(configured.chain(known.refused.keys()));
        self.twins.outdate();
        Ok(())
    }

    /// Reads a catalogue's definitions anew.
    pub async fn read(
        &self,
        catalogue: &Catalogue,
        connection: &mut Connection,
    ) -> Result<(), ServerError> {
        match catalogue.reload(connection).await {
            // The session's role may not have a right that it takes; what a table is, is the same
            // for all.
            Err(error) if is_denied(&error) => match reload_as_login(catalogue, connection).await {
                // Nor may the role that a user's connections log in as. Another connection doesn't
                // see what a transaction has made.
                Err(error)
                    if is_denied(&error)
                        && self.around.has_roles()
                        && std::ptr::eq(catalogue, &self.catalogue) =>
                {
                    let mut lease = self.pool().acquire_plain().await?;
                    catalogue.reload(&mut lease).await
                }
                reloaded => reloaded,
            },
            reloaded => reloaded,
        }
    }

    /// The tables and views that statements may name where a transaction sees these definitions.
    pub fn named_beside(&self, own: &Catalogue) -> Vec<TableName> {
        let (known, own) = (self.catalogue.known(), own.known());
        let configured = self.catalogue.configured().iter().map(|table| &table.name);
        configured.chain(known.refused.keys()).chain(own.refused.keys()).cloned().collect()
    }

    /// What names mean on this connection. Definitions that have changed, here or elsewhere, are
    /// read anew.
    pub async fn visible(&self, connection: &mut Connection) -> Result<Visible, ServerError> {
        Ok(self.visible_to_role(connection, false).await?.0)
    }

    /// The same, with the role whose rights count. What is planned under rights that nobody else
    /// has seen must be planned anew when they are gone: so whoever plans looks at them.
    pub async fn visible_to_role(
        &self,
        connection: &mut Connection,
        with_rights: bool,
    ) -> Result<(Visible, String), ServerError> {
        let names = catalogue::names(connection, &self.catalogue.names(), with_rights).await?;
        if with_rights {
            self.catalogue.note_rights(names.rights);
        }
        if self.catalogue.has_changed(&names.digest) {
            self.reload(connection).await?;
        }
        let visible = Visible { current_schema: names.current_schema, schemas: names.schemas };
        Ok((visible, names.role))
    }

    /// Drops what the configuration gives up of tables that were made past Flywheel.
    async fn give_up(&self, lease: &mut Connection) -> Result<(), ServerError> {
        let given_up: Vec<_> =
            self.catalogue.configured().iter().filter(|table| table.drop_constraints).collect();
        if given_up.is_empty() || self.catalogue.known().refused.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = given_up.iter().map(|table| table.name.clone()).collect();
        let definitions = catalogue::load(lease, &names).await?;
        let mut dropped = false;
        for table in given_up {
            let Some(definition) = definitions.get(&table.name) else { continue };
            // What has rows isn't homed in a store yet.
            if definition.has_rows {
                continue;
            }
            for (drop, warning) in crate::homes::given_up(table, definition) {
                tracing::warn!(table = %table.name, "{}: {drop}", warning.message());
                lease.query(&format!("SET LOCAL lock_timeout = '1s'; {drop}")).await?;
                dropped = true;
            }
        }
        if dropped {
            self.reload(lease).await?;
        }
        Ok(())
    }

    /// Knows what leads to the twins, as long as statements need it.
    pub async fn keep_reach(self: Arc<Self>) {
        self.twins.keep_reach(self.pool()).await;
    }

    /// Looks which tables have rows in PostgreSQL, where they should have none: those aren't
    /// served, and are again as soon as they are empty.
    pub async fn look_for_rows(&self, connection: &mut Connection) -> Result<(), ServerError> {
        let known = self.catalogue.known();
        let tables = known.homes.iter().map(|home| home.name()).chain(&known.occupied);
        let Some(mut sql) = twin::has_rows(tables) else {
            return Ok(());
        };
        if connection.status() == TransactionStatus::Idle {
            // Somebody may have dropped one of them in a transaction that isn't over.
            sql = format!("SET LOCAL lock_timeout = '{LOCK_PATIENCE}'; {sql}");
        }
        let found = match connection.query(&sql).await {
            Err(ServerError::Postgres(error)) if error.code() == sqlstate::LOCK_NOT_AVAILABLE.0 => {
                return Ok(());
            }
            found => found?.pop().unwrap_or_default(),
        };
        let found: HashSet<TableName> = (0..found.rows.len())
            .map(|row| TableName::new(found.text(row, 0), found.text(row, 1)))
            .collect();
        if found == known.occupied {
            return Ok(());
        }
        for table in known.occupied.difference(&found) {
            tracing::info!(%table, "the table has no rows in PostgreSQL any more, and is served");
        }
        self.catalogue.suspect(found);
        self.reload(connection).await
    }

    /// Looks from time to time whether others have changed definitions: plans are kept, and a
    /// native plan asks PostgreSQL nothing.
    pub async fn watch_definitions(self: Arc<Self>) {
        let mut waits = !self.catalogue.configured().iter().any(|table| table.drop_constraints);
        loop {
            if std::mem::replace(&mut waits, true) {
                // An error: nobody has said so in that time.
                let _ = tokio::time::timeout(WATCH_INTERVAL, self.redefined.notified()).await;
            }
            // A server that can't be reached is told to those who need it.
            let Ok(mut lease) = self.pool().acquire_for_look().await else {
                continue;
            };
            let reloaded =
                if self.catalogue.lacks_indexes() { self.reload(&mut lease).await } else { Ok(()) };
            let looked = match reloaded {
                Ok(()) => self.visible_to_role(&mut lease, true).await.map(drop),
                Err(error) => Err(error),
            };
            let looked = match looked {
                Ok(()) => self.look_for_rows(&mut lease).await,
                failed => failed,
            };
            match self.twins.look(&mut lease).await {
                // Plans of writes rest on what functions do.
                Ok(true) => self.catalogue.replan(),
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(%error, "can't look for changed functions and triggers")
                }
            }
            if let Err(error) = looked {
                tracing::debug!(%error, "can't look for changed definitions");
            } else if let Err(error) = self.give_up(&mut lease).await {
                tracing::warn!(%error, "what `drop_constraints` gives up can't be dropped");
            }
        }
    }

    /// A definition has been changed elsewhere.
    pub fn look_for_definitions(&self) {
        self.redefined.notify_one();
    }
}

/// Reads definitions anew with the rights of the role that the connection has logged in as. A
/// definition that the connection's own transaction has made is seen by it alone.
async fn reload_as_login(
    catalogue: &Catalogue,
    connection: &mut Connection,
) -> Result<(), ServerError> {
    let (begin, end) = match connection.status() {
        TransactionStatus::Idle => ("BEGIN", "ROLLBACK"),
        _ => (
            "SAVEPOINT flywheel_login",
            "ROLLBACK TO SAVEPOINT flywheel_login; RELEASE SAVEPOINT flywheel_login",
        ),
    };
    let begin = format!("{begin}; SET LOCAL SESSION AUTHORIZATION DEFAULT; SET LOCAL ROLE NONE");
    connection.query(&begin).await?;
    let reloaded = catalogue.reload(connection).await;
    connection.query(end).await?;
    reloaded
}

fn is_denied(error: &ServerError) -> bool {
    match error {
        ServerError::Postgres(error) => error.code() == sqlstate::INSUFFICIENT_PRIVILEGE.0,
        _ => false,
    }
}
