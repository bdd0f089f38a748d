//! A client's socket with its buffers.
//!
//! A client's socket is read while its statement runs, up to 64 KB, to notice its end. FIN alone
//! doesn't tell a client that has gone from one that says nothing more: it is sent a
//! ParameterStatus, which only the former's system answers with a reset. Then the statement is
//! cancelled, its answer read to the end, and the connection cleaned.

use std::borrow::Cow;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use flywheel_wire::startup::{self, StartupPacket};
use flywheel_wire::{ClientError, Frame, PgError, backend, frame};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::room::{Place, Room};
use super::secured::Secured;
use super::stream::Stream;

/// Past this much, an answer is sent before more of it is made.
const SEND_THRESHOLD: usize = 64 * 1024;
/// How much room there is for what a client sends next.
const READ: usize = 1024;
/// How long whole answers wait for the one behind them, which as a rule comes at once and is sent
/// with them.
const LINGER: Duration = Duration::from_millis(1);
/// How much of what a client sends is taken in while it waits for an answer.
const READ_AHEAD: usize = 64 * 1024;
/// How long after the first time a silent client is told something once more, and how long at most.
const FIRST_PROBE: Duration = Duration::from_millis(100);
const LAST_PROBE: Duration = Duration::from_secs(10);
/// A buffer longer than this isn't kept by a client that has nothing to do.
const KEPT: usize = 16 * 1024;

/// A client's socket: messages in, a buffer of answers out.
#[derive(Debug)]
pub struct Client {
    pub(super) stream: Stream,
    /// What its TLS has told of it; `None`: it speaks in the clear.
    pub(super) secured: Option<Secured>,
    pub(super) incoming: BytesMut,
    /// Answers not yet sent.
    pub out: BytesMut,
    /// How many bytes were sent before those in `out`.
    sent: u64,
    /// How many bytes, sent or not, are whole answers to earlier messages.
    answered: u64,
    /// When those of them that wait are sent, while the next answer is waited for.
    overdue: Option<Pin<Box<Sleep>>>,
    /// Answers wait for the client's next message, not only for a pause in what it sends.
    kept_back: bool,
    /// What it was told ends in the middle of a message. Anything that isn't the rest would be
    /// taken for it.
    is_torn: bool,
    max_message: usize,
    /// Where its long messages have room; `None`: it hasn't logged in, and sends none.
    room: Option<Room>,
    /// That of the message that it is sending.
    place: Option<Place>,
    /// That of the message that is being worked on.
    taken: Option<Place>,
    /// Nothing more comes from it: it has closed its side, or all.
    ended: Option<Probe>,
    /// It was found to have gone.
    is_gone: bool,
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
pub struct Mark(u64);

impl Client {
    /// A client that hasn't logged in: its messages are bounded tightly.
    pub fn new(stream: TcpStream) -> Self {
        Self::at(Stream::Tcp(stream))
    }

    /// Nobody, in whose place something is read that is to be kept.
    pub fn nowhere() -> Self {
        Self::at(Stream::Nowhere)
    }

    fn at(stream: Stream) -> Self {
        Self {
            stream,
            secured: None,
            incoming: BytesMut::with_capacity(4096),
            out: BytesMut::with_capacity(4096),
            sent: 0,
            answered: 0,
            overdue: None,
            kept_back: false,
            is_torn: false,
            max_message: frame::MAX_LOGIN_MESSAGE,
            room: None,
            place: None,
            taken: None,
            ended: None,
            is_gone: false,
            recording: None,
        }
    }

    /// Allows longer messages, once logged in, where there is room for them.
    pub fn set_max_message(&mut self, bytes: usize, room: &Room) {
        self.max_message = bytes;
        self.room = Some(room.clone());
    }

    /// The next message. Answers that wait are sent first when it isn't there yet.
    pub async fn next_frame(&mut self) -> Result<Frame, ClientError> {
        loop {
            if let Some(frame) = self.buffered_frame()? {
                return Ok(frame);
            }
            self.read_more().await?;
        }
    }

    /// The next message, when it has been read.
    pub fn buffered_frame(&mut self) -> Result<Option<Frame>, ClientError> {
        let frame = frame::take(&mut self.incoming, self.max_message)?;
        self.kept_back &= frame.is_none();
        if frame.is_some() && self.place.is_some() {
            self.taken = self.place.take();
        }
        Ok(frame)
    }

