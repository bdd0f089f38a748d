//! Locks of transactions that nobody goes on with. A gateway notes in `flywheel.locks` which rows a
//! COMMIT is about to lock in the stores, in a transaction of its own that commits before the first
//! of them is locked; and which rows an open block locks, while the store locks them. So when the
//! gateway is killed, whoever looks next knows where the locks of undone transactions are.
//!
//! One connection writes the notes of all sessions, those that wait together in one statement. They
//! needn't survive a crash of PostgreSQL: a lock without a note is taken away by whoever meets it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use flywheel_postgres::{Connection, ServerError};
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

/// So many notes wait at most for PostgreSQL, beside those that somebody waits for.
const MOST_WAITING: usize = 10_000;

/// What a transaction is about to lock.
#[derive(Debug)]
pub(super) struct Note {
    /// Its own number.
    pub(super) id: u128,
    /// The transaction's number in PostgreSQL; 0: it is a block's that is open.
    pub(super) xid: u64,
    pub(super) keys: String,
    /// Who waits for it; `None`: nobody does.
    pub(super) noted: Option<oneshot::Sender<()>>,
}

/// What this process has to do with notes of locks.
#[derive(Debug, Default)]
pub struct Locks {
    waiting: Mutex<Vec<Note>>,
    wake: Notify,
    /// Transactions that hold no locks any more, whose notes are to be deleted.
    done: Mutex<Vec<u128>>,
    /// PostgreSQL has the table.
    exists: AtomicBool,
}

impl Locks {
    /// A transaction holds no locks any more, and never will.
    pub fn done(&self, id: u128) {
        if self.exists.load(Ordering::Acquire) {
            self.done.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        }
    }

    /// Somebody waits for this to be written.
    pub(super) fn add(&self, note: Note) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(note);
        self.wake.notify_one();
    }

    /// The same where nobody waits for it, unless PostgreSQL doesn't answer.
    pub(super) fn add_unless_full(&self, note: impl FnOnce() -> Note) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST_WAITING {
            waiting.push(note());
            self.wake.notify_one();
        }
    }

    /// Waits until there is something to write.
    pub(super) async fn added(&self) {
        self.wake.notified().await;
    }

    /// What is to be written.
    pub(super) fn take(&self) -> Vec<Note> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// PostgreSQL has the table.
    pub(super) fn found(&self) {
        self.exists.store(true, Ordering::Release);
    }

    /// Deletes the notes of those that are done.
    pub(super) async fn delete_done(&self, connection: &mut Connection) -> Result<(), ServerError> {
        let done = std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner));
        if done.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = done.iter().map(|id| format!("'{}'", Uuid::from_u128(*id))).collect();
        let deleted = connection
            .query(&format!("DELETE FROM flywheel.locks WHERE id IN ({})", ids.join(", ")))
            .await;
        if deleted.is_err() {
            self.done.lock().unwrap_or_else(PoisonError::into_inner).extend(done);
        }
        deleted.map(drop)
    }
}
