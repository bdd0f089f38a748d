//! One shared connection: what is to be written to it, and whose answers are awaited from it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use postgres_protocol::message::frontend;

use super::driver::Driver;
use super::request::Ending;
use super::statements::Statements;
use super::{Answer, DEPTH, Form, MAX_WAVES, Request, Shared};
use crate::{CancelKey, Lease, Settings};

/// What changing the settings of a connection is taken to cost.
const CHANGE: Duration = Duration::from_micros(500);

#[derive(Debug)]
pub(super) struct Channel {
    state: Mutex<State>,
    cancel_key: Option<CancelKey>,
}

#[derive(Debug)]
pub(super) struct State {
    /// Messages not yet written.
    pub(super) outgoing: BytesMut,
    /// The statement of the group at their end, which others may still join.
    group: Option<Arc<str>>,
    /// An error has ended a group: what is left of it, up to its Sync, wasn't carried out.
    pub(super) group_failed: bool,
    /// Writes of which answers are still awaited.
    pub(super) waves: usize,
    /// What has been written, in its order. The first is what the server is at.
    pub(super) awaited: VecDeque<Awaited>,
    /// The settings that the connection has.
    pub(super) settings: Arc<Settings>,
    /// Waits for the connection to take on its settings.
    pub(super) next: Option<(Request, Arc<Answer>)>,
    /// The statements that are prepared here.
    statements: Statements,
    /// Nothing is written behind what is under way.
    pub(super) held: bool,
    /// Cancel requests that are under way: their signals must not reach another user of the
    /// connection.
    pub(super) cancelling: usize,
    /// A cancel request was sent to this connection's server process: its signal may hit a
    /// neighbour.
    pub(super) cancelled: bool,
    /// Since when the server can be at the first of `awaited`.
    pub(super) since: Instant,
    /// The first of `awaited` has waited behind another.
    pub(super) is_backlog: bool,
    /// How long the server takes for a batch that has waited behind another, on average.
    pub(super) pace: Duration,
    pub(super) driver: Option<Waker>,
    pub(super) closed: bool,
}

/// Something written whose answer hasn't come.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) whose: Whose,
    /// Answers to messages that were put in before the batch: ParseComplete and CloseComplete.
    pub(super) skip: u8,
    /// What the batch stands for.
    pub(super) form: Form,
    /// Some of its answer is with the owner, so that it can't be sent again.
    pub(super) delivered: bool,
    /// A Sync follows it: it is alone, or the last of its group.
    pub(super) ends_group: bool,
    /// It is the last of what was written at once.
    pub(super) ends_wave: bool,
    /// ParseComplete has come.
    pub(super) parsed: bool,
    /// An ErrorResponse has come instead.
    pub(super) unparsed: bool,
    /// Its answer is the neighbours' fault: it is thrown away, and the batch sent again.
    pub(super) repeat: bool,
    pub(super) learns: Learns,
    /// The columns that its answer tells, when they were to be learnt.
    pub(super) columns: Option<u64>,
    pub(super) size: usize,
}

/// What a RowDescription in an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Learns {
    /// For the client alone.
    Nothing,
    /// For us, who have asked for it in front of the batch: whether the statement's columns are
    /// still those that the client knows.
    Hidden,
    /// For both.
    Told,
}

#[derive(Debug)]
pub(super) enum Whose {
    /// A client's.
    Client(Request, Arc<Answer>),
    /// A client's who cancelled it while the server works on it.
    Cancelled(Arc<Answer>),
    /// Nobody's any more.
    Nobody,
    /// Flywheel's own: the settings that `State::next` needs.
    Settings,
}

impl Channel {
    /// Shares a connection.
    pub(super) fn start(mut lease: Lease, shared: Weak<Shared>) -> Arc<Self> {
        let channel = Arc::new(Self {
            cancel_key: lease.cancel_key().cloned(),
            state: Mutex::new(State {
                outgoing: BytesMut::new(),
                group: None,
                group_failed: false,
                waves: 0,
                awaited: VecDeque::new(),
                settings: Arc::new(Settings::unknown()),
                next: None,
                statements: Statements::of(&mut lease),
                held: false,
                cancelling: 0,
                cancelled: false,
                since: Instant::now(),
                is_backlog: false,
                pace: Duration::from_micros(100),
                driver: None,
                closed: false,
            }),
        });
        tokio::spawn(Driver::new(lease, channel.clone(), shared).run());
        channel
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a batch would wait here for those before it, about; `None` when it can't be taken
    /// now.
    pub(super) fn wait(&self, request: &Request) -> Option<Duration> {
        let state = self.lock();
        if !state.is_open()
            || state.awaited.len() >= DEPTH
            || !(request.is_quick || state.awaited.is_empty())
        {
            None
        } else if state.has(&request.settings) {
            Some(state.pace * state.awaited.len() as u32)
        } else {
            // Rather one that needn't be changed, as long as it isn't busy.
            state.awaited.is_empty().then_some(CHANGE)
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.lock().is_idle()
    }

    /// Whether it takes batches with these settings, now or when it has room.
    pub(super) fn serves(&self, settings: &Arc<Settings>) -> bool {
        let state = self.lock();
        !state.closed && (state.has(settings) || state.is_idle())
    }

    /// Closes it for new batches; it goes back to the pool when it has answered those that it has.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        if let Some(driver) = state.driver.take() {
            driver.wake();
        }
    }

