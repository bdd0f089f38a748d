//! Going on where a transaction was interrupted, by what PostgreSQL says of it.

use std::sync::Arc;
use std::time::Duration;

use flywheel_plan::Home;
use flywheel_postgres::{Connection, Rows, ServerError};
use flywheel_store::{Change, StoreError, StoreTable, TransactionId};
use flywheel_types::{Key, TableName};
use flywheel_wire::quote::literal;
use uuid::Uuid;

use super::{Record, outbox};
use crate::Stores;

/// How often the outbox is looked through.
const INTERVAL: Duration = Duration::from_secs(5);
/// How old a row is before it is taken for one that nobody is at. A younger one that is carried out
/// twice is none the worse.
pub(super) const AGE: &str = "interval '5 seconds'";
/// How long rows that are to be deleted wait for others.
const GATHER: Duration = Duration::from_millis(500);
/// How many rows are read at a time.
pub(super) const PAGE: usize = 100;

/// What has become of a transaction.
#[derive(Debug)]
pub enum Fate {
    /// It has committed, and its record is there.
    Recorded(String),
    /// It has committed and was carried out: its record is gone.
    CarriedOut,
    /// It was rolled back, or PostgreSQL doesn't know it: it was of a server that is no more.
    RolledBack,
    /// It isn't over.
    InProgress,
}

/// What has become of a lock that somebody has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// It is gone.
    Gone,
    /// Its transaction isn't over, or can't be carried out now.
    Stays,
}

/// Asks PostgreSQL for a transaction's fate.
async fn fate(
    connection: &mut Connection,
    transaction: TransactionId,
) -> Result<Fate, ServerError> {
    // In this order, in two statements: what has committed before the second one is seen by it.
    let status = format!("SELECT pg_catalog.txid_status({})", transaction.xid);
    let status = match connection.query(&status).await {
        Ok(rows) => rows.first().map_or("", |rows| rows.text(0, 0)).to_owned(),
        // "transaction ID … is in the future"
        Err(ServerError::Postgres(error)) if !error.is_fatal() => String::new(),
        Err(error) => return Err(error),
    };
    let exists = connection.query(&format!("SELECT {}", outbox::EXISTS)).await?;
    if exists.first().is_some_and(|rows| rows.text(0, 0) == "t") {
        let found = connection.query(&outbox::select(transaction)).await?;
        if let Some(rows) = found.first().filter(|rows| !rows.rows.is_empty()) {
            return Ok(Fate::Recorded(rows.text(0, 0).to_owned()));
        }
    }
    Ok(match status.as_str() {
        "in progress" => Fate::InProgress,
        "committed" => Fate::CarriedOut,
        _ => Fate::RolledBack,
    })
}

/// The changes by their stores, each store's in their order; those apart that a store doesn't take
/// together.
pub fn by_store(changes: &[(Arc<Home>, Change)]) -> Vec<&[(Arc<Home>, Change)]> {
    let place = |(home, change): &(Arc<Home>, Change)| home.store.place(&home.table, &change.key);
    let together = |a: &(Arc<Home>, _), b: &(Arc<Home>, _)| {
        a.0.store_name == b.0.store_name && place(a) == place(b)
    };
    changes.chunk_by(together).collect()
}

/// What a store takes.
pub fn of_tables(changes: &[(Arc<Home>, Change)]) -> Vec<(&StoreTable, Change)> {
    changes.iter().map(|(home, change)| (&home.table, change.clone())).collect()
}

/// Carries a transaction's changes out in every store; the stores where that failed.
pub async fn carry_out(
    transaction: TransactionId,
    changes: &[(Arc<Home>, Change)],
) -> Vec<(Arc<Home>, StoreError)> {
    let mut failed = Vec::new();
    for together in by_store(changes) {
        let home = &together[0].0;
        if let Err(error) = home.store.commit_prepared(transaction, &of_tables(together)).await {
            tracing::warn!(store = home.store_name, table = %home.name(), %error, "a committed transaction can't be carried out yet");
            failed.push((home.clone(), error));
        }
    }
    failed
}

