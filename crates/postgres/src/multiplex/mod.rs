//! Server connections that many clients share at the same time.
//!
//! In transaction pooling a server connection is idle for a round trip between two clients. Here
//! the next client's batch is written before the previous answer is back; the answers, which arrive
//! in order, are cut at ReadyForQuery and handed to their owners.
//!
//! - [`Request`]: one batch of messages that ends in Query or Sync, is a transaction of its own,
//!   only reads, and can be repeated.
//! - [`Answer`]: where the batch's answer arrives.
//! - `channel`: one shared connection: what is written to it, what is awaited from it.
//! - `group`: several batches in one transaction.
//! - `statements`: those that are prepared on a channel.
//! - `driver`: the task that moves a channel's bytes.
//! - `inspect`: what a message of the server means for the batch that it is at.
//! - [`Multiplexer`]: chooses the channel, opens and closes channels.
//!
//! What keeps one client's statement from another's trouble:
//!
//! - Batches are written only behind batches that are known to be quick ([`Request::is_quick`]).
//!   Any other has its channel to itself.
//! - A batch that turns out to be slow, or whose client doesn't read its answer, loses those behind
//!   it: they are read-only, and are sent again elsewhere.
//! - A batch that stands for something else that the client has sent ([`Form`]) and fails is given
//!   back, to be sent as the client sent it.
//! - A connection that has lived for as long as it may is closed to new batches, and goes when it
//!   has answered those that it has.
//! - Where others wait for a connection, those that are idle go back (`shortage`).
//! - A cancel that arrives late and hits a neighbour, or a connection that breaks, makes the
//!   neighbours' batches be sent again.
//!
//! Reads share server connections. A single query that changes nothing and calls only functions
//! known to act on nothing is written to one of a few connections before the answers to those in
//! front of it are back; the answers, which come in order, are cut at ReadyForQuery. It may always
//! be sent again, which is what makes sharing safe: behind a batch that turns out slow, or whose
//! client doesn't read, the others are taken away and sent elsewhere; a cancel that comes late, or
//! a broken connection, costs the neighbours a repetition. Only texts that have been quick and
//! small are followed by others (`analysis::Observed`). Everything else borrows a connection.
//!
//! Shared connections leave the pool for long, so `multiplex` sees to their end itself: at its time
//! a channel is closed to new batches, another is opened, and the old one goes when it has
//! answered. One that is unused for `check_after` goes back to the pool, which checks and reaps it
//! as any other.

mod answer;
mod channel;
mod driver;
mod group;
mod inspect;
mod request;
mod shortage;
mod statements;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

pub use answer::{Answer, Part};
use channel::Channel;
pub use request::{Form, Named, Request};

use crate::Pool;

/// How many batches may be under way on one connection.
const DEPTH: usize = 32;
/// How many writes may be under way on one connection.
const MAX_WAVES: usize = 2;
/// A wait on one connection for which no other is woken.
const SHORT: Duration = Duration::from_micros(1000);
/// How often a batch is sent again because of what its neighbours did.
const MAX_ATTEMPTS: u8 = 4;

/// The shared connections of one pool.
#[derive(Debug, Clone)]
pub struct Multiplexer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pool: Pool,
    /// How many connections are kept open, and how many there may be while some of them are taken
    /// by slow batches.
    wanted: usize,
    most: usize,
    state: Mutex<State>,
    /// How many wait, to be looked at without the lock.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    channels: Vec<Arc<Channel>>,
    /// Connections that are being opened.
    opening: usize,
    /// Batches for which there is no place now, first come, first served.
    waiting: VecDeque<Waiting>,
    /// Somebody looks after those that wait too long.
    watched: bool,
}

#[derive(Debug)]
struct Waiting {
    request: Request,
    answer: Arc<Answer>,
    since: Instant,
}

impl Multiplexer {
    /// Shares connections of this pool, as many as its options say as a rule. `None` when it has no
    /// connection to spare: transactions need some.
    #[must_use]
    pub fn new(pool: Pool) -> Option<Self> {
        let most = (pool.options().size as usize).saturating_sub(1);
        let wanted = pool.options().shared.min(most);
        if wanted == 0 {
            return None;
        }
        let shared = Arc::new(Shared {
            pool,
            wanted,
            most,
            state: Mutex::default(),
            waiting: AtomicUsize::new(0),
        });
        tokio::spawn(shortage::watch(Arc::downgrade(&shared)));
        Some(Self { shared })
    }