    /// Closes it for new batches when it has none.
    pub(super) fn close_if_idle(&self) -> bool {
        let mut state = self.lock();
        let idle = state.is_idle();
        state.closed |= idle;
        idle
    }

    /// Closes it when it has had no batch for so long.
    pub(super) fn close_if_unused(&self, idle: Duration) -> bool {
        if self.lock().since.elapsed() < idle || !self.close_if_idle() {
            return false;
        }
        self.close();
        true
    }

    /// Whether what is under way keeps others out, or it is at its end.
    pub(super) fn is_held(&self) -> bool {
        let state = self.lock();
        state.held || state.closed
    }

    /// Takes a batch; gives it back when it can't after all.
    pub(super) fn push(self: &Arc<Self>, request: Request, answer: Arc<Answer>) -> Option<Request> {
        let mut state = self.lock();
        let fits = state.is_open()
            && (state.awaited.is_empty()
                || (request.is_quick
                    && state.awaited.len() < DEPTH
                    && state.has(&request.settings)));
        if !fits {
            return Some(request);
        }
        answer.on(self);
        if state.has(&request.settings) {
            state.write(request, answer);
        } else {
            state.write_settings(&request.settings.clone());
            state.next = Some((request, answer));
        }
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        None
    }

    /// Cancels this answer's batch: by a cancel request when the server is at it, and by leaving
    /// its answer when it has yet to come to it.
    pub(super) async fn cancel(&self, answer: &Arc<Answer>) {
        let at_first = {
            let mut state = self.lock();
            let is_it = |awaited: &Awaited| match &awaited.whose {
                Whose::Client(_, each) => Arc::ptr_eq(each, answer),
                _ => false,
            };
            let Some(position) = state.awaited.iter().position(is_it) else {
                return;
            };
            if position > 0 {
                state.awaited[position].whose = Whose::Nobody;
            } else {
                state.awaited[0].whose = Whose::Cancelled(answer.clone());
                state.cancelled = true;
                state.cancelling += 1;
            }
            position == 0
        };
        if !at_first {
            answer.fail(super::answer::cancelled());
            return;
        }
        self.send_cancel().await;
    }

    /// Cancels a group that nobody waits for any more; it is noted at once that its signal may hit
    /// others.
    pub(super) fn cancel_group(self: &Arc<Self>, state: &mut State) {
        state.cancelled = true;
        state.cancelling += 1;
        let channel = self.clone();
        tokio::spawn(async move { channel.send_cancel().await });
    }

    async fn send_cancel(&self) {
        if let Some(key) = &self.cancel_key
            && let Err(error) = crate::cancel(key).await
        {
            tracing::warn!(%error, "cancel request could not be passed on");
        }
        let mut state = self.lock();
        state.cancelling -= 1;
        if let Some(driver) = state.driver.take() {
            driver.wake();
        }
    }
}

impl State {
    fn is_open(&self) -> bool {
        !self.closed && !self.held && self.next.is_none()
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.closed && self.is_done()
    }

    /// Whether nothing is under way.
    pub(super) fn is_done(&self) -> bool {
        !self.held
            && self.next.is_none()
            && self.awaited.is_empty()
            && self.outgoing.is_empty()
            && self.cancelling == 0
    }

    /// What the connection has on it, for its next user.
    pub(super) fn give_back(&mut self, lease: &mut Lease) {
        // It is set to read only.
        lease.forget_settings();
        self.statements.give_back(lease);
    }

    fn has(&self, settings: &Arc<Settings>) -> bool {
        Arc::ptr_eq(&self.settings, settings) || self.settings == *settings
    }

