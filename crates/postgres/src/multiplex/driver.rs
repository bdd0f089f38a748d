//! The task that moves a shared connection's bytes: what is written for it goes out, and what comes
//! in goes to its owners.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::{frame, reply};
use tokio::io::AsyncWrite;
use tokio::time::{Interval, MissedTickBehavior};

use super::answer::Follows;
use super::channel::{Channel, State, Whose};
use super::group::READY;
use super::inspect::{Inspected, ends_member, inspect, is_columns, is_farewell, is_quiet, learns};
use super::{Answer, Form, MAX_ATTEMPTS, Request, Shared};
use crate::{Lease, ServerError};

/// A batch that takes longer than this loses those behind it.
const PATIENCE: Duration = Duration::from_millis(20);
/// An answer is handed over whole, but not when it is longer than this.
const WHOLE: usize = 64 * 1024;
const READ_SIZE: usize = 64 * 1024;
const PARSE_COMPLETE: [u8; 5] = [reply::tag::PARSE_COMPLETE, 0, 0, 0, 4];

type Batches = Vec<(Request, Arc<Answer>)>;

pub(super) struct Driver {
    lease: Lease,
    channel: Arc<Channel>,
    shared: Weak<Shared>,
    incoming: BytesMut,
    writing: BytesMut,
    /// Bytes of the current row that are still to come, when its beginning has been handed over.
    row_left: usize,
    clock: Interval,
}

