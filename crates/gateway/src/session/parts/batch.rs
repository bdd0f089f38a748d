//! Messages of the extended protocol, gathered up to Sync or Flush.

use std::sync::Arc;

use flywheel_front::{Client, Mark};
use flywheel_statement::Analysis;

use flywheel_wire::frontend::{self, Bind, Execute, Parse, Target, tag};
use flywheel_wire::{Frame, PgError};

/// Past so many bytes, what is gathered of a batch is worked off without waiting for its Sync.
const GATHERED: usize = 256 * 1024;

/// Messages of the extended protocol that wait for Sync or Flush.
#[derive(Default)]
pub(crate) struct Batch {
    messages: Vec<(Frame, Message)>,
    /// What the long texts in it are.
    long_texts: Vec<Arc<Analysis>>,
    bytes: usize,
    /// The first message of a COPY's data, come before the batch that begins the COPY was sent.
    copied: Option<Frame>,
}

/// A message that waits for Sync or Flush.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Parse(Parse),
    /// With the message as it came, for the server.
    Bind(Bind),
    Describe(Target, String),
    Execute(Execute),
    Close(Target, String),
}

impl Message {
    /// Reads a frame with one of these tags.
    pub(crate) fn read(frame: &Frame) -> Result<Self, PgError> {
        match frame.tag() {
            tag::PARSE => frontend::parse(frame).map(Self::Parse),
            tag::BIND => frontend::bind(frame).map(Self::Bind),
            tag::EXECUTE => frontend::execute(frame).map(Self::Execute),
            tag::CLOSE => {
                frontend::target(frame).map(|(target, name)| Self::Close(target, name.to_owned()))
            }
            _ => frontend::target(frame)
                .map(|(target, name)| Self::Describe(target, name.to_owned())),
        }
    }
}

impl Batch {
    /// A batch that a client has sent before.
    pub(crate) fn of(messages: Vec<(Frame, Message)>) -> Self {
        Self { messages, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// The messages, with the frames that they came in.
    pub(crate) fn gathered(&self) -> &[(Frame, Message)] {
        &self.messages
    }

    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> + Clone {
        self.messages.iter().map(|(_, message)| message)
    }

    /// The frames of all messages are so long.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps what a long text is until the next batch begins: nobody else does.
    pub(crate) fn keep(&mut self, long: Arc<Analysis>) {
        self.long_texts.push(long);
    }

    /// A message is about to be gathered.
    pub(crate) fn begin(&mut self) {
        if self.messages.is_empty() {
            self.long_texts.clear();
        }
    }

    /// Gathers a message; whether so much is gathered that a part of it had better be worked off.
    pub(crate) fn push(&mut self, frame: Frame, message: Message) -> bool {
        let before = self.bytes;
        self.bytes += frame.raw().len() + size_of::<(Frame, Message)>();
        self.messages.push((frame, message));
        self.bytes / GATHERED != before / GATHERED
    }

    /// Nothing waits any more.
    pub(crate) fn clear(&mut self) {
        self.messages.clear();
        self.bytes = 0;
    }

    /// Takes all messages, to be worked off.
    pub(crate) fn take(&mut self) -> (Vec<Frame>, Vec<Message>) {
        self.bytes = 0;
        self.messages.drain(..).unzip()
    }

    /// Data of the COPY that the batch begins have come, or are forgotten.
    pub(crate) fn note_copied(&mut self, frame: Option<Frame>) {
        self.copied = frame;
    }

    /// The first message of the COPY's data, if it has come already.
    pub(crate) fn take_copied(&mut self) -> Option<Frame> {
        self.copied.take()
    }
}

/// A batch under way that can be worked off once more.
#[derive(Debug)]
pub(crate) struct Renewal {
    /// Where its answer begins in what the client is told.
    mark: Mark,
    /// Something of it was carried out.
    executed: bool,
    /// A statement has to be prepared anew first.
    wanted: bool,
}

impl Renewal {
    pub(crate) fn new(mark: Mark) -> Self {
        Self { mark, executed: false, wanted: false }
    }

    /// Something of the batch is carried out: it can't be repeated any more.
    pub(crate) fn note_execution(&mut self) {
        self.executed = true;
    }

    /// Takes in an error of the server, `outdated` when a statement has to be prepared anew;
    /// whether the batch is to be worked off once more.
    pub(crate) fn takes(&mut self, outdated: bool, client: &Client) -> bool {
        if self.executed || !client.can_take_back(self.mark) {
            return false;
        }
        self.wanted = outdated;
        outdated
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted
    }
}
