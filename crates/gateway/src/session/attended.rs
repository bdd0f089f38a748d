//! Waiting while the client is there: for PostgreSQL, for stores, for others.
//!
//! A block's locks are held as long as its session. So whatever a session waits for, it also
//! listens whether its client has gone, and ends then: `leave` has PostgreSQL cancel what is under
//! way and roll the block back. PostgreSQL's COMMIT and the second phase behind it are the
//! exception: they end by themselves, and what they decide is to be carried out.

use std::future::poll_fn;

use flywheel_front::{Client, ClientError};

use super::Outcome;

/// Waits for something, unless the client goes. What the client was told must end with a whole
/// message.
pub(super) async fn while_there<T>(
    client: &mut Client,
    waiting: impl Future<Output = T>,
) -> Outcome<T> {
    tokio::select! {
        biased;
        done = waiting => Ok(done),
        () = poll_fn(|cx| client.poll_gone(cx, true)) => Err(ClientError::Gone.into()),
    }
}
