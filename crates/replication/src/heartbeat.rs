//! How old the news may be: messages of our own, sent through the log.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Visibility;

/// The prefix of our messages in the log.
pub(crate) const PREFIX: &str = "flywheel";

/// What is known of a stream's age.
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Messages under way.
    sent: HashMap<String, Beat>,
    /// All that was committed before then is known. `None`: nothing is.
    known: Option<Instant>,
}

#[derive(Debug)]
struct Beat {
    sent: Instant,
    /// It has come back through the log.
    came: bool,
    /// What was visible when it was sent, once the server has said so, and that all is well with
    /// the tables.
    visible: Option<Visibility>,
}

/// A message that has come back, and all was well when it was sent.
#[derive(Debug)]
pub(crate) struct Proof {
    sent: Instant,
    pub(crate) visible: Visibility,
}

impl Heartbeat {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message to be sent now, as hexadecimal digits.
    pub(crate) fn next(&self) -> String {
        let name = format!("{:032x}", rand::random::<u128>());
        let beat = Beat { sent: Instant::now(), came: false, visible: None };
        self.state().sent.insert(name.clone(), beat);
        name
    }

    /// A message has come; it may be another gateway's.
    pub(crate) fn came(&self, name: &[u8]) -> Option<Proof> {
        let name = std::str::from_utf8(name).ok()?;
        self.heard(name, |beat| beat.came = true)
    }

    /// The server has answered whoever sent the message.
    pub(crate) fn answered(&self, name: &str, visible: Visibility) -> Option<Proof> {
        self.heard(name, |beat| beat.visible = Some(visible))
    }

    fn heard(&self, name: &str, what: impl FnOnce(&mut Beat)) -> Option<Proof> {
        let mut state = self.state();
        let beat = state.sent.get_mut(name)?;
        what(beat);
        let proof = Proof { sent: beat.sent, visible: beat.visible.take_if(|_| beat.came)? };
        // They come in the order of their commits; those before it have come or never will.
        state.sent.retain(|_, beat| beat.sent > proof.sent);
        Some(proof)
    }

    /// The listener has been told of all that the proof is about.
    pub(crate) fn prove(&self, proof: &Proof) {
        let mut state = self.state();
        state.known = state.known.max(Some(proof.sent));
    }

    /// The stream has ended.
    pub(crate) fn stop(&self) {
        *self.state() = State::default();
    }

    pub(crate) fn lag(&self) -> Option<Duration> {
        self.state().known.map(|known| known.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_proves_something_when_it_came_back_and_all_was_well() {
        let heartbeat = Heartbeat::default();
        let visible = || Visibility::read("10:10:").expect("a snapshot");
        let (first, second, third) = (heartbeat.next(), heartbeat.next(), heartbeat.next());
        assert!(heartbeat.came(first.as_bytes()).is_none());
        assert!(heartbeat.answered(&second, visible()).is_none());
        assert!(heartbeat.came(b"another gateway's").is_none());
        assert!(heartbeat.lag().is_none());
        let proof = heartbeat.came(second.as_bytes()).expect("a proof");
        heartbeat.prove(&proof);
        assert!(heartbeat.lag().is_some());
        assert!(heartbeat.answered(&first, visible()).is_none());
        assert!(heartbeat.came(third.as_bytes()).is_none());
        assert!(heartbeat.answered(&third, visible()).is_some());
        heartbeat.stop();
        assert!(heartbeat.lag().is_none());
    }
}
