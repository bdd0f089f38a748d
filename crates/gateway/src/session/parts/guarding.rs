//! What the session's guarded statements leave to be done.

use std::sync::Arc;

use bytes::BytesMut;
use flywheel_execute::twin::Reach;
use flywheel_wire::{Frame, reply};

/// What the session's guarded statements leave to be done, and what they rely on.
#[derive(Debug, Default)]
pub(crate) struct Guarding {
    pub(crate) held: Held,
    /// A guarded statement was run in the open transaction: what waits for COMMIT, or for FETCH, is
    /// guarded too.
    pub(crate) in_block: bool,
    /// The ways to the twins as they were read for the message at hand: others may have changed
    /// definitions since.
    pub(crate) read: Option<Arc<Reach>>,
    /// Definitions were made that others may not see yet.
    defined: bool,
    temporary: Temporary,
}

/// The end of a guarded statement's answer, which is kept back until the statement is checked.
#[derive(Debug, Default)]
pub(crate) struct Held {
    is_on: bool,
    frames: Vec<Frame>,
}

/// What runs in the session's temporary schema.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Temporary {
    #[default]
    Nothing,
    /// It is to be asked.
    Unknown,
    Code,
}

impl Guarding {
    /// Whether the session has definitions that others don't see.
    pub(crate) fn sees_own_definitions(&self) -> bool {
        self.defined || self.temporary != Temporary::Nothing
    }

    /// A definition was made that others may not see yet.
    pub(crate) fn note_definition(&mut self) {
        self.defined = true;
    }

    /// Something was defined that may be in the session's temporary schema.
    pub(crate) fn note_temporary(&mut self) {
        self.temporary = Temporary::Unknown;
    }

    /// What the temporary schema runs is known. `runs_code`: functions that aren't PostgreSQL's
    /// own.
    pub(crate) fn settle_temporary(&mut self, runs_code: bool) {
        self.temporary = if runs_code { Temporary::Code } else { Temporary::Nothing };
    }

    /// Whether it isn't known what the temporary schema runs.
    pub(crate) fn is_temporary_unknown(&self) -> bool {
        self.temporary == Temporary::Unknown
    }

    /// No transaction is open; whether others see now what was defined.
    pub(crate) fn end_block(&mut self) -> bool {
        self.in_block = false;
        std::mem::take(&mut self.defined)
    }
}

impl Held {
    /// Whether a guarded statement is under way.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// The end of the next answer is kept back.
    pub(crate) fn begin(&mut self) {
        self.is_on = true;
    }

    /// Ends of answers aren't kept back any more; what is held stays so.
    pub(crate) fn end(&mut self) {
        self.is_on = false;
    }

    /// What is held isn't told: the statement has failed.
    pub(crate) fn forget(&mut self) {
        self.frames.clear();
    }

    /// What comes behind the end of an answer: it is kept back with it.
    pub(crate) fn put_behind(&mut self, frame: &Frame, out: &mut BytesMut) {
        if self.frames.is_empty() {
            out.extend_from_slice(frame.raw());
        } else {
            self.frames.push(frame.clone());
        }
    }

    /// The end of an answer: of a guarded statement it is kept back.
    pub(crate) fn put_end(&mut self, frame: &Frame, out: &mut BytesMut) {
        if !self.is_on {
            return out.extend_from_slice(frame.raw());
        }
        // The end of COPY's data is followed by its own.
        if self.frames.last().is_some_and(|held| held.tag() != reply::tag::COPY_DONE) {
            self.tell(out);
        }
        self.frames.push(frame.clone());
    }

    /// Tells the client what was kept back.
    pub(crate) fn tell(&mut self, out: &mut BytesMut) {
        for frame in std::mem::take(&mut self.frames) {
            out.extend_from_slice(frame.raw());
        }
    }
}

#[cfg(test)]
mod tests {
    use flywheel_wire::{backend, frame};

    use super::*;

    fn end(tag: &str) -> Frame {
        let mut out = BytesMut::new();
        backend::command_complete(&mut out, tag);
        frame::take(&mut out, usize::MAX).unwrap().unwrap()
    }

    #[test]
    fn the_end_of_a_guarded_statement_waits() {
        let (mut held, mut out) = (Held::default(), BytesMut::new());
        held.put_end(&end("SELECT 1"), &mut out);
        assert!(!out.is_empty(), "nothing is guarded");
        out.clear();
        held.begin();
        held.put_end(&end("SELECT 1"), &mut out);
        held.put_behind(&end("NOTICE"), &mut out);
        assert!(out.is_empty());
        held.put_end(&end("SELECT 2"), &mut out);
        assert!(!out.is_empty(), "another end tells the one before");
        out.clear();
        held.end();
        held.tell(&mut out);
        assert_eq!(&out[..], end("SELECT 2").raw());
    }

    #[test]
    fn what_fails_is_not_told() {
        let (mut held, mut out) = (Held::default(), BytesMut::new());
        held.begin();
        held.put_end(&end("SELECT 1"), &mut out);
        held.forget();
        held.tell(&mut out);
        assert!(out.is_empty());
    }
}