    /// Keeps what waits until the client's next message has come.
    pub fn keep_back(&mut self) {
        self.kept_back = true;
    }

    /// Sends what waits, and reads.
    pub async fn read_more(&mut self) -> Result<(), ClientError> {
        if !self.kept_back {
            self.send().await?;
        }
        self.forget_long_buffers();
        self.find_room().await?;
        self.read().await
    }

    /// Waits until there is room for the message that is coming.
    async fn find_room(&mut self) -> Result<(), ClientError> {
        // Who waits for room has none.
        self.taken = None;
        if let (Some(room), None) = (&self.room, &self.place)
            && let Some((_, len)) = frame::peek(&self.incoming, self.max_message)?
        {
            self.place = room.place(len).await.map_err(|_| ClientError::NoRoom { len })?;
        }
        Ok(())
    }

    /// Whether an answer waits to be sent.
    pub fn has_to_send(&self) -> bool {
        !self.out.is_empty() || self.stream.has_to_flush()
    }

    fn forget_long_buffers(&mut self) {
        for buffer in [&mut self.out, &mut self.incoming] {
            if buffer.is_empty() && buffer.capacity() > KEPT {
                *buffer = BytesMut::new();
            }
        }
    }

    /// The next packet of the startup.
    pub async fn next_startup(&mut self) -> Result<StartupPacket, ClientError> {
        loop {
            if let Some(packet) = startup::take(&mut self.incoming)? {
                return Ok(packet);
            }
            self.read().await?;
        }
    }

    pub(super) async fn read(&mut self) -> Result<(), ClientError> {
        self.incoming.reserve(READ);
        match self.stream.read_buf(&mut self.incoming).await? {
            0 => Err(ClientError::Gone),
            _ => Ok(()),
        }
    }

    /// Ready when the client has gone, while something else is waited for. What it sends meanwhile
    /// is taken in.
    ///
    /// One that has only said that nothing more comes gets its answers. Whether it has is found out
    /// by telling it something that it knows: a setting, which PostgreSQL may report at any time.
    /// Its system answers that with a reset when nobody is there any more. `between` is whether
    /// what it was told ends with a whole message.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>, between: bool) -> Poll<()> {
        if !self.is_gone {
            ready!(self.poll_going(cx, between));
            self.is_gone = true;
        }
        Poll::Ready(())
    }

    fn poll_going(&mut self, cx: &mut Context<'_>, between: bool) -> Poll<()> {
        self.poll_answered(cx);
        while self.ended.is_none() {
            if self.incoming.len() >= READ_AHEAD {
                return Poll::Pending;
            }
            // As a rule nothing has come, and the messages that are being answered are still in the
            // buffer: no other is made before it is needed.
            if ready!(self.stream.poll_read_ready(cx)).is_err() {
                return Poll::Ready(());
            }
            self.incoming.reserve(READ);
            let read = pin!(self.stream.read_buf(&mut self.incoming)).poll(cx);
            match ready!(read) {
                Ok(0) => {
                    self.ended =
                        Some(Probe { next: Box::pin(sleep(Duration::ZERO)), pause: FIRST_PROBE });
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
            backend::parameter_status(&mut self.out, "integer_datetimes", "on");
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
            self.stream.flush_some(cx);
        }
    }

    /// What waits is whole answers to what the client has sent up to now.
    pub fn note_answered(&mut self) {
        self.answered = self.sent + self.out.len() as u64;
    }

    /// Sends the whole answers that wait, where the next one may take long.
    pub async fn send_answered(&mut self) -> Result<(), ClientError> {
        if self.unsent_answers() > 0 { self.send().await } else { Ok(()) }
    }

    /// How many bytes of whole answers wait.
    fn unsent_answers(&self) -> usize {
        usize::try_from(self.answered.saturating_sub(self.sent)).unwrap_or(0)
    }

    /// Sends them when they have waited for long enough. An error is found by whoever reads or
    /// writes next.
    fn poll_answered(&mut self, cx: &mut Context<'_>) {
        if self.unsent_answers() == 0 {
            self.stream.flush_some(cx);
            return;
        }
        let overdue = self.overdue.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if overdue.as_mut().poll(cx).is_pending() {
            return;
        }
        while let waiting @ 1.. = self.unsent_answers() {
            let write = Pin::new(&mut self.stream).poll_write(cx, &self.out[..waiting]);
            let Poll::Ready(Ok(written @ 1..)) = write else { return };
            self.note_sent(written);
        }
        self.stream.flush_some(cx);
    }

    /// Sends what waits. Where this is given up halfway, the rest still waits.
    pub async fn send(&mut self) -> Result<(), ClientError> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out).await? {
                0 => return Err(ClientError::Gone),
                written => self.note_sent(written),
            }
        }
        if self.stream.has_to_flush() {
            self.stream.flush().await?;
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
        if self.overdue.is_some() && self.unsent_answers() == 0 {
            self.overdue = None;
        }
    }

