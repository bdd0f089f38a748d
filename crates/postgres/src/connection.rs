//! One login to a server and the stream of messages on it.

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::frame::{Cutter, Piece};
use flywheel_wire::{Frame, PgError, reply};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::defaults::Generation;
use crate::prepared::Version;
use crate::sequences::Sequences;
use crate::stream::Stream;
use crate::topology::Sitting;
use crate::{CancelKey, ServerError, Settings};

/// How much is read at once of rows.
const BULK_READ: usize = 64 * 1024;
/// The longest message accepted from a server that isn't a row: PostgreSQL's own limit.
const MAX_MESSAGE: usize = 0x3fff_ffff;

/// A logged-in connection to a server.
#[derive(Debug)]
pub struct Connection {
    pub(crate) stream: Stream,
    pub(crate) server: String,
    pub(crate) incoming: BytesMut,
    /// Messages not yet sent.
    outgoing: BytesMut,
    cutter: Cutter,
    pub(crate) status: TransactionStatus,
    /// ReadyForQuery messages that are owed.
    awaited: usize,
    /// Values of the settings that the server reports.
    pub(crate) parameters: HashMap<String, String>,
    /// The same as they were at login, and a digest of them.
    pub(crate) login_parameters: HashMap<String, String>,
    pub(crate) defaults: u64,
    /// Of its pool's connections, those that have begun with the same settings.
    pub(crate) generation: Option<Generation>,
    pub(crate) cancel_key: Option<CancelKey>,
    /// The statements that are prepared here, by their names.
    pub(crate) prepared: HashMap<String, Version>,
    /// Statements to be closed before they are prepared again.
    pub(crate) outdated: HashSet<String>,
    /// The session settings that were replayed here last.
    pub(crate) applied: Arc<Settings>,
    /// What it has begun with, when it was made for one client.
    pub(crate) startup: Option<Settings>,
    /// Whose last values of sequences it holds.
    pub(crate) sequences: Sequences,
    /// A Query of Flywheel's own has dropped the unnamed statement.
    pub(crate) unnamed_lost: bool,
    /// Notifications that came while statements of Flywheel's own ran.
    pub(crate) heard: Vec<Frame>,
    broken: bool,
    /// The place in a cluster that it was made for.
    pub(crate) sitting: Option<Sitting>,
    /// When it is to be closed rather than lent again.
    pub(crate) ends: Option<Instant>,
    /// When it came back last.
    pub(crate) idle_since: Instant,
}

impl Connection {
    pub(crate) fn new(stream: Stream, server: String) -> Self {
        Self {
            stream,
            server,
            incoming: BytesMut::with_capacity(16 * 1024),
            outgoing: BytesMut::with_capacity(4 * 1024),
            cutter: Cutter::default(),
            status: TransactionStatus::Idle,
            awaited: 0,
            parameters: HashMap::new(),
            login_parameters: HashMap::new(),
            defaults: 0,
            generation: None,
            cancel_key: None,
            prepared: HashMap::new(),
            outdated: HashSet::new(),
            applied: Arc::default(),
            sequences: Sequences::default(),
            startup: None,
            unnamed_lost: false,
            heard: Vec::new(),
            broken: false,
            sitting: None,
            ends: None,
            idle_since: Instant::now(),
        }
    }

    /// The buffer of messages to be sent; [`Self::send`] sends it.
    pub fn out(&mut self) -> &mut BytesMut {
        &mut self.outgoing
    }

    /// Notes that a message in the buffer (Query, Sync, FunctionCall) will be answered by a
    /// ReadyForQuery.
    pub fn expect_ready(&mut self) {
        self.awaited += 1;
    }

    /// Notes that a ReadyForQuery will not come after all (its Sync was read as part of a COPY);
    /// whether one was owed.
    pub fn forget_expected_ready(&mut self) -> bool {
        let owed = self.awaited > 0;
        self.awaited = self.awaited.saturating_sub(1);
        owed
    }