    /// Writes a batch, with its prepared statement when the server doesn't have it.
    pub(super) fn write(&mut self, request: Request, answer: Arc<Answer>) {
        let name = request.named.as_ref().map(|named| &named.name);
        if !(request.can_join() && self.group.as_ref() == name) {
            self.close_group();
        }
        let mut skip = 0;
        let statements = &self.statements;
        let to_prepare =
            request.named.as_ref().filter(|named| !statements.has_for(&request, named)).cloned();
        if let Some(named) = &to_prepare {
            // In the middle of a group it would be skipped when one before fails.
            self.close_group();
            skip += self.statements.prepare(named, &mut self.outgoing);
        }
        let mut learns = if request.tells_columns { Learns::Told } else { Learns::Nothing };
        let known_columns = request.known.and_then(|known| known.columns);
        if let Some(named) = request.named.as_ref().filter(|_| known_columns.is_some())
            && self.statements.columns(&named.name) != known_columns
            && frontend::describe(b'S', &named.name, &mut self.outgoing).is_ok()
        {
            learns = Learns::Hidden;
        }
        self.outgoing.extend_from_slice(&request.messages);
        self.held |= !request.is_quick;
        match request.ending {
            Ending::Query => {}
            Ending::Sync if request.can_join() => self.group = name.cloned(),
            Ending::Sync => frontend::sync(&mut self.outgoing),
        }
        self.await_answer(Whose::Client(request, answer), skip, learns);
    }

    /// Ends the group at the end of what is to be written: nobody joins it any more.
    fn close_group(&mut self) {
        if self.group.take().is_some() {
            frontend::sync(&mut self.outgoing);
            if let Some(last) = self.awaited.back_mut() {
                last.ends_group = true;
            }
        }
    }

    /// What is to be written now. Nothing while enough is under way: what comes meanwhile goes
    /// together.
    pub(super) fn take_outgoing(&mut self, writing: &mut BytesMut) {
        if !self.has_to_write() {
            return;
        }
        self.close_group();
        std::mem::swap(writing, &mut self.outgoing);
        if let Some(last) = self.awaited.back_mut() {
            last.ends_wave = true;
            self.waves += 1;
        }
    }

    /// The first batch is over. With the last of them nothing keeps others out any more.
    pub(super) fn pop_first(&mut self) -> Option<Awaited> {
        let first = self.awaited.pop_front()?;
        if first.ends_wave {
            self.waves -= 1;
        }
        if self.awaited.is_empty() {
            self.held = false;
        }
        Some(first)
    }

    /// Whether there is something to be written now.
    pub(super) fn has_to_write(&self) -> bool {
        !self.outgoing.is_empty() && self.waves < MAX_WAVES
    }

    fn write_settings(&mut self, settings: &Settings) {
        self.close_group();
        // A text with a zero byte can't be a setting of a session that sent it as a message.
        if frontend::query(&settings.replay_read_only(), &mut self.outgoing).is_ok() {
            self.await_answer(Whose::Settings, 0, Learns::Nothing);
        }
    }

    fn await_answer(&mut self, whose: Whose, skip: u8, learns: Learns) {
        let form = match &whose {
            Whose::Client(request, _) => request.form,
            _ => Form::Verbatim,
        };
        if self.awaited.is_empty() {
            self.since = Instant::now();
        }
        self.awaited.push_back(Awaited {
            whose,
            skip,
            form,
            delivered: false,
            ends_group: self.group.is_none(),
            ends_wave: false,
            unparsed: false,
            parsed: false,
            repeat: false,
            learns,
            columns: None,
            size: 0,
        });
    }

    /// Lets the first one's owner know of what has come of its answer.
    pub(super) fn wake_first(&self) {
        if let Some(Whose::Client(_, answer) | Whose::Cancelled(answer)) =
            self.awaited.front().map(|awaited| &awaited.whose)
        {
            answer.wake();
        }
    }

    /// The columns of the first batch's statement have come. False: they aren't those that its
    /// client knows.
    pub(super) fn learn(&mut self, columns: Option<u64>) -> bool {
        let Some(awaited) = self.awaited.front_mut() else { return true };
        let learnt = std::mem::replace(&mut awaited.learns, Learns::Nothing);
        awaited.columns = columns;
        let Whose::Client(request, _) = &awaited.whose else { return true };
        if let Some(named) = &request.named {
            self.statements.learn(&named.name, columns);
        }
        learnt != Learns::Hidden || request.known.is_none_or(|known| known.columns == columns)
    }

    /// The server doesn't have the statement, or not as it should be.
    pub(super) fn unprepare(&mut self, name: &str) {
        self.statements.unprepare(name);
    }

    /// Takes away the batches that the server has yet to come to, as far as that can be told: of a
    /// group it may be at any. The group's are alone from then on.
    pub(super) fn evict(&mut self) -> Vec<(Request, Arc<Answer>)> {
        let in_group =
            self.is_in_group() && self.awaited.front().is_some_and(|first| !first.delivered);
        let group = if in_group { self.left_of_group() as usize } else { 0 };
        let mut again = Vec::new();
        for (position, awaited) in self.awaited.iter_mut().enumerate().skip(usize::from(!in_group))
        {
            match std::mem::replace(&mut awaited.whose, Whose::Nobody) {
                Whose::Client(mut request, answer) => {
                    if position < group {
                        request.attempts += 1;
                        request.is_quick = false;
                    }
                    again.push((request, answer));
                }
                other => awaited.whose = other,
            }
        }
        again
    }
}