impl Stores {
    /// Asks PostgreSQL for a transaction's fate, over a connection of its own.
    pub async fn fate(&self, transaction: TransactionId) -> Result<Fate, ServerError> {
        let _turn = self.outbox.asking.lock().await;
        let mut lease = self.pool().acquire_plain().await?;
        let fate = fate(&mut lease, transaction).await?;
        if matches!(fate, Fate::Recorded(_)) {
            // A table that isn't known may be one that was made just now.
            self.visible(&mut lease).await?;
        }
        Ok(fate)
    }

    /// Does what is to be done about a lock that is in somebody's way.
    pub async fn resolve(
        &self,
        home: &Home,
        key: &Key,
        transaction: TransactionId,
    ) -> Result<Met, ServerError> {
        let removed = match self.fate(transaction).await? {
            Fate::InProgress => return Ok(Met::Stays),
            Fate::Recorded(changes) => {
                return Ok(if self.carry_out_recorded(transaction, &changes).await {
                    Met::Gone
                } else {
                    Met::Stays
                });
            }
            // Of a transaction that was carried out only a lock is left that came too late.
            Fate::CarriedOut | Fate::RolledBack => {
                home.store.rollback_prepared(transaction, &[(&home.table, key.clone())]).await
            }
        };
        Ok(match removed {
            Ok(()) => Met::Gone,
            Err(error) => {
                tracing::debug!(store = home.store_name, %error, "a lock can't be taken away yet");
                Met::Stays
            }
        })
    }

    /// Carries out what the outbox says of a transaction; whether all of it is done.
    async fn carry_out_recorded(&self, transaction: TransactionId, changes: &str) -> bool {
        let record = Record::decode(changes, &self.catalogue);
        if record.is_foreign {
            self.outbox.noted().put_aside(transaction.id);
            return false;
        }
        if let Some(problem) = &record.problem
            && self.outbox.noted().note_problem(transaction.id)
        {
            let id = Uuid::from_u128(transaction.id);
            tracing::warn!(problem, %id, "a record in flywheel.outbox can't be carried out here");
        }
        let done =
            carry_out(transaction, &record.changes).await.is_empty() && record.problem.is_none();
        // Its COMMIT was answered before, if at all: what has been read since then is the rows as
        // they were.
        let tables: Vec<u32> =
            record.changes.iter().map(|(home, _)| home.table.table.oid).collect();
        self.around.written_to(&tables);
        if done {
            self.outbox.done(transaction.id);
            self.locks.done(transaction.id);
        }
        done
    }

    /// Carries out what is left in the outbox, at first and from time to time, and deletes what is
    /// done.
    pub async fn keep_outbox(self: Arc<Self>) {
        let mut age = "interval '0'";
        loop {
            match self.recover(age).await {
                Ok(()) => age = AGE,
                Err(ServerError::Postgres(error)) => {
                    tracing::warn!(%error, "flywheel.outbox can't be looked through")
                }
                // A server that can't be reached is told to those who need it.
                Err(error) => tracing::debug!(%error, "the outbox can't be looked through"),
            }
            if let Err(error) = self.recover_locks().await {
                tracing::debug!(%error, "notes of locks can't be looked through");
            }
            if let Err(error) = self.recover_definitions().await {
                tracing::debug!(%error, "what definitions have left to do can't be looked through");
            }
            if let Err(error) = self.forget_lost_gateways().await {
                tracing::debug!(%error, "lost gateways stay listed in flywheel.gateways");
            }
            let next = tokio::time::Instant::now() + INTERVAL;
            // Not longer, however often something is done: a timeout alone is overlooked where
            // something always is.
            while tokio::time::Instant::now() < next
                && tokio::time::timeout_at(next, self.outbox.wake.notified()).await.is_ok()
            {
                tokio::time::sleep(GATHER).await;
                self.tidy_outbox().await;
            }
        }
    }