    /// The notifications that came while statements of Flywheel's own ran; told once.
    pub fn take_heard(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.heard)
    }

    /// Whether the stream stands between two messages.
    #[must_use]
    pub fn is_at_boundary(&self) -> bool {
        self.cutter.at_boundary()
    }

    /// Whether a ReadyForQuery is owed.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.awaited > 0
    }

    /// The state that the last ReadyForQuery reported.
    #[must_use]
    pub fn status(&self) -> TransactionStatus {
        self.status
    }

    /// The reported settings of this connection.
    #[must_use]
    pub fn parameters(&self) -> &HashMap<String, String> {
        &self.parameters
    }

    /// What a CancelRequest for this connection's statement needs.
    #[must_use]
    pub fn cancel_key(&self) -> Option<&CancelKey> {
        self.cancel_key.as_ref()
    }

    /// Whether the unnamed statement has been dropped by a Query of Flywheel's own; asked once.
    pub fn take_unnamed_lost(&mut self) -> bool {
        std::mem::take(&mut self.unnamed_lost)
    }

    /// Whether another server has taken the place of this connection's, such as the primary's, or
    /// sessions begin with other settings now.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.sitting.as_ref().is_some_and(Sitting::is_over)
            || self.generation.as_ref().is_some_and(Generation::is_over)
    }

    /// Whether it has lived for as long as it may.
    #[must_use]
    pub(crate) fn is_at_its_end(&self) -> bool {
        self.ends.is_some_and(|end| end <= Instant::now())
    }

    /// Whether it leads to a replica of a cluster.
    #[must_use]
    pub fn is_of_replica(&self) -> bool {
        self.sitting.as_ref().is_some_and(Sitting::is_of_replica)
    }

    /// Notes that the server has ended the session, saying why.
    pub fn end(&mut self, error: PgError) -> ServerError {
        let error = ServerError::Ended { server: self.server.clone(), error };
        self.broke(&error);
        error
    }

    /// Notes an error by which the connection has broken.
    pub(crate) fn broke(&mut self, error: &ServerError) {
        self.broken = true;
        if let Some(sitting) = &self.sitting {
            sitting.broke(error);
        }
    }

    /// Marks the connection as not to be used again.
    pub fn poison(&mut self) {
        self.broken = true;
    }

    /// Whether the connection isn't to be used again.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether nothing of a message is under way in either direction.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.outgoing.is_empty() && self.cutter.at_boundary()
    }

    /// Whether the connection may serve another session: nothing owed, no block open, not broken.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        !self.broken
            && self.awaited == 0
            && self.outgoing.is_empty()
            && self.cutter.at_boundary()
            && self.status == TransactionStatus::Idle
    }

    /// Whether the peer has not gone while the connection was idle. Asks the operating system
    /// itself: the runtime may not have heard of it yet.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.stream.is_open(&mut self.incoming)
    }

    /// Sends what is buffered. What the server answers meanwhile is taken in: it stops reading when
    /// nobody reads its answers, and two sides that only write would wait for each other.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn send(&mut self) -> Result<(), ServerError> {
        while !self.outgoing.is_empty() || self.stream.has_to_flush() {
            let progress = poll_fn(|cx| self.poll_exchange(cx)).await;
            progress.map_err(|source| self.io_error(source))?;
        }
        Ok(())
    }

    /// Writes some of what is buffered; where that would block, reads.
    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = Pin::new(&mut self.stream);
        if self.outgoing.is_empty() {
            if let Poll::Ready(flushed) = stream.poll_flush(cx) {
                return Poll::Ready(flushed);
            }
        } else {
            match stream.poll_write(cx, &self.outgoing) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    self.outgoing.advance(written);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(source)) => return Poll::Ready(Err(source)),
                Poll::Pending => {}
            }
        }
        let mut space = [0; 8 * 1024];
        let mut buffer = ReadBuf::new(&mut space);
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.incoming.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }

    /// The next piece of the server's answer. Keeps track of the session's state, settings and
    /// notices by itself.
    ///
    /// # Errors
    /// The connection broke, or the server broke the protocol.
    pub async fn next_piece(&mut self) -> Result<Piece, ServerError> {
        loop {
            match self.cutter.next(&mut self.incoming, MAX_MESSAGE) {
                Ok(Some(Piece::Message(frame))) => {
                    self.observe(&frame);
                    return Ok(Piece::Message(frame));
                }
                Ok(Some(piece)) => return Ok(piece),
                // In the middle of rows there are more.
                Ok(None) if !self.cutter.at_boundary() => self.incoming.reserve(BULK_READ),
                Ok(None) => {}
                Err(error) => {
                    self.broken = true;
                    return Err(ServerError::frame(&self.server, error));
                }
            }
            match self.stream.read_buf(&mut self.incoming).await {
                Ok(0) => {
                    return Err(self.io_error(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the server closed the connection",
                    )));
                }
                Ok(_) => {}
                Err(source) => return Err(self.io_error(source)),
            }
        }
    }

    /// The next message, rows included, each whole.
    ///
    /// # Errors
    /// As [`Self::next_piece`].
    pub async fn next_message(&mut self) -> Result<Frame, ServerError> {
        loop {
            match flywheel_wire::frame::take(&mut self.incoming, MAX_MESSAGE) {
                Ok(Some(frame)) => {
                    self.observe(&frame);
                    return Ok(frame);
                }
                Ok(None) => {}
                Err(error) => {
                    self.broken = true;
                    return Err(ServerError::frame(&self.server, error));
                }
            }
            match self.stream.read_buf(&mut self.incoming).await {
                Ok(0) => {
                    return Err(self.io_error(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the server closed the connection",
                    )));
                }
                Ok(_) => {}
                Err(source) => return Err(self.io_error(source)),
            }
        }
    }

    /// Passes bytes between the server and another stream until both have ended. `pending` has come
    /// from there already.
    ///
    /// # Errors
    /// One of the two broke.
    pub async fn pass_through(
        mut self,
        other: &mut (impl AsyncRead + AsyncWrite + Unpin),
        pending: BytesMut,
    ) -> io::Result<()> {
        self.stream.write_all(&pending).await?;
        self.stream.flush().await?;
        other.write_all(&self.incoming).await?;
        other.flush().await?;
        tokio::io::copy_bidirectional(other, &mut self.stream).await.map(drop)
    }

    fn observe(&mut self, frame: &Frame) {
        match frame.tag() {
            reply::tag::READY_FOR_QUERY => {
                self.awaited = self.awaited.saturating_sub(1);
                self.status =
                    TransactionStatus::from_byte(frame.body().first().copied().unwrap_or_default());
            }
            reply::tag::PARAMETER_STATUS => {
                if let Some((name, value)) = reply::parameter_status(frame.body()) {
                    self.parameters.insert(name, value);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn io_error(&mut self, source: io::Error) -> ServerError {
        let error = ServerError::Io { server: self.server.clone(), source };
        self.broke(&error);
        error
    }
}
