//! How old the news may be: messages of our own, sent through the log.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The prefix of our messages in the log.
pub(crate) const PREFIX: &str = "flywheel";

/// What is known of a stream's age.
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Messages under way, and when they were sent.
    sent: HashMap<String, Instant>,
    /// All that was committed before then is known. `None`: nothing is.
    known: Option<Instant>,
}

impl Heartbeat {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message to be sent now, as hexadecimal digits.
    pub(crate) fn next(&self) -> String {
        let name = format!("{:032x}", rand::random::<u128>());
        self.state().sent.insert(name.clone(), Instant::now());
        name
    }

    /// A message has come; it may be another gateway's.
    pub(crate) fn came(&self, name: &[u8]) {
        let mut state = self.state();
        let Some(at) = std::str::from_utf8(name).ok().and_then(|name| state.sent.remove(name)) else {
            return;
        };
        state.known = state.known.max(Some(at));
        // They come in the order of their commits; those before it have come or never will.
        state.sent.retain(|_, sent| *sent > at);
    }

    /// The stream has ended.
    pub(crate) fn stop(&self) {
        *self.state() = State::default();
    }

    pub(crate) fn lag(&self) -> Option<Duration> {
        self.state().known.map(|known| known.elapsed())
    }
}