    /// How many connections are open for it.
    pub(crate) fn connections(&self) -> usize {
        self.shared.lock().channels.len()
    }

    /// How many batches wait for one.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// Sends a batch. `None` when no connection can take it soon: one of the pool is to be borrowed
    /// instead.
    #[must_use]
    pub fn submit(&self, request: Request) -> Option<Arc<Answer>> {
        let mut state = self.shared.lock();
        let answer = Arc::new(Answer::default());
        if !request.is_quick && state.channels.len() + state.opening >= self.shared.wanted {
            // Nothing is known of it: it must not wait behind others nor others behind it.
            let channel = state.channels.iter().find(|channel| channel.is_idle())?;
            return channel.push(request, answer.clone()).is_none().then_some(answer);
        }
        // Where others' settings keep every connection busy, changing one to and fro would cost
        // more than it gives.
        let is_foreign = |channel: &Arc<Channel>| !channel.serves(&request.settings);
        if state.channels.len() >= self.shared.wanted && state.channels.iter().all(is_foreign) {
            return None;
        }
        self.shared.place(&mut state, request, answer.clone());
        Some(answer)
    }
}

impl State {
    /// Gives a batch to a connection that can take it; gives it back when none can.
    ///
    /// It is the first of them whose wait is short, or else the one with the shortest: one server
    /// process that is kept busy answers more than several that fall asleep between any two
    /// statements.
    fn give(&self, mut request: Request, answer: &Arc<Answer>) -> Option<Request> {
        for _ in 0..self.channels.len() {
            let waits =
                self.channels.iter().filter_map(|channel| Some((channel.wait(&request)?, channel)));
            let Some((_, channel)) = waits.min_by_key(|(wait, _)| (*wait).max(SHORT)) else {
                break;
            };
            request = channel.push(request, answer.clone())?;
        }
        Some(request)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a batch to a connection, or lets it wait for one.
    fn place(self: &Arc<Self>, state: &mut State, request: Request, answer: Arc<Answer>) {
        // Those that wait already come first.
        let refused =
            if state.waiting.is_empty() { state.give(request, &answer) } else { Some(request) };
        let Some(request) = refused else { return };
        self.wait(state, request, answer);
        self.open_if_needed(state);
    }

    fn wait(self: &Arc<Self>, state: &mut State, request: Request, answer: Arc<Answer>) {
        self.watch_deadlines(state);
        state.waiting.push_back(Waiting { request, answer, since: Instant::now() });
        self.waiting.store(state.waiting.len(), Ordering::Relaxed);
    }

    /// Ends waits that are too long, for as long as there are any.
    fn watch_deadlines(self: &Arc<Self>, state: &mut State) {
        if std::mem::replace(&mut state.watched, true) {
            return;
        }
        let shared = Arc::downgrade(self);
        let patience = self.pool.options().acquire_timeout;
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(patience / 4).await;
                let Some(shared) = shared.upgrade() else { return };
                let mut state = shared.lock();
                while state.waiting.front().is_some_and(|first| first.since.elapsed() >= patience) {
                    if let Some(late) = state.waiting.pop_front() {
                        late.answer.fail(Arc::new(shared.pool.timeout()));
                    }
                }
                shared.waiting.store(state.waiting.len(), Ordering::Relaxed);
                if state.waiting.is_empty() {
                    state.watched = false;
                    return;
                }
            }
        });
    }

    /// Opens a connection for those that wait, unless enough usable ones are there, which will come
    /// to them.
    fn open_if_needed(self: &Arc<Self>, state: &mut State) {
        if !state.waiting.is_empty() && self.may_open(state) {
            self.open(state);
        }
    }

    fn may_open(&self, state: &State) -> bool {
        let usable = state.channels.iter().filter(|channel| !channel.is_held()).count();
        usable + state.opening < self.wanted && state.channels.len() + state.opening < self.most
    }

    fn open(self: &Arc<Self>, state: &mut State) {
        state.opening += 1;
        let shared = self.clone();
        tokio::spawn(async move {
            let opened = shared.pool.acquire().await;
            let mut state = shared.lock();
            state.opening -= 1;
            match opened {
                Ok(lease) => {
                    let end = lease.ends;
                    let channel = Channel::start(lease, Arc::downgrade(&shared));
                    if let (Some(end), Some(lifetimes)) = (end, &shared.pool.options().lifetimes) {
                        let watch = watch(
                            Arc::downgrade(&channel),
                            Arc::downgrade(&shared),
                            end,
                            lifetimes.check_after.min(lifetimes.idle_timeout),
                        );
                        tokio::spawn(watch);
                    }
                    state.channels.push(channel);
                    shared.serve_waiting(&mut state);
                }
                Err(error) if state.channels.is_empty() => {
                    let error = Arc::new(error);
                    for waiting in state.waiting.drain(..) {
                        waiting.answer.fail(error.clone());
                    }
                }
                // The others will serve those that wait.
                Err(error) => tracing::warn!(%error, "can't open another shared server connection"),
            }
        });
    }

    /// Gives out what waits.
    fn serve_waiting(self: &Arc<Self>, state: &mut State) {
        while let Some(Waiting { request, answer, since }) = state.waiting.pop_front() {
            if answer.is_abandoned() {
                continue;
            }
            if let Some(request) = state.give(request, &answer) {
                state.waiting.push_front(Waiting { request, answer, since });
                break;
            }
        }
        self.waiting.store(state.waiting.len(), Ordering::Relaxed);
        self.open_if_needed(state);
    }

    /// A connection has room again, or has lost its batches: `again` are to be sent anew.
    fn room(self: &Arc<Self>, again: Vec<(Request, Arc<Answer>)>) {
        let mut state = self.lock();
        if !again.is_empty() {
            self.watch_deadlines(&mut state);
        }
        // They were first once.
        for (request, answer) in again.into_iter().rev() {
            answer.off();
            state.waiting.push_front(Waiting { request, answer, since: Instant::now() });
        }
        if !state.waiting.is_empty() {
            self.serve_waiting(&mut state);
        }
    }

    /// Whether a connection that has nothing to do should go back to the pool: there are more than
    /// wanted.
    fn retire(self: &Arc<Self>, channel: &Arc<Channel>) -> bool {
        let mut state = self.lock();
        if !state.waiting.is_empty() {
            // Who began to wait just before it had nothing to do wasn't seen.
            self.serve_waiting(&mut state);
            return false;
        }
        let is_spare = state.channels.len() > self.wanted || self.pool.shortage().is_on();
        if !is_spare || !channel.close_if_idle() {
            return false;
        }
        state.channels.retain(|each| !Arc::ptr_eq(each, channel));
        true
    }

    fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// A connection has lived for as long as it may: it takes no more batches, and another takes
    /// its place, now or when it has gone.
    fn replace(self: &Arc<Self>, channel: &Arc<Channel>) {
        let mut state = self.lock();
        if state.channels.iter().any(|each| Arc::ptr_eq(each, channel)) {
            channel.close();
            if self.may_open(&state) {
                self.open(&mut state);
            }
        }
    }

    /// A connection that nobody has used for so long goes back to the pool, which sees to those
    /// that are idle.
    fn give_back_unused(&self, channel: &Arc<Channel>, idle: Duration) {
        let mut state = self.lock();
        if state.waiting.is_empty() && channel.close_if_unused(idle) {
            state.channels.retain(|each| !Arc::ptr_eq(each, channel));
        }
    }

    /// A connection has ended.
    fn closed(self: &Arc<Self>, channel: &Arc<Channel>, again: Vec<(Request, Arc<Answer>)>) {
        self.lock().channels.retain(|each| !Arc::ptr_eq(each, channel));
        self.room(again);
    }
}

/// Sees to it that a connection goes when it comes to its end, or isn't used for `idle`.
async fn watch(channel: Weak<Channel>, shared: Weak<Shared>, end: Instant, idle: Duration) {
    loop {
        let look = end.min(Instant::now() + (idle / 2).max(Duration::from_millis(10)));
        tokio::time::sleep_until(look.into()).await;
        let (Some(channel), Some(shared)) = (channel.upgrade(), shared.upgrade()) else {
            return;
        };
        if look == end {
            return shared.replace(&channel);
        }
        shared.give_back_unused(&channel, idle);
    }
}
