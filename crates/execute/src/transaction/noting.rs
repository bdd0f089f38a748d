//! Writing the notes of locks, and taking the locks away that nobody needs any more.
//!
//! What is about to be locked is noted first: the rows' keys, in `flywheel.locks`, by a transaction
//! apart that has committed before the first request of `TwoPhase::prepare` is sent. So every lock
//! that a killed gateway leaves is of a note that others see. One connection writes the notes of
//! all sessions, many in one statement and without waiting for PostgreSQL's disk: two-phase COMMITs
//! pay one round trip for it, other writes nothing. A note of a transaction that PostgreSQL has
//! rolled back has its locks taken away at each look (five seconds), and is deleted a minute after
//! it was written: until then a request may arrive that the dead gateway had sent. Only the role of
//! the store's `url` writes notes.
//!
//! What an open block locks is noted beside: the note is written while the store locks the rows,
//! and nobody waits for it. Recovery takes such locks away when the advisory lock of their name is
//! free. A row that a gateway has locked in its last moment may lack its note; then whoever meets
//! the lock takes it away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flywheel_plan::Home;
use flywheel_postgres::{Connection, Rows, ServerError};
use flywheel_store::{Change, TransactionId};
use flywheel_wire::quote::literal;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Record;
use super::definitions::is_true;
use super::locks::Note;
use super::recovery::{AGE, Fate, PAGE, by_store};
use crate::Stores;

const DEFINITION: &str = "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('flywheel.outbox')); CREATE SCHEMA IF NOT EXISTS flywheel; \
     CREATE TABLE IF NOT EXISTS flywheel.locks (id uuid PRIMARY KEY, xid bigint NOT NULL, \
     written_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), keys jsonb NOT NULL)";

const EXISTS: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                      WHERE n.nspname = 'flywheel' AND c.relname = 'locks')";

/// For how long a request of a gateway that was killed may still be on its way: until then a note
/// stays.
const LATE: &str = "interval '1 minute'";

/// When notes are written again that couldn't be.
const AGAIN: Duration = Duration::from_secs(10);

impl Stores {
    /// Returns when PostgreSQL has noted which rows the transaction is about to lock.
    pub async fn note_locks(&self, transaction: TransactionId, changes: &[(Arc<Home>, Change)]) {
        // With one connection there is one gateway, and none to write the note over.
        if self.pool().options().size == 1 {
            return;
        }
        let (noted, wait) = oneshot::channel();
        let keys = Record::encode_keys(changes);
        let note = Note { id: transaction.id, xid: transaction.xid, keys, noted: Some(noted) };
        self.locks.add(note);
        let _ = wait.await;
    }

    /// Has PostgreSQL note which rows an open block locks, in the name of one of its
    /// subtransactions; the note's own number, for `Locks::done`. Nobody waits for it, so that
    /// the block is no slower: a lock that isn't noted in time is taken away by whoever meets it.
    pub fn note_marks(&self, holder: TransactionId, home: &Home, changes: &[Change]) -> u128 {
        let id = rand::random();
        if self.pool().options().size == 1 {
            return id;
        }
        self.locks.add_unless_full(|| {
            let keys = changes.iter().map(|change| change.key.clone());
            Note { id, xid: 0, keys: Record::encode_marks(holder, home, keys), noted: None }
        });
        id
    }

    /// Writes notes as they come, over one connection.
    pub async fn keep_locks(self: Arc<Self>) {
        let mut connection = None;
        let mut refused: Option<Instant> = None;
        loop {
            self.locks.added().await;
            loop {
                let notes = self.locks.take();
                if notes.is_empty() {
                    break;
                }
                if refused.is_none_or(|refused| refused.elapsed() >= AGAIN) {
                    refused = None;
                    let was_open = connection.is_some();
                    let mut written = self.write_notes(&mut connection, &notes).await;
                    if was_open && written.is_err() {
                        // The server may have ended it, or have gone.
                        connection = None;
                        written = self.write_notes(&mut connection, &notes).await;
                    }
                    if let Err(error) = written {
                        connection = None;
                        refused = Some(Instant::now());
                        tracing::warn!(%error, "locks in stores aren't noted in flywheel.locks: those of a killed gateway stay until they are met");
                    }
                }
                for noted in notes.into_iter().filter_map(|note| note.noted) {
                    let _ = noted.send(());
                }
            }
        }
    }

