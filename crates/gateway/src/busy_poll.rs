//! Looking for what comes next instead of sleeping until it does.
//!
//! A thread that sleeps until an answer arrives is woken some ten microseconds later, which is as
//! long as a lookup by key takes. With many clients that doesn't matter: something is always there.
//! With one it is half of what each of its statements takes. So while one client alone is served,
//! the thread looks again and again, for a bounded time.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;

/// How long after several clients were served at the same time it counts as quiet again.
const CALM: Duration = Duration::from_millis(1);

/// When it is worth looking, noted by sessions; and the task that looks.
#[derive(Debug)]
pub(crate) struct BusyPoll {
    /// How long something is looked for.
    window: Duration,
    start: Instant,
    /// When a session last expected something soon, in nanoseconds after `start`, and which; 0:
    /// none yet.
    noted: AtomicU64,
    by: AtomicI32,
    /// Until when there are too many sessions for it to be of use.
    crowded_until: AtomicU64,
    asleep: AtomicBool,
    wake: Notify,
}

impl BusyPoll {
    pub(crate) fn new(window: Duration) -> Self {
        Self {
            window,
            start: Instant::now(),
            noted: AtomicU64::new(0),
            by: AtomicI32::new(0),
            crowded_until: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    fn now(&self) -> u64 {
        nanos(self.start.elapsed())
    }

    /// A session expects an answer, or its client's next message, soon.
    pub(crate) fn note(&self, session: i32) {
        if self.window.is_zero() {
            return;
        }
        let now = self.now();
        let before = self.noted.swap(now, Ordering::Relaxed);
        let other = self.by.swap(session, Ordering::Relaxed);
        if other != 0 && other != session && now - before.min(now) < nanos(CALM) {
            self.crowded_until.store(now + nanos(CALM), Ordering::Relaxed);
        } else if now >= self.crowded_until.load(Ordering::Relaxed)
            && self.asleep.swap(false, Ordering::Relaxed)
        {
            self.wake.notify_one();
        }
    }

    /// Keeps the thread from sleeping while it is worth it. Where several threads serve clients,
    /// one that looks would keep nobody else awake: there it does nothing.
    pub(crate) async fn run(&self) {
        if self.window.is_zero()
            || Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread
        {
            return;
        }
        loop {
            while self.is_worth_it() {
                tokio::task::yield_now().await;
            }
            self.asleep.store(true, Ordering::Relaxed);
            self.wake.notified().await;
        }
    }

    fn is_worth_it(&self) -> bool {
        let now = self.now();
        let noted = self.noted.load(Ordering::Relaxed);
        now - noted.min(now) < nanos(self.window)
            && now >= self.crowded_until.load(Ordering::Relaxed)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_is_looked_out_for_and_several_are_not() {
        let poll = BusyPoll::new(Duration::from_secs(3600));
        assert!(poll.is_worth_it());
        poll.note(1);
        poll.note(1);
        assert!(poll.is_worth_it());
        poll.note(2);
        assert!(!poll.is_worth_it());
        poll.crowded_until.store(0, Ordering::Relaxed);
        assert!(poll.is_worth_it());
        assert!(!BusyPoll::new(Duration::ZERO).is_worth_it());
    }
}