impl Driver {
    pub(super) fn new(mut lease: Lease, channel: Arc<Channel>, shared: Weak<Shared>) -> Self {
        let mut clock = tokio::time::interval(PATIENCE);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            incoming: std::mem::take(&mut lease.incoming),
            lease,
            channel,
            shared,
            writing: BytesMut::new(),
            row_left: 0,
            clock,
        }
    }

    /// Runs until the connection breaks, or goes back to the pool.
    pub(super) async fn run(mut self) {
        let ended = std::future::poll_fn(|cx| self.poll(cx)).await;
        let Some(shared) = self.shared.upgrade() else { return };
        match ended {
            Ok(()) => {
                self.channel.lock().give_back(&mut self.lease);
                drop(self.lease);
                shared.closed(&self.channel, Batches::new());
            }
            Err(error) => {
                self.lease.broke(&error);
                let again = self.abandon(&Arc::new(error));
                shared.closed(&self.channel, again);
            }
        }
    }

    /// Ends when the connection is to go back to the pool, clean.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ServerError>> {
        if self.lease.is_outdated() && !self.is_delivering() {
            return Poll::Ready(Err(
                self.broken(io::Error::other("another server has taken this one's place"))
            ));
        }
        loop {
            let wrote = self.poll_write(cx)?;
            let read = self.poll_read(cx)?;
            if wrote || read {
                continue;
            }
            self.watch_the_clock(cx);
            let mut state = self.channel.lock();
            if self.writing.is_empty() && state.has_to_write() {
                continue;
            }
            match &mut state.driver {
                Some(known) => known.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            let done = state.is_done() && self.writing.is_empty() && self.incoming.is_empty();
            let closed = state.closed;
            drop(state);
            if done && closed {
                return Poll::Ready(Ok(()));
            }
            if done && self.shared.upgrade().is_none_or(|shared| shared.retire(&self.channel)) {
                return Poll::Ready(Ok(()));
            }
            return Poll::Pending;
        }
    }

    /// Writes what is to be written; whether something was.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, ServerError> {
        if self.writing.is_empty() {
            self.channel.lock().take_outgoing(&mut self.writing);
        }
        let stream = Pin::new(&mut self.lease.stream);
        if self.writing.is_empty() {
            return match stream.poll_flush(cx) {
                Poll::Ready(Err(source)) => Err(self.broken(source)),
                Poll::Ready(Ok(())) | Poll::Pending => Ok(false),
            };
        }
        match stream.poll_write(cx, &self.writing) {
            Poll::Ready(Ok(0)) => Err(self.broken(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => {
                self.writing.advance(written);
                Ok(true)
            }
            Poll::Ready(Err(source)) => Err(self.broken(source)),
            Poll::Pending => Ok(false),
        }
    }

    /// Reads and hands out; whether something came.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, ServerError> {
        if self.is_blocked(cx) {
            return Ok(false);
        }
        self.incoming.reserve(READ_SIZE);
        let read = {
            let mut read =
                pin!(tokio::io::AsyncReadExt::read_buf(&mut self.lease.stream, &mut self.incoming));
            read.as_mut().poll(cx)
        };
        match read {
            Poll::Ready(Ok(0)) => Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Ok(_)) => {
                self.hand_out()?;
                Ok(true)
            }
            Poll::Ready(Err(source)) => Err(self.broken(source)),
            Poll::Pending => Ok(false),
        }
    }

    /// Whether the owner of the answer that is arriving has too much of it unread. Those behind it
    /// needn't wait for it.
    fn is_blocked(&self, cx: &Context<'_>) -> bool {
        let mut state = self.channel.lock();
        let answer = match state.awaited.front().map(|awaited| &awaited.whose) {
            Some(Whose::Client(_, answer) | Whose::Cancelled(answer)) => answer.clone(),
            _ => return false,
        };
        if !answer.is_full(cx) {
            return false;
        }
        state.held = true;
        let again = state.evict();
        drop(state);
        self.send_again(again);
        true
    }

    /// Takes those behind a slow batch elsewhere.
    fn watch_the_clock(&mut self, cx: &mut Context<'_>) {
        if self.channel.lock().awaited.len() < 2 || self.clock.poll_tick(cx).is_pending() {
            return;
        }
        // Registers for the next tick.
        let _ = self.clock.poll_tick(cx);
        let mut state = self.channel.lock();
        if state.since.elapsed() < PATIENCE {
            return;
        }
        state.held = true;
        let of_group = state.is_in_group();
        let again = state.evict();
        if of_group && !again.is_empty() {
            self.channel.cancel_group(&mut state);
        }
        drop(state);
        self.send_again(again);
    }

    fn send_again(&self, again: Batches) {
        if let (false, Some(shared)) = (again.is_empty(), self.shared.upgrade()) {
            shared.room(again);
        }
    }

    /// Cuts what has come at ReadyForQuery and gives each owner its own.
    fn hand_out(&mut self) -> Result<(), ServerError> {
        let channel = self.channel.clone();
        let mut state = channel.lock();
        let mut again = Batches::new();
        let handed_out = self.hand_out_to(&mut state, &mut again);
        let has_room = state.awaited.len() < super::DEPTH / 2 && !state.held;
        drop(state);
        if let Some(shared) = self.shared.upgrade()
            && (!again.is_empty() || has_room && shared.has_waiting())
        {
            shared.room(again);
        }
        handed_out
    }

    fn hand_out_to(&mut self, state: &mut State, again: &mut Batches) -> Result<(), ServerError> {
        loop {
            let (mut end, mut ending) = (self.row_left.min(self.incoming.len()), None);
            let in_group = state.is_in_group();
            // Noted only when what has been looked at is handed over.
            let mut row_left = self.row_left - end;
            while row_left == 0 {
                let here = &self.incoming[end..];
                let peeked = frame::peek(here, i32::MAX as usize)
                    .map_err(|error| ServerError::frame(&self.lease.server, error))?;
                let Some((tag, len)) = peeked else { break };
                if here.len() < len {
                    if tag == reply::tag::DATA_ROW && end + here.len() >= WHOLE {
                        row_left = len - here.len();
                        end += here.len();
                    }
                    break;
                }
                // The server's farewell is of the connection, not of the statement: what follows it
                // is the end of the stream.
                if in_group && ends_member(tag) && !is_farewell(tag, &here[..len]) {
                    if tag == reply::tag::ERROR_RESPONSE {
                        inspect(state, tag, &here[..len], self.lease.is_of_replica());
                        state.group_failed = true;
                    }
                    ending = Some(Ending::Member);
                    end += len;
                    break;
                }
                if !is_quiet(tag) || (is_columns(tag) && learns(state)) {
                    let message = &here[..len];
                    if tag == reply::tag::PARAMETER_STATUS
                        && let Some((name, value)) =
                            reply::parameter_status(&message[frame::HEADER_LEN..])
                    {
                        // For the next user of the connection.
                        self.lease.parameters.insert(name, value);
                    }
                    match inspect(state, tag, message, self.lease.is_of_replica()) {
                        Inspected::Forward => {}
                        Inspected::Skip => {
                            // Before it there can be notices.
                            deliver(state, &mut self.incoming, end, Follows::Message);
                            state.wake_first();
                            self.incoming.advance(len);
                            end = 0;
                            continue;
                        }
                        Inspected::Ready(status) => {
                            ending = Some(Ending::Ready(status));
                            end += len;
                            break;
                        }
                    }
                }
                end += len;
            }
            if ending.is_none() && end < WHOLE {
                break;
            }
            self.row_left = row_left;
            match ending {
                Some(Ending::Ready(status)) if status != TransactionStatus::Idle => {
                    return Err(self.broken(io::Error::other("a read has left a transaction open")));
                }
                Some(Ending::Ready(_)) if state.group_failed => {
                    self.incoming.advance(end);
                    again.extend(state.end_failed_group());
                    continue;
                }
                _ => {}
            }
            let follows = match ending {
                Some(Ending::Member) => Follows::Suffix(&READY),
                None if row_left > 0 => Follows::RestOfRow,
                _ => Follows::Message,
            };
            deliver(state, &mut self.incoming, end, follows);
            if ending.is_none() {
                state.wake_first();
                break;
            }
            again.extend(finish(state));
        }
        Ok(())
    }

    /// What becomes of the batches under way when the connection breaks: those of whose answers
    /// nothing was handed over are sent again.
    fn abandon(&self, error: &Arc<ServerError>) -> Batches {
        let mut state = self.channel.lock();
        state.closed = true;
        let mut again = Batches::new();
        for awaited in std::mem::take(&mut state.awaited) {
            match awaited.whose {
                Whose::Client(mut request, answer)
                    if !awaited.delivered && request.attempts < MAX_ATTEMPTS =>
                {
                    request.attempts += 1;
                    again.push((request, answer));
                }
                Whose::Client(_, answer) | Whose::Cancelled(answer) => answer.fail(error.clone()),
                Whose::Nobody | Whose::Settings => {}
            }
        }
        if let Some((mut request, answer)) = state.next.take() {
            if request.attempts < MAX_ATTEMPTS {
                request.attempts += 1;
                again.push((request, answer));
            } else {
                answer.fail(error.clone());
            }
        }
        again
    }

    /// Whether some of an answer is with its owner, so that its batch can't be sent again.
    fn is_delivering(&self) -> bool {
        self.channel.lock().awaited.front().is_some_and(|awaited| awaited.delivered)
    }

    fn broken(&self, source: io::Error) -> ServerError {
        ServerError::Io { server: self.lease.server.clone(), source }
    }
}

