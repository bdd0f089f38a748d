//! Ending what PostgreSQL does for a client that has gone.
//!
//! A server process that waits for a lock doesn't notice that its connection was closed: it goes on
//! waiting, and keeps all that its transaction holds. So a statement is cancelled before its
//! connection is given up. A CancelRequest that arrives before the statement has begun does
//! nothing, and of several statements it ends one: it is repeated until the answer is whole.

use std::time::{Duration, Instant};

use flywheel_postgres::{Lease, ServerError};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;

/// How long a statement whose client has gone may take to end.
const STOP: Duration = Duration::from_secs(5);
/// When the first request is repeated.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// How far apart later ones are at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Cancels what a connection is at, and reads its answer to the end. False: it didn't come.
/// `is_unsynced`: a batch was flushed without its Sync.
pub(super) async fn stop(lease: &mut Lease, is_unsynced: bool) -> bool {
    if is_unsynced
        && !lease.is_busy()
        && lease.is_between_messages()
        && (undo_batch(lease).is_err() || lease.send().await.is_err())
    {
        return false;
    }
    let key = lease.cancel_key().cloned();
    let until = Instant::now() + STOP;
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(key) = &key
            && let Err(error) = flywheel_postgres::cancel(key).await
        {
            tracing::warn!(%error, "the statement of a client that has gone could not be cancelled");
        }
        match tokio::time::timeout(pause, read_out(lease)).await {
            Ok(is_whole) => return is_whole,
            Err(_) if Instant::now() >= until => return false,
            Err(_) => pause = (pause * 2).min(LONGEST_PAUSE),
        }
    }
}

/// Ends a batch as the end of its client ends it in PostgreSQL: nothing of it is done. Its Sync
/// alone would commit it.
fn undo_batch(lease: &mut Lease) -> std::io::Result<()> {
    let out = lease.out();
    frontend::parse("", "ROLLBACK", [], out)?;
    let bound = frontend::bind("", "", [], [], |(), _| Ok(IsNull::Yes), [], out);
    bound.map_err(|_| std::io::ErrorKind::InvalidInput)?;
    frontend::execute("", 0, out)?;
    frontend::sync(out);
    lease.expect_ready();
    Ok(())
}

/// Reads what the server still says; whether that was the end of all answers. May be given up and
/// begun again.
async fn read_out(lease: &mut Lease) -> bool {
    while !lease.is_at_boundary() {
        if lease.next_piece().await.is_err() {
            return false;
        }
    }
    matches!(lease.until_ready(drop).await, Ok(()) | Err(ServerError::Postgres(_)))
}

/// Gives a connection up on which nothing can be said any more, and has a statement that may still
/// run on it end.
pub(super) fn abandon(lease: Lease) {
    let key = lease.cancel_key().cloned().filter(|_| lease.is_busy());
    // Its end is what the server sees when the statement is cancelled.
    drop(lease);
    if let Some(key) = key {
        tokio::spawn(async move {
            if let Err(error) = flywheel_postgres::cancel(&key).await {
                tracing::debug!(%error, "a statement on a lost connection can't be cancelled");
            }
        });
    }
}
