//! Attempts to log in, which are spaced while they fail: a server that is down, or refuses, isn't
//! asked by each client that waits for it.
//!
//! As long as logins succeed, any number go on at the same time. After one has failed there is one
//! attempt at a time, each after a longer pause, and all who want a connection share its outcome.
//!
//! Logins are spaced where they fail: one attempt at a time for a pool, all who wait share its
//! outcome; whoever comes later waits for the next attempt, so a server that is back is used by the
//! first who asks. A pool that follows the primary's seat attempts again as soon as somebody sits
//! there. A replica's attempt is never waited for: another server is asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flywheel_wire::PgError;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::{Connection, ServerError};

/// The pause after the first failure; each further one is twice as long.
const SHORTEST: Duration = Duration::from_millis(50);

/// The logins of one pool.
#[derive(Debug)]
pub(crate) struct Logins {
    longest: Duration,
    state: Mutex<State>,
    /// The outcome of the last attempt of which others need to know: why it failed, or `None`.
    outcomes: watch::Sender<Option<PgError>>,
    /// How many attempts have succeeded, and how many have failed.
    counts: (AtomicU64, AtomicU64),
}

#[derive(Debug)]
struct State {
    /// How often in a row it failed.
    failures: u32,
    /// When the last of these was over.
    failed: Instant,
    /// When it may be tried again.
    next: Instant,
    /// Somebody waits for that, or tries.
    is_tried: bool,
}

/// When an attempt may be made.
enum Turn {
    Now,
    /// Then, as the only one.
    Then(Instant),
    /// Another is under way.
    Others,
}

impl Logins {
    pub(super) fn new(longest: Duration) -> Self {
        let now = Instant::now();
        Self {
            longest,
            state: Mutex::new(State { failures: 0, failed: now, next: now, is_tried: false }),
            outcomes: watch::Sender::new(None),
            counts: Default::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many attempts have succeeded, and how many have failed.
    pub(super) fn counts(&self) -> (u64, u64) {
        let (succeeded, failed) = &self.counts;
        (succeeded.load(Ordering::Relaxed), failed.load(Ordering::Relaxed))
    }

    /// Hears of each failed attempt.
    pub(super) fn outcomes(&self) -> watch::Receiver<Option<PgError>> {
        self.outcomes.subscribe()
    }

    /// Why nothing can be had of the server now, when that is so.
    pub(super) fn problem(&self) -> Option<PgError> {
        if self.lock().failures == 0 {
            return None;
        }
        self.outcomes.borrow().clone()
    }

    /// Why nothing can be had of the server before `deadline`.
    pub(super) fn problem_until(&self, deadline: Instant) -> Option<PgError> {
        if self.lock().next <= deadline {
            return None;
        }
        self.problem()
    }

    fn turn(&self) -> Turn {
        let mut state = self.lock();
        if state.failures == 0 {
            return Turn::Now;
        }
        if std::mem::replace(&mut state.is_tried, true) {
            return Turn::Others;
        }
        Turn::Then(state.next)
    }

    /// Makes an attempt when it is time for one, or has the outcome of another's that is under way.
    /// `news` ends a pause early. Not to be dropped before it is done, since others wait for it:
    /// bb8 makes connections in tasks of their own.
    pub(super) async fn attempt(
        &self,
        attempt: impl Future<Output = Result<Connection, ServerError>>,
        news: impl Future<Output = ()>,
    ) -> Result<Connection, ServerError> {
        loop {
            let mut outcomes = self.outcomes.subscribe();
            match self.turn() {
                Turn::Now => return self.noted(attempt, false).await,
                Turn::Then(next) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(next) => {}
                        () = news => {}
                    }
                    return self.noted(attempt, true).await;
                }
                Turn::Others => {
                    // The sender is ours.
                    let _ = outcomes.changed().await;
                    if let Some(error) = &*outcomes.borrow_and_update() {
                        return Err(error.clone().into());
                    }
                }
            }
        }
    }

    /// Makes an attempt unless it is too early for one.
    pub(super) async fn attempt_now(
        &self,
        attempt: impl Future<Output = Result<Connection, ServerError>>,
    ) -> Result<Connection, ServerError> {
        match self.problem_until(Instant::now()) {
            Some(error) => Err(error.into()),
            None => self.noted(attempt, false).await,
        }
    }

    /// Makes an attempt; `is_only`: others wait for its outcome.
    async fn noted(
        &self,
        attempt: impl Future<Output = Result<Connection, ServerError>>,
        is_only: bool,
    ) -> Result<Connection, ServerError> {
        let began = Instant::now();
        let outcome = attempt.await;
        let (succeeded, failed) = &self.counts;
        let count = if outcome.is_ok() { succeeded } else { failed };
        count.fetch_add(1, Ordering::Relaxed);
        let mut state = self.lock();
        state.is_tried &= !is_only;
        let failures = state.failures;
        match &outcome {
            Ok(_) => {
                state.failures = 0;
                drop(state);
                if failures > 0 {
                    tracing::info!(failures, "logins to the server succeed again");
                    self.outcomes.send_replace(None);
                }
            }
            Err(error) => {
                // Those that were under way together fail together.
                if failures == 0 || began >= state.failed {
                    let now = Instant::now();
                    state.next = now + pause(failures, self.longest);
                    state.failures = failures.saturating_add(1);
                    state.failed = now;
                }
                drop(state);
                if failures == 0 {
                    tracing::warn!(%error, "login to a server failed");
                }
                self.outcomes.send_replace(Some(error.to_pg()));
            }
        }
        outcome
    }
}

/// By chance between half and all of a time that doubles with each failure.
fn pause(failures: u32, longest: Duration) -> Duration {
    let ceiling = SHORTEST.saturating_mul(1 << failures.min(16)).min(longest);
    ceiling.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let longest = Duration::from_secs(5);
        for (failures, ceiling) in
            [(0, 50), (1, 100), (4, 800), (7, 5000), (40, 5000), (u32::MAX, 5000)]
        {
            let ceiling = Duration::from_millis(ceiling);
            for _ in 0..20 {
                let pause = pause(failures, longest);
                assert!((ceiling / 2..=ceiling).contains(&pause), "{failures}: {pause:?}");
            }
        }
    }

    fn refused() -> ServerError {
        PgError::fatal(flywheel_wire::sqlstate::CANNOT_CONNECT_NOW, "starting up").into()
    }

    #[tokio::test]
    async fn a_hundred_who_wait_share_one_attempt() {
        let logins = Logins::new(Duration::from_millis(10));
        let attempts = std::sync::atomic::AtomicUsize::new(0);
        let one = || async {
            let attempt = async {
                attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(1)).await;
                Err(refused())
            };
            logins.attempt(attempt, std::future::pending()).await.expect_err("a refusal")
        };
        one().await;
        for round in 2..10 {
            let errors = futures_util::future::join_all((0..100).map(|_| one())).await;
            assert!(errors.iter().all(|error| error.to_pg().message() == "starting up"));
            assert_eq!(attempts.load(std::sync::atomic::Ordering::Relaxed), round);
        }
    }

    #[tokio::test]
    async fn a_pause_ends_with_news() {
        let logins = Logins::new(Duration::from_secs(3600));
        for _ in 0..20 {
            let failed = logins.attempt(async { Err(refused()) }, std::future::ready(())).await;
            failed.expect_err("a refusal");
        }
        assert!(logins.problem_until(Instant::now() + Duration::from_secs(60)).is_some());
        assert!(logins.problem_until(Instant::now() + Duration::from_secs(3600)).is_none());
    }
}