/// What ends an answer.
enum Ending {
    /// ReadyForQuery.
    Ready(TransactionStatus),
    /// The last message for one of a group that others follow in.
    Member,
}

/// Moves the first bytes of what has come to the answer that they are of.
fn deliver(state: &mut State, incoming: &mut BytesMut, length: usize, follows: Follows) {
    let Some(awaited) = state.awaited.front_mut() else {
        return incoming.advance(length);
    };
    awaited.size += length;
    match &awaited.whose {
        Whose::Client(_, answer) | Whose::Cancelled(answer) if !awaited.repeat && length > 0 => {
            let first = awaited.form == Form::Parsed && !awaited.delivered && awaited.is_parsed();
            let prefix: &[u8] = if first { &PARSE_COMPLETE } else { &[] };
            answer.deliver(prefix, incoming, length, follows);
            awaited.delivered = true;
        }
        _ => incoming.advance(length),
    }
}

/// The first batch is answered. What is to be sent again.
fn finish(state: &mut State) -> Option<(Request, Arc<Answer>)> {
    // The answers of a group come together.
    let took = state.since.elapsed() / state.left_of_group();
    let awaited = state.pop_first()?;
    if std::mem::replace(&mut state.is_backlog, !state.awaited.is_empty()) {
        state.pace = (state.pace * 15 + took) / 16;
    }
    state.since += took;
    match awaited.whose {
        Whose::Client(mut request, answer) if awaited.repeat => {
            request.attempts += 1;
            return Some((request, answer));
        }
        Whose::Client(_, answer) | Whose::Cancelled(answer) => {
            answer.finish(!awaited.unparsed, took, awaited.size, awaited.columns)
        }
        Whose::Nobody => {}
        Whose::Settings => {
            if let Some((request, answer)) = state.next.take() {
                state.settings = request.settings.clone();
                state.write(request, answer);
            }
        }
    }
    None
}
