//! A client's socket with its buffers.

use std::borrow::Cow;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use flywheel_postgres::Connection;
use flywheel_wire::startup::{self, StartupError, StartupPacket};
use flywheel_wire::{Frame, FrameError, PgError, backend, frame, sqlstate};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::stream::Stream;

/// Past this much, an answer is sent before more of it is made.
const SEND_THRESHOLD: usize = 64 * 1024;
/// How much room there is for what a client sends next.
const READ: usize = 1024;
/// How much of what a client sends is taken in while it waits for an answer.
const READ_AHEAD: usize = 64 * 1024;
/// How long after the first time a silent client is told something once more, and how long at most.
const FIRST_PROBE: Duration = Duration::from_millis(100);
const LAST_PROBE: Duration = Duration::from_secs(10);
/// A buffer longer than this isn't kept by a client that has nothing to do.
const KEPT: usize = 16 * 1024;

/// Why a client's stream ends.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    /// It has gone, in good order or not.
    #[error("client has gone")]
    Gone,
    /// The socket failed.
    #[error("client socket: {0}")]
    Io(#[from] std::io::Error),
    /// It sent what can't be a message; nothing after it can be read.
    #[error("client sent a bad message: {0}")]
    Frame(#[from] FrameError),
    /// It sent what can't be a startup packet.
    #[error("client sent a bad startup packet: {0}")]
    Startup(#[from] StartupError),
}

impl ClientError {
    /// What to tell the client before the connection is closed; `None` when it can't hear.
    pub(crate) fn farewell(&self) -> Option<PgError> {
        match self {
            Self::Gone | Self::Io(_) => None,
            Self::Frame(error @ FrameError::TooLong { .. }) => Some(
                PgError::fatal(sqlstate::PROGRAM_LIMIT_EXCEEDED, error.to_string())
                    .with_hint("Send the data in smaller pieces, with COPY for instance, or raise `limits.max_message_size`."),
            ),
            Self::Frame(error) => Some(PgError::fatal(sqlstate::PROTOCOL_VIOLATION, error.to_string())),
            Self::Startup(error) => Some(
                PgError::fatal(sqlstate::PROTOCOL_VIOLATION, error.to_string())
                    .with_hint("This port speaks PostgreSQL's protocol, version 3."),
            ),
        }
    }
}

/// A client's socket: messages in, a buffer of answers out.
#[derive(Debug)]
pub(crate) struct Client {
    stream: Stream,
    incoming: BytesMut,
    /// Answers not yet sent.
    pub(crate) out: BytesMut,
    /// How many bytes were sent before those in `out`.
    sent: u64,
    max_message: usize,
    /// Nothing more comes from it: it has closed its side, or all.
    ended: Option<Probe>,
    recording: Option<Recording>,
}

/// What a client is told from some place on, kept beside.
#[derive(Debug)]
struct Recording {
    from: u64,
    /// What of it has been sent.
    taken: BytesMut,
    limit: usize,
}

/// Finding out whether a client that says nothing more still hears.
#[derive(Debug)]
struct Probe {
    next: Pin<Box<Sleep>>,
    pause: Duration,
}

/// A place in what a client is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    sent: u64,
    waiting: usize,
}

impl Client {
    /// A client that hasn't logged in: its messages are bounded tightly.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self::at(Stream::Tcp(stream))
    }

    /// Nobody, in whose place something is read that is to be kept.
    pub(crate) fn nowhere() -> Self {
        Self::at(Stream::Nowhere)
    }

    fn at(stream: Stream) -> Self {
        Self {
            stream,
            incoming: BytesMut::with_capacity(4096),
            out: BytesMut::with_capacity(4096),
            sent: 0,
            max_message: frame::MAX_LOGIN_MESSAGE,
            ended: None,
            recording: None,
        }
    }

    /// Allows longer messages, once logged in.
    pub(crate) fn set_max_message(&mut self, bytes: usize) {
        self.max_message = bytes;
    }

    /// The next message. Answers that wait are sent first when it isn't there yet.
    pub(crate) async fn next_frame(&mut self) -> Result<Frame, ClientError> {
        loop {
            if let Some(frame) = self.buffered_frame()? {
                return Ok(frame);
            }
            self.read_more().await?;
        }
    }

    /// The next message, when it has been read.
    pub(crate) fn buffered_frame(&mut self) -> Result<Option<Frame>, ClientError> {
        Ok(frame::take(&mut self.incoming, self.max_message)?)
    }

    /// Sends what waits, and reads.
    pub(crate) async fn read_more(&mut self) -> Result<(), ClientError> {
        self.send().await?;
        self.forget_long_buffers();
        self.read().await
    }

    /// Whether an answer waits to be sent.
    pub(crate) fn has_to_send(&self) -> bool {
        !self.out.is_empty()
    }

    fn forget_long_buffers(&mut self) {
        for buffer in [&mut self.out, &mut self.incoming] {
            if buffer.is_empty() && buffer.capacity() > KEPT {
                *buffer = BytesMut::new();
            }
        }
    }

    /// The next packet of the startup.
    pub(crate) async fn next_startup(&mut self) -> Result<StartupPacket, ClientError> {
        loop {
            if let Some(packet) = startup::take(&mut self.incoming)? {
                return Ok(packet);
            }
            self.read().await?;
        }
    }

    /// Answers SSLRequest and GSSENCRequest: no. What the client had already sent behind it can't be meant for the connection that follows.
    pub(crate) async fn refuse_encryption(&mut self) -> Result<(), ClientError> {
        if !self.incoming.is_empty() {
            return Err(StartupError::Layout.into());
        }
        self.stream.write_all(b"N").await?;
        Ok(())
    }

    async fn read(&mut self) -> Result<(), ClientError> {
        self.incoming.reserve(READ);
        match self.stream.read_buf(&mut self.incoming).await? {
            0 => Err(ClientError::Gone),
            _ => Ok(()),
        }
    }

    /// Ready when the client has gone, while something else is waited for. What it sends meanwhile is taken in.
    ///
    /// One that has only said that nothing more comes gets its answers. Whether it has is found out by telling it something that it knows: a setting,
    /// which PostgreSQL may report at any time. Its system answers that with a reset when nobody is there any more. `between` is whether what it was
    /// told ends with a whole message.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>, between: bool) -> Poll<()> {
        while self.ended.is_none() {
            if self.incoming.len() >= READ_AHEAD {
                return Poll::Pending;
            }
            // As a rule nothing has come, and the messages that are being answered are still in the buffer: no other is made before it is needed.
            if ready!(self.stream.poll_read_ready(cx)).is_err() {
                return Poll::Ready(());
            }
            self.incoming.reserve(READ);
            let read = pin!(self.stream.read_buf(&mut self.incoming)).poll(cx);
            match ready!(read) {
                Ok(0) => {
                    self.ended = Some(Probe {
                        next: Box::pin(sleep(Duration::ZERO)),
                        pause: FIRST_PROBE,
                    });
                }
                Ok(_) => {}
                Err(_) => return Poll::Ready(()),
            }
        }
        let Some(probe) = self.ended.as_mut().filter(|_| between) else {
            return Poll::Pending;
        };
        loop {
            ready!(probe.next.as_mut().poll(cx));
            probe.next.as_mut().reset(Instant::now() + probe.pause);
            probe.pause = (probe.pause * 2).min(LAST_PROBE);
            backend::parameter_status(&mut self.out, "client_encoding", "UTF8");
            while !self.out.is_empty() {
                match Pin::new(&mut self.stream).poll_write(cx, &self.out) {
                    Poll::Ready(Ok(written)) if written > 0 => {
                        if let Some(recording) = &mut self.recording {
                            recording.take(self.sent, &self.out[..written]);
                        }
                        self.out.advance(written);
                        self.sent += written as u64;
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                    // It doesn't read. The rest goes with the next one.
                    Poll::Pending => break,
                }
            }
        }
    }

    /// Sends what waits. Where this is given up halfway, the rest still waits.
    pub(crate) async fn send(&mut self) -> Result<(), ClientError> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out).await? {
                0 => return Err(ClientError::Gone),
                written => self.note_sent(written),
            }
        }
        Ok(())
    }

    /// So much of what waits has been sent.
    fn note_sent(&mut self, written: usize) {
        if let Some(recording) = &mut self.recording {
            recording.take(self.sent, &self.out[..written]);
        }
        self.out.advance(written);
        self.sent += written as u64;
    }

    /// Keeps what is told from now on, at most so many bytes.
    pub(crate) fn record(&mut self, limit: usize) {
        self.recording = Some(Recording {
            from: self.sent + self.out.len() as u64,
            taken: BytesMut::new(),
            limit,
        });
    }

    /// What was told since then; `None`: it was more than the limit, or nothing was to be kept.
    pub(crate) fn end_recording(&mut self) -> Option<Cow<'_, [u8]>> {
        let mut recording = self.recording.take()?;
        // As a rule nothing of it has been sent.
        if let Some(waiting) = recording.from.checked_sub(self.sent) {
            let told = self.out.get(usize::try_from(waiting).ok()?..)?;
            return (told.len() <= recording.limit).then_some(Cow::Borrowed(told));
        }
        recording.take(self.sent, &self.out);
        (recording.taken.len() <= recording.limit).then(|| Cow::Owned(recording.taken.into()))
    }

    /// Adds to what waits, and sends it when it is much: long pieces without copying them.
    pub(crate) async fn send_bulk(&mut self, mut bytes: Bytes) -> Result<(), ClientError> {
        if self.out.len() + bytes.len() < SEND_THRESHOLD {
            self.out.extend_from_slice(&bytes);
            return Ok(());
        }
        if let Some(recording) = &mut self.recording {
            recording.take(self.sent, &self.out);
            recording.take(self.sent + self.out.len() as u64, &bytes);
        }
        let length = self.out.len() + bytes.len();
        let mut both = std::mem::take(&mut self.out).chain(&mut bytes);
        while both.has_remaining() {
            if self.stream.write_buf(&mut both).await? == 0 {
                return Err(ClientError::Gone);
            }
        }
        self.out = both.into_inner().0;
        self.sent += length as u64;
        self.out.clear();
        Ok(())
    }

    /// Passes its bytes to a server of its own and back, until one of them has ended.
    pub(crate) async fn pass_through(&mut self, server: Connection) -> Result<(), ClientError> {
        self.send().await?;
        let pending = std::mem::take(&mut self.incoming);
        Ok(server.pass_through(&mut self.stream, pending).await?)
    }

    /// The place where what is told from now on begins.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            sent: self.sent,
            waiting: self.out.len(),
        }
    }

    /// Whether nothing of what was told since then has been sent.
    pub(crate) fn can_take_back(&self, mark: Mark) -> bool {
        self.sent == mark.sent
    }

    /// What was told since then, when nothing of it has been sent.
    pub(crate) fn told_since(&self, mark: Mark) -> Option<&[u8]> {
        self.can_take_back(mark).then(|| &self.out[mark.waiting..])
    }

    /// Takes back what was told since then; [`Self::can_take_back`] must hold.
    pub(crate) fn take_back(&mut self, mark: Mark) {
        self.out.truncate(mark.waiting);
    }

    /// Sends what waits when it is much: a slow client slows the statement down instead of filling memory.
    pub(crate) async fn send_if_much(&mut self) -> Result<(), ClientError> {
        if self.out.len() >= SEND_THRESHOLD {
            self.send().await
        } else {
            Ok(())
        }
    }

    /// Tells the client why, and closes.
    pub(crate) async fn close_with(&mut self, error: &PgError) {
        backend::error_response(&mut self.out, error);
        let _ = self.send().await;
        let _ = self.stream.shutdown().await;
    }
}

impl Recording {
    /// `bytes` are sent, from this place on.
    fn take(&mut self, at: u64, bytes: &[u8]) {
        let known = self.from + self.taken.len() as u64;
        // Past the limit one byte more is enough to know it.
        if self.taken.len() > self.limit {
            return;
        }
        let skipped = usize::try_from(known.saturating_sub(at)).unwrap_or(usize::MAX);
        if let Some(new) = bytes.get(skipped..) {
            let room = (self.limit + 1).saturating_sub(self.taken.len());
            self.taken.extend_from_slice(&new[..new.len().min(room)]);
        }
    }
}