    /// Keeps what is told from now on, at most so many bytes.
    pub fn record(&mut self, limit: usize) {
        self.recording = Some(Recording {
            from: self.sent + self.out.len() as u64,
            taken: BytesMut::new(),
            limit,
        });
    }

    /// What was told since then; `None`: it was more than the limit, or nothing was to be kept.
    pub fn end_recording(&mut self) -> Option<Cow<'_, [u8]>> {
        let mut recording = self.recording.take()?;
        // As a rule nothing of it has been sent.
        if let Some(waiting) = recording.from.checked_sub(self.sent) {
            let told = self.out.get(usize::try_from(waiting).ok()?..)?;
            return (told.len() <= recording.limit).then_some(Cow::Borrowed(told));
        }
        recording.take(self.sent, &self.out);
        (recording.taken.len() <= recording.limit).then(|| Cow::Owned(recording.taken.into()))
    }

    /// Whether what it was told up to now ends in the middle of a message.
    pub fn note_torn(&mut self, is_torn: bool) {
        self.is_torn = is_torn;
    }

    /// Adds to what waits, and sends it when it is much: long pieces without copying them.
    /// `is_torn`: the piece ends in the middle of a message.
    pub async fn send_bulk(&mut self, mut bytes: Bytes, is_torn: bool) -> Result<(), ClientError> {
        if self.out.len() + bytes.len() < SEND_THRESHOLD {
            self.out.extend_from_slice(&bytes);
            self.is_torn = is_torn;
            return Ok(());
        }
        // Where this is given up halfway, the rest is lost.
        self.is_torn = true;
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
        if self.stream.has_to_flush() {
            self.stream.flush().await?;
        }
        self.out = both.into_inner().0;
        self.sent += length as u64;
        self.out.clear();
        self.overdue = None;
        self.is_torn = is_torn;
        Ok(())
    }

    /// The stream itself, for whoever passes its bytes on from now on, and what of them has been
    /// read. What waits is sent first.
    pub async fn stream(&mut self) -> Result<(&mut Stream, BytesMut), ClientError> {
        self.send().await?;
        let pending = std::mem::take(&mut self.incoming);
        Ok((&mut self.stream, pending))
    }

    /// The place where what is told from now on begins.
    pub fn mark(&self) -> Mark {
        Mark(self.sent + self.out.len() as u64)
    }

    /// Whether nothing of what was told since then has been sent.
    pub fn can_take_back(&self, mark: Mark) -> bool {
        self.sent <= mark.0
    }

    /// What was told since then, when nothing of it has been sent.
    pub fn told_since(&self, mark: Mark) -> Option<&[u8]> {
        self.out.get(self.place_of(mark)?..)
    }

    /// Where in `out` it is, as long as nothing behind it has been sent.
    fn place_of(&self, mark: Mark) -> Option<usize> {
        usize::try_from(mark.0.checked_sub(self.sent)?).ok()
    }

    /// Takes back what was told since then; [`Self::can_take_back`] must hold.
    pub fn take_back(&mut self, mark: Mark) {
        if let Some(place) = self.place_of(mark) {
            self.out.truncate(place);
            self.is_torn = false;
        }
    }

    /// Sends what waits when it is much: a slow client slows the statement down instead of filling
    /// memory.
    pub async fn send_if_much(&mut self) -> Result<(), ClientError> {
        if self.out.len() >= SEND_THRESHOLD { self.send().await } else { Ok(()) }
    }

    /// Tells the client why, and closes. In the middle of a row nothing can be told: the client
    /// would take it for the row's end. The end of the stream is an error to it, too.
    pub async fn close_with(&mut self, error: &PgError) {
        if !self.is_torn {
            backend::error_response(&mut self.out, error);
            let _ = self.send().await;
        }
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