    /// Carries out what has committed and concerns a table, which the caller has locked in
    /// PostgreSQL: so nothing is added to it meanwhile, and records are read by the definition that
    /// is known.
    pub async fn carry_out_of(&self, table: &TableName) {
        // The caller has the only connection.
        if self.pool().options().size == 1 {
            return;
        }
        if let Err(error) = self.carry_out_records(table).await {
            tracing::debug!(%error, %table, "the outbox can't be looked through");
        }
    }

    async fn carry_out_records(&self, table: &TableName) -> Result<(), ServerError> {
        let mut lease = self.pool().acquire_plain().await?;
        let exists = lease.query(&format!("SELECT {}", outbox::EXISTS)).await?;
        if exists.first().is_none_or(|rows| rows.text(0, 0) != "t") {
            return Ok(());
        }
        let of_table =
            serde_json::json!([{ "schema": table.schema, "table": table.name }]).to_string();
        let records = format!(
            "SELECT id, xid, changes FROM flywheel.outbox WHERE changes @> {}",
            literal(&of_table)
        );
        let records = lease.query(&records).await?.pop().unwrap_or_default();
        drop(lease);
        self.carry_out_rows(&records).await;
        Ok(())
    }

    /// Carries out the outbox' rows; the last one's id, and how many could not be carried out.
    async fn carry_out_rows(&self, rows: &Rows) -> (Option<Uuid>, usize) {
        let (mut last, mut left) = (None, 0);
        for row in 0..rows.rows.len() {
            let Ok(id) = rows.text(row, 0).parse::<Uuid>() else { continue };
            // Whatever the row says, the next page begins behind it.
            last = Some(id);
            let id = id.as_u128();
            let Ok(xid) = rows.text(row, 1).parse() else {
                // No transaction has a negative number.
                self.outbox.noted().put_aside(id);
                continue;
            };
            if self.outbox.noted().is_aside(id) {
                continue;
            }
            let done = self.carry_out_recorded(TransactionId { xid, id }, rows.text(row, 2)).await;
            left += usize::from(!done && !self.outbox.noted().is_aside(id));
        }
        (last, left)
    }

    /// Deletes the rows of what is done.
    pub async fn tidy_outbox(&self) {
        if let Err(error) = self.outbox.delete_done(self.pool(), &self.locks).await {
            tracing::debug!(%error, "rows of the outbox stay for now");
        }
    }

    async fn recover(&self, age: &str) -> Result<(), ServerError> {
        let (mut after, mut left) = (Uuid::nil(), 0);
        loop {
            // Not held while the stores are at work: it may be the only connection. Nor does it
            // wait for whoever has locked the outbox, or a table: what else is to be kept is behind
            // it.
            let mut lease = self.pool().acquire_for_look().await?;
            let exists = lease.query(&format!("SELECT {}", outbox::EXISTS)).await?;
            if exists.first().is_none_or(|rows| rows.text(0, 0) != "t") {
                self.outbox.note_left(0);
                return Ok(());
            }
            let page = format!(
                "SELECT id, xid, changes FROM flywheel.outbox \
                 WHERE id > '{after}' AND written_at <= pg_catalog.clock_timestamp() - {age} ORDER BY id LIMIT {PAGE}"
            );
            let page = lease.query(&page).await?.pop().unwrap_or_default();
            if page.rows.is_empty() {
                self.outbox.note_left(left);
                return Ok(());
            }
            // Definitions may not have been read yet.
            self.visible(&mut lease).await?;
            drop(lease);
            let aside = self.outbox.aside();
            let (last, of_page) = self.carry_out_rows(&page).await;
            match self.outbox.aside() - aside {
                0 => tracing::debug!(
                    transactions = page.rows.len(),
                    "carried out what the outbox has kept"
                ),
                new => tracing::warn!(
                    records = new,
                    "flywheel.outbox has records that no gateway has written; they are put aside: DELETE them"
                ),
            }
            let Some(last) = last else { return Ok(()) };
            after = last;
            left += of_page;
            self.tidy_outbox().await;
        }
    }
}
