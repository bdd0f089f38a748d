//! Where a batch's answer arrives.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, BytesMut};

use flywheel_wire::{PgError, sqlstate};

use super::channel::Channel;
use crate::ServerError;

/// An answer that waits for its owner past this many bytes stops its connection.
pub(super) const FULL: usize = 256 * 1024;

/// A piece of this size is passed on as it is; shorter ones are copied, so that the buffer that
/// they came in can be used again.
const LONG: usize = 16 * 1024;

/// The answer to one batch, as it arrives.
#[derive(Debug, Default)]
pub struct Answer {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: BytesMut,
    /// What has come ends in the middle of a row.
    is_torn: bool,
    end: Option<End>,
    owner: Option<Waker>,
    driver: Option<Waker>,
    abandoned: bool,
    /// The connection that the batch is on.
    channel: Option<Arc<Channel>>,
}

#[derive(Debug, Clone)]
enum End {
    Ready { parsed: bool, took: Duration, size: usize, columns: Option<u64> },
    Failed(Arc<ServerError>),
    Refused,
    Outdated,
}

/// What [`Answer::next`] has moved into the owner's buffer.
#[derive(Debug, Clone)]
pub enum Part {
    /// Some messages; more follow.
    More {
        /// The last of them has come in part.
        is_torn: bool,
    },
    /// All, up to ReadyForQuery.
    Last {
        /// Its Parse, if it has one, has succeeded.
        parsed: bool,
        /// How long the server took for it.
        took: Duration,
        /// Its bytes.
        size: usize,
        /// The digest of the columns that it tells, where they were asked for.
        columns: Option<u64>,
    },
    /// Nothing: the batch failed in a form that the client hasn't sent ([`super::Form`]).
    Refused,
    /// Nothing: the rows of its prepared statement have other columns than the client knows.
    Outdated,
}

/// What follows bytes that are delivered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Follows {
    /// The next message of the server.
    Message,
    /// The rest of the row that they end with.
    RestOfRow,
    /// This, which the server hasn't sent.
    Suffix(&'static [u8]),
}

/// As PostgreSQL says it.
pub(super) fn cancelled() -> Arc<ServerError> {
    let error = PgError::error(sqlstate::QUERY_CANCELED, "canceling statement due to user request");
    Arc::new(ServerError::Postgres(error))
}

impl Answer {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves what has arrived to the end of `out`.
    ///
    /// # Errors
    /// The connection broke in a way that could not be mended.
    pub async fn next(&self, out: &mut BytesMut) -> Result<Part, Arc<ServerError>> {
        std::future::poll_fn(|cx| self.poll_next(out, cx)).await
    }

    /// The same, as a step of a future.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn poll_next(
        &self,
        out: &mut BytesMut,
        cx: &Context<'_>,
    ) -> Poll<Result<Part, Arc<ServerError>>> {
        let mut state = self.lock();
        let arrived = state.bytes.len();
        if arrived > 0 {
            if out.is_empty() {
                std::mem::swap(out, &mut state.bytes);
            } else {
                out.extend_from_slice(&state.bytes);
                state.bytes.clear();
            }
            if let Some(driver) = state.driver.take() {
                driver.wake();
            }
        }
        match &state.end {
            Some(End::Ready { parsed, took, size, columns }) => Poll::Ready(Ok(Part::Last {
                parsed: *parsed,
                took: *took,
                size: *size,
                columns: *columns,
            })),
            // What has come already is told first: it is no answer by itself.
            Some(End::Failed(_)) if arrived > 0 => {
                Poll::Ready(Ok(Part::More { is_torn: state.is_torn }))
            }
            Some(End::Failed(error)) => Poll::Ready(Err(error.clone())),
            Some(End::Refused) => Poll::Ready(Ok(Part::Refused)),
            Some(End::Outdated) => Poll::Ready(Ok(Part::Outdated)),
            None if arrived > 0 => Poll::Ready(Ok(Part::More { is_torn: state.is_torn })),
            None => {
                match &mut state.owner {
                    Some(known) => known.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    /// The owner has gone: what still comes is thrown away.
    pub fn abandon(&self) {
        let mut state = self.lock();
        state.abandoned = true;
        state.bytes = BytesMut::new();
        if let Some(driver) = state.driver.take() {
            driver.wake();
        }
    }

    /// Cancels the batch, and it alone.
    pub async fn cancel(self: &Arc<Self>) {
        let channel = self.lock().channel.clone();
        match channel {
            Some(channel) => channel.cancel(self).await,
            // It waits for a connection still, unless it is over.
            None => {
                self.fail(cancelled());
                let mut state = self.lock();
                state.abandoned |= matches!(state.end, Some(End::Failed(_)));
            }
        }
    }

    /// Nobody waits for it any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    /// Its batch is on no connection now.
    pub(super) fn off(&self) {
        self.lock().channel = None;
    }

    pub(super) fn on(&self, channel: &Arc<Channel>) {
        self.lock().channel = Some(channel.clone());
    }

    /// Takes the first bytes of what has come in, between `prefix` and what follows them.
    pub(super) fn deliver(
        &self,
        prefix: &[u8],
        incoming: &mut BytesMut,
        length: usize,
        follows: Follows,
    ) {
        let mut state = self.lock();
        if state.abandoned {
            return incoming.advance(length);
        }
        state.is_torn = matches!(follows, Follows::RestOfRow);
        let bytes = &mut state.bytes;
        bytes.extend_from_slice(prefix);
        if bytes.is_empty() && length >= LONG {
            *bytes = incoming.split_to(length);
        } else {
            bytes.extend_from_slice(&incoming[..length]);
            incoming.advance(length);
        }
        if let Follows::Suffix(suffix) = follows {
            bytes.extend_from_slice(suffix);
        }
    }

    /// Lets the owner know of what was delivered.
    pub(super) fn wake(&self) {
        let owner = self.lock().owner.take();
        if let Some(owner) = owner {
            owner.wake();
        }
    }

    pub(super) fn finish(&self, parsed: bool, took: Duration, size: usize, columns: Option<u64>) {
        self.end(End::Ready { parsed, took, size, columns });
    }

    pub(super) fn fail(&self, error: Arc<ServerError>) {
        self.end(End::Failed(error));
    }

    pub(super) fn refuse(&self) {
        self.end(End::Refused);
    }

    pub(super) fn outdate(&self) {
        self.end(End::Outdated);
    }

    fn end(&self, end: End) {
        let mut state = self.lock();
        state.channel = None;
        state.end.get_or_insert(end);
        let owner = state.owner.take();
        drop(state);
        if let Some(owner) = owner {
            owner.wake();
        }
    }

    /// Whether so much waits here that the driver has to wait too; it is woken when there is room.
    pub(super) fn is_full(&self, cx: &Context<'_>) -> bool {
        let mut state = self.lock();
        let full = state.bytes.len() >= FULL;
        if full {
            state.driver = Some(cx.waker().clone());
        }
        full
    }
}
