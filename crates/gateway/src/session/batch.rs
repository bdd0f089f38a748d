//! One message of the extended protocol, read and checked.

use flywheel_wire::frontend::{self, Bind, Execute, Parse, Target, tag};
use flywheel_wire::{Frame, PgError};

/// A message that waits for Sync or Flush.
#[derive(Debug, Clone)]
pub(super) enum Message {
    Parse(Parse),
    /// With the message as it came, for the server.
    Bind(Bind),
    Describe(Target, String),
    Execute(Execute),
    Close(Target, String),
}

impl Message {
    /// Reads a frame with one of these tags.
    pub(super) fn read(frame: &Frame) -> Result<Self, PgError> {
        match frame.tag() {
            tag::PARSE => frontend::parse(frame).map(Self::Parse),
            tag::BIND => frontend::bind(frame).map(Self::Bind),
            tag::EXECUTE => frontend::execute(frame).map(Self::Execute),
            tag::CLOSE => frontend::target(frame).map(|(target, name)| Self::Close(target, name.to_owned())),
            _ => frontend::target(frame).map(|(target, name)| Self::Describe(target, name.to_owned())),
        }
    }
}
