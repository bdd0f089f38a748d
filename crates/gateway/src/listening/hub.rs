//! The task that listens: one connection, past the pool, under the url's login.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use flywheel_postgres::{Connection, Pool, ServerError};
use flywheel_types::quote_identifier;
use flywheel_wire::{Frame, PgError, backend, reply, sqlstate};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::inbox::{Inbox, Told};
use super::state::{Channel, Moment, State};

/// How long the connection stays when nobody listens any more.
const KEPT: Duration = Duration::from_secs(10);
/// How often it is asked whether it is still there.
const PULSE: Duration = Duration::from_secs(2);
/// How long its answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long after a failed attempt the next one begins.
const PAUSE: Duration = Duration::from_millis(200);

/// What sessions ask for.
#[derive(Debug)]
pub(super) enum Command {
    Listen {
        channels: Vec<Channel>,
        inbox: Arc<Inbox>,
        done: oneshot::Sender<Result<Moment, PgError>>,
    },
    Unlisten {
        channels: Vec<Channel>,
        inbox: Arc<Inbox>,
    },
    CatchUp {
        done: oneshot::Sender<()>,
    },
}

/// Who listens, and what is heard.
#[derive(Debug)]
pub(super) struct Hub {
    pool: Pool,
    state: Arc<State>,
    commands: mpsc::UnboundedReceiver<Command>,
    /// Those who listen, by channel.
    listeners: HashMap<Channel, Vec<Arc<Inbox>>>,
    /// The channels that the connection listens to.
    heard: HashSet<Channel>,
    /// How much has been heard.
    moment: Moment,
    /// What waits to be carried out.
    asked: Vec<Command>,
    /// Those who listen have lost their connection, and haven't been told.
    is_lost: bool,
}

/// What happens next.
enum Next {
    Asked(Command),
    Said(Result<Frame, ServerError>),
    Pulse,
    /// Nobody has listened for some time.
    Unused,
    /// The gateway has gone.
    Over,
}

