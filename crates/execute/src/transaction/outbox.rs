//! The outbox: a table in the main database. A row that others can see means that its transaction
//! has committed, and may not have been carried out in every store yet.
//!
//! The outbox is made past the pool, under the url's login, since all pooled connections may be
//! held by sessions that wait for it; embedded PostgreSQL's one connection makes it in the block.
//! Everybody may INSERT: a record does nothing without locks under its random id, which only the
//! transaction itself knows.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use flywheel_postgres::{Connection, Pool, ServerError};
use flywheel_store::TransactionId;
use flywheel_wire::PgError;
use flywheel_wire::quote::literal;
use tokio::sync::Notify;
use uuid::Uuid;

use super::Locks;
use super::noted::Noted;

/// What makes the outbox. Whoever may write to a store table may put rows in: one does nothing
/// where no row is locked for it, by a number that only the transaction itself knows. Only its
/// owner reads it.
pub const DEFINITION: &str = "CREATE SCHEMA IF NOT EXISTS flywheel; \
     CREATE TABLE IF NOT EXISTS flywheel.outbox (id uuid PRIMARY KEY, xid bigint NOT NULL DEFAULT pg_catalog.txid_current(), \
     written_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), changes jsonb NOT NULL); \
     COMMENT ON TABLE flywheel.outbox IS 'Flywheel: committed transactions, until their stores have carried them out. Not to be dropped.'; \
     GRANT USAGE ON SCHEMA flywheel TO PUBLIC; GRANT INSERT ON flywheel.outbox TO PUBLIC";

/// Whether the outbox is there. Asked of the catalogue, which everybody may read.
pub const EXISTS: &str = "EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                                 WHERE n.nspname = 'flywheel' AND c.relname = 'outbox')";

/// Two gateways, or sessions, that make it at the same time come one after the other.
const ONE_AT_A_TIME: &str =
    "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('flywheel.outbox'))";

/// What this process has to do with the outbox.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Transactions that have been carried out, whose rows are to be deleted.
    done: Mutex<Vec<u128>>,
    /// There are some.
    pub(super) wake: Notify,
    /// One at a time asks PostgreSQL about locks: those who wait for the same one take one server
    /// connection, not many.
    pub(super) asking: tokio::sync::Mutex<()>,
    /// How many rows could not be carried out when the outbox was last looked through.
    left: AtomicUsize,
    /// What has been said of rows already.
    noted: Noted,
}

impl Outbox {
    /// A transaction has been carried out in all its stores.
    pub fn done(&self, id: u128) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        self.wake.notify_one();
    }

    /// How many committed transactions could not be carried out when that was last tried: a store
    /// doesn't answer.
    pub fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    /// How many rows were put aside, since no gateway has written them.
    pub fn aside(&self) -> usize {
        self.noted.aside()
    }

    pub(super) fn noted(&self) -> &Noted {
        &self.noted
    }

    pub(super) fn note_left(&self, left: usize) {
        self.left.store(left, Ordering::Relaxed);
    }

    /// Deletes the rows of those that are done, and the notes of their locks.
    pub(super) async fn delete_done(&self, pool: &Pool, locks: &Locks) -> Result<(), ServerError> {
        let done = std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner));
        if done.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = done.iter().map(|id| format!("'{}'", Uuid::from_u128(*id))).collect();
        let delete = format!("DELETE FROM flywheel.outbox WHERE id IN ({})", ids.join(", "));
        let deleted = match pool.acquire_for_look().await {
            Ok(mut lease) => match lease.query(&delete).await {
                Ok(_) => return locks.delete_done(&mut lease).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if deleted.is_err() {
            // The next time; in another process, when it finds that there is nothing to do.
            self.done.lock().unwrap_or_else(PoisonError::into_inner).extend(done);
        }
        deleted
    }
}

/// The statements that put a record into the outbox and tell the transaction's number in their last
/// result.
pub fn insert(id: u128, changes: &str) -> String {
    format!(
        "INSERT INTO flywheel.outbox (id, changes) VALUES ('{}', {}); SELECT pg_catalog.txid_current()",
        Uuid::from_u128(id),
        literal(changes)
    )
}

/// The query of one transaction's record.
pub(super) fn select(transaction: TransactionId) -> String {
    format!("SELECT changes FROM flywheel.outbox WHERE id = '{}'", Uuid::from_u128(transaction.id))
}

/// Makes the outbox, in the transaction that the connection is in or in one of its own.
pub async fn create(connection: &mut Connection) -> Result<(), ServerError> {
    let sql = format!("{ONE_AT_A_TIME}; {DEFINITION}");
    match connection.query(&sql).await {
        Ok(_) => Ok(()),
        Err(ServerError::Postgres(error)) => Err(not_made(&error).into()),
        Err(error) => Err(error),
    }
}

fn not_made(error: &PgError) -> PgError {
    let message = format!(
        "the transaction needs the table flywheel.outbox, which can't be made: {}",
        error.message()
    );
    error
        .clone()
        .with_field(b'M', message)
        .with_detail("A transaction that writes to a store, and to PostgreSQL or another store, is recorded there until it is carried out everywhere.")
        .with_hint(format!("Have somebody who may do it make the table, as owned by the role of the store's `url`: {DEFINITION}"))
}