    async fn write_notes(
        &self,
        connection: &mut Option<Connection>,
        notes: &[Note],
    ) -> Result<(), ServerError> {
        let connection = match connection {
            Some(connection) => connection,
            None => {
                let mut new = self.pool().connect_apart(&[]).await?;
                if !is_true(&new.query(EXISTS).await?) {
                    new.query(DEFINITION).await?;
                }
                new.query("SET synchronous_commit = off").await?;
                self.locks.found();
                connection.insert(new)
            }
        };
        let value = |note: &Note| {
            format!("('{}', {}, {})", Uuid::from_u128(note.id), note.xid, literal(&note.keys))
        };
        let values: Vec<String> = notes.iter().map(value).collect();
        let insert = format!(
            "INSERT INTO flywheel.locks (id, xid, keys) VALUES {} ON CONFLICT DO NOTHING",
            values.join(", ")
        );
        connection.query(&insert).await.map(drop)
    }

    /// Takes the locks of undone transactions away that nobody is at any more.
    pub(super) async fn recover_locks(&self) -> Result<(), ServerError> {
        let mut after = Uuid::nil();
        loop {
            // Not held while the stores are at work.
            let mut lease = self.pool().acquire_for_look().await?;
            if !is_true(&lease.query(EXISTS).await?) {
                return Ok(());
            }
            self.locks.found();
            self.locks.delete_done(&mut lease).await?;
            let page = format!(
                "SELECT id, xid, keys, written_at <= pg_catalog.clock_timestamp() - {LATE} FROM flywheel.locks \
                 WHERE id > '{after}' AND written_at <= pg_catalog.clock_timestamp() - {AGE} ORDER BY id LIMIT {PAGE}"
            );
            let page = lease.query(&page).await?.pop().unwrap_or_default();
            if page.rows.is_empty() {
                return self.locks.delete_done(&mut lease).await;
            }
            // Definitions may not have been read yet.
            self.visible(&mut lease).await?;
            drop(lease);
            for row in 0..page.rows.len() {
                let Ok(id) = page.text(row, 0).parse::<Uuid>() else { return Ok(()) };
                // Whatever the row says, the next page begins behind it.
                after = id;
                if let Ok(xid) = page.text(row, 1).parse() {
                    self.recover_locks_of(TransactionId { xid, id: id.as_u128() }, &page, row)
                        .await?;
                }
            }
        }
    }

    async fn recover_locks_of(
        &self,
        transaction: TransactionId,
        page: &Rows,
        row: usize,
    ) -> Result<(), ServerError> {
        if transaction.is_open() {
            return self.recover_marks_of(transaction.id, page, row).await;
        }
        match self.fate(transaction).await? {
            // Whoever looks through the outbox carries it out.
            Fate::InProgress | Fate::Recorded(_) => {}
            Fate::CarriedOut => self.locks.done(transaction.id),
            Fate::RolledBack => {
                let record = Record::decode(page.text(row, 2), &self.catalogue);
                let is_unlocked =
                    self.unlock(transaction, &record.changes).await && record.problem.is_none();
                if is_unlocked && page.text(row, 3) == "t" {
                    self.locks.done(transaction.id);
                }
            }
        }
        Ok(())
    }

    /// The same of rows that a block has locked: it is over when the advisory lock of their name is
    /// free.
    async fn recover_marks_of(
        &self,
        note: u128,
        page: &Rows,
        row: usize,
    ) -> Result<(), ServerError> {
        let Some(holder) = Record::holder(page.text(row, 2)) else {
            return Ok(());
        };
        let advisory = holder.advisory_key();
        // In shared mode nobody is in the way who looks for the same.
        let is_over = format!(
            "SELECT CASE WHEN pg_catalog.pg_try_advisory_lock_shared({advisory}) \
             THEN pg_catalog.pg_advisory_unlock_shared({advisory}) ELSE false END"
        );
        let mut lease = self.pool().acquire_plain().await?;
        let is_over = is_true(&lease.query(&is_over).await?);
        drop(lease);
        if !is_over {
            return Ok(());
        }
        let record = Record::decode(page.text(row, 2), &self.catalogue);
        let is_unlocked = self.unlock(holder, &record.changes).await && record.problem.is_none();
        if is_unlocked && page.text(row, 3) == "t" {
            self.locks.done(note);
        }
        Ok(())
    }

    /// Takes a rolled back transaction's locks away. False: a store can't be reached.
    pub async fn unlock(
        &self,
        transaction: TransactionId,
        changes: &[(Arc<Home>, Change)],
    ) -> bool {
        let mut is_unlocked = true;
        for together in by_store(changes) {
            let home = &together[0].0;
            let keys: Vec<_> =
                together.iter().map(|(home, change)| (&home.table, change.key.clone())).collect();
            if let Err(error) = home.store.rollback_prepared(transaction, &keys).await {
                tracing::warn!(store = home.store_name, %error, "a rolled back transaction's locks stay for now");
                is_unlocked = false;
            }
        }
        is_unlocked
    }
}