impl Hub {
    pub(super) fn new(
        pool: Pool,
        state: Arc<State>,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> Self {
        Self {
            pool,
            state,
            commands,
            listeners: HashMap::new(),
            heard: HashSet::new(),
            moment: 0,
            asked: Vec::new(),
            is_lost: false,
        }
    }

    /// Serves sessions until the gateway has gone.
    pub(super) async fn run(mut self) {
        loop {
            if !self.needs_connection() {
                match self.commands.recv().await {
                    Some(command) => self.take(command),
                    None => return,
                }
                continue;
            }
            let pool = self.pool.clone();
            let connecting = timeout(PATIENCE, pool.connect_apart(&[]));
            let goes_on = match self.meanwhile(connecting).await {
                None => false,
                Some(Ok(Ok(connection))) => self.serve(connection).await,
                Some(Ok(Err(error))) => self.refuse(&error.to_pg()).await,
                Some(Err(_)) => {
                    let message = format!("the server hasn't answered within {PATIENCE:?}");
                    self.refuse(&PgError::error(sqlstate::CONNECTION_FAILURE, message)).await
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Waits for something, and takes in meanwhile what sessions ask for. `None`: the gateway has
    /// gone.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                asked = self.commands.recv() => self.take(asked?),
            }
        }
    }

    /// Nobody who doesn't listen yet waits for a connection that can't be made now. False: the
    /// gateway has gone.
    async fn refuse(&mut self, error: &PgError) -> bool {
        tracing::debug!(error = error.message(), "can't listen for notifications");
        self.refuse_asked(error);
        !self.needs_connection() || self.meanwhile(sleep(PAUSE)).await.is_some()
    }

    fn refuse_asked(&mut self, error: &PgError) {
        for command in std::mem::take(&mut self.asked) {
            match command {
                Command::Listen { done, .. } => {
                    done.send(Err(error.clone())).ok();
                }
                other => self.carry_out(other),
            }
        }
    }

    /// Whether somebody listens, or is about to.
    fn needs_connection(&self) -> bool {
        !self.listeners.is_empty()
            || self.asked.iter().any(|command| matches!(command, Command::Listen { .. }))
    }

    /// Takes in what a session asks for. Without a connection there is nothing to catch up with.
    fn take(&mut self, command: Command) {
        match command {
            Command::CatchUp { done } => {
                done.send(()).ok();
            }
            Command::Unlisten { .. } => self.carry_out(command),
            Command::Listen { .. } => self.asked.push(command),
        }
    }

    /// Listens over a connection until that is lost or nobody needs it. False: the gateway has
    /// gone.
    async fn serve(&mut self, mut connection: Connection) -> bool {
        self.heard.clear();
        // All channels first: those who have lost their connection are told once all is heard
        // again.
        let mut goes_on = self.exchange(&mut connection).await;
        if goes_on && std::mem::take(&mut self.is_lost) {
            self.state.renewals.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                "the connection that listens for notifications was made anew: some may have been missed"
            );
            self.tell_all();
        }
        while goes_on {
            match self.next(&mut connection).await {
                Next::Asked(command) => {
                    self.asked.push(command);
                    while let Ok(command) = self.commands.try_recv() {
                        self.asked.push(command);
                    }
                    goes_on = self.exchange(&mut connection).await;
                }
                Next::Said(Ok(frame)) if frame.tag() == reply::tag::ERROR_RESPONSE => {
                    goes_on = false;
                }
                Next::Said(Ok(frame)) => self.hear(&frame),
                Next::Said(Err(_)) => goes_on = false,
                Next::Pulse => {
                    goes_on = !connection.is_outdated() && self.exchange(&mut connection).await;
                }
                Next::Unused => return true,
                Next::Over => return false,
            }
        }
        self.is_lost |= !self.listeners.is_empty();
        true
    }

    async fn next(&mut self, connection: &mut Connection) -> Next {
        let is_used = !self.listeners.is_empty();
        tokio::select! {
            biased;
            said = connection.next_message() => Next::Said(said),
            asked = self.commands.recv() => asked.map_or(Next::Over, Next::Asked),
            () = sleep(PULSE), if is_used => Next::Pulse,
            () = sleep(KEPT), if !is_used => Next::Unused,
        }
    }

    /// One round trip, behind which all has been heard that was committed before, and which makes
    /// the connection listen to what is wanted. False: the connection is lost; what was asked
    /// stays.
    async fn exchange(&mut self, connection: &mut Connection) -> bool {
        let wanted: HashSet<Channel> = self
            .listeners
            .keys()
            .chain(self.asked.iter().flat_map(|command| match command {
                Command::Listen { channels, .. } => &channels[..],
                _ => &[],
            }))
            .cloned()
            .collect();
        let to = |word, channel: &Channel| format!("{word} {}", quote_identifier(channel));
        let listen = wanted.difference(&self.heard).map(|channel| to("LISTEN", channel));
        let unlisten = self.heard.difference(&wanted).map(|channel| to("UNLISTEN", channel));
        let sql = listen.chain(unlisten).collect::<Vec<_>>().join("; ");
        let asked = self.ask(connection, &sql);
        let answered = timeout(PATIENCE, asked).await;
        match answered {
            Ok(Ok(None)) => self.heard = wanted,
            Ok(Ok(Some(error))) => {
                self.refuse_asked(&error);
                // Those who listen already must go on doing so.
                return self.listeners.keys().all(|channel| self.heard.contains(channel));
            }
            Ok(Err(_)) | Err(_) => return false,
        }
        for command in std::mem::take(&mut self.asked) {
            self.carry_out(command);
        }
        true
    }

    /// Runs a text. What comes meanwhile is for those who listen already. An error that the server
    /// has told is the answer.
    async fn ask(
        &mut self,
        connection: &mut Connection,
        sql: &str,
    ) -> Result<Option<PgError>, ServerError> {
        connection.put_query(sql)?;
        connection.send().await?;
        let mut error = None;
        loop {
            let frame = connection.next_message().await?;
            match frame.tag() {
                reply::tag::READY_FOR_QUERY => return Ok(error),
                reply::tag::ERROR_RESPONSE => {
                    let told = PgError::read(frame.body());
                    if told.is_fatal() {
                        return Err(connection.end(told));
                    }
                    error = Some(told);
                }
                _ => self.hear(&frame),
            }
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Listen { channels, inbox, done } => {
                for channel in channels {
                    let listeners = self.listeners.entry(channel).or_default();
                    if !listeners.iter().any(|each| Arc::ptr_eq(each, &inbox)) {
                        listeners.push(inbox.clone());
                    }
                }
                // Who has gone meanwhile says so next.
                done.send(Ok(self.moment)).ok();
            }
            Command::Unlisten { channels, inbox } => {
                for channel in channels {
                    if let Some(listeners) = self.listeners.get_mut(&channel) {
                        listeners.retain(|each| !Arc::ptr_eq(each, &inbox));
                        if listeners.is_empty() {
                            self.listeners.remove(&channel);
                        }
                    }
                }
            }
            Command::CatchUp { done } => {
                done.send(()).ok();
            }
        }
        self.state.listening.store(self.inboxes().len(), Ordering::Relaxed);
    }

    /// Those who listen, each once.
    fn inboxes(&self) -> HashMap<*const Inbox, Arc<Inbox>> {
        let all = self.listeners.values().flatten();
        all.map(|inbox| (Arc::as_ptr(inbox), inbox.clone())).collect()
    }

    fn tell_all(&self) {
        for inbox in self.inboxes().values() {
            inbox.put(Told::Renewed);
        }
    }

    /// Takes in what the server says without being asked.
    fn hear(&mut self, frame: &Frame) {
        if frame.tag() != reply::tag::NOTIFICATION_RESPONSE {
            return;
        }
        let Some(notification) = reply::notification(frame.body()) else { return };
        self.moment += 1;
        let Some((channel, listeners)) = self.listeners.get_key_value(notification.channel) else {
            return;
        };
        let mut message = BytesMut::with_capacity(frame.raw().len());
        let sender = self.state.holders.client(notification.process_id);
        backend::notification_response(&mut message, sender, &notification);
        let message = message.freeze();
        for inbox in listeners {
            inbox.put(Told::Notification {
                channel: channel.clone(),
                at: self.moment,
                message: message.clone(),
            });
        }
    }
}
