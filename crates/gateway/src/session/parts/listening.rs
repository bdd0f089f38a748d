//! The channels that the session listens to, and what its transaction does to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::BytesMut;
use flywheel_execute::End;
use flywheel_sql::{SessionEffect, Verb};
use flywheel_statement::Analysis;
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::{Charset, Frame, PgError, Severity, SqlState, frame, reply, sqlstate};

use crate::listening::{Channel, Inbox, Listeners, Moment, Told};

/// 53400
const CONFIGURATION_LIMIT_EXCEEDED: SqlState = SqlState("53400");
/// 01000
const WARNING: SqlState = SqlState("01000");
/// Where the channel begins in a NotificationResponse, behind its header and the process.
const TEXT_OF_NOTIFICATION: usize = 9;
/// What lists the channels.
const LISTS: &str = "pg_listening_channels";

/// What the session listens to.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    inbox: Option<Arc<Inbox>>,
    /// The channels, and the moment from which on each is listened to.
    channels: BTreeMap<Channel, Moment>,
    /// The same of those to which it would listen if its transaction committed now.
    announced: BTreeMap<Channel, Moment>,
    /// What its transaction has done, in order.
    pending: Vec<Change>,
    /// How much of that there was at each savepoint.
    savepoints: Vec<(String, usize)>,
    /// The server connection's transaction has failed.
    has_failed: bool,
    /// The channels that the server connection itself listens to on the session's behalf.
    on_server: BTreeSet<Channel>,
    /// Something that has run on the server connection may have sent notifications.
    has_notified: bool,
}

/// What a transaction does to the channels, once it commits.
#[derive(Debug)]
enum Change {
    Listen(Channel),
    Unlisten(Channel),
    UnlistenAll,
}

/// Who listens, once a transaction is over.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listens {
    /// The database's connection, if anybody.
    Together,
    /// The session's connection, too: it was made to without having been announced.
    Itself,
}

/// Whether a text's words send notifications.
fn may_notify(text: &str) -> bool {
    text.as_bytes().windows(6).any(|word| word.eq_ignore_ascii_case(b"notify"))
}

impl Listening {
    /// Whether the session listens to anything.
    pub(crate) fn is_on(&self) -> bool {
        !self.channels.is_empty()
    }

    /// Whether a COMMIT would make the session listen.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.iter().any(|change| matches!(change, Change::Listen(_)))
    }

    /// Waits until there may be something to tell the client.
    pub(crate) async fn news(&self) {
        match &self.inbox {
            Some(inbox) => inbox.news().await,
            None => std::future::pending().await,
        }
    }

    /// Whether the server connection listens to something that it is to forget.
    pub(crate) fn is_on_server(&self) -> bool {
        !self.on_server.is_empty()
    }

    pub(crate) fn savepoint(&mut self, name: &str) {
        self.savepoints.push((name.to_owned(), self.pending.len()));
    }

    pub(crate) fn rollback_to(&mut self, name: &str) {
        if let Some(at) = self.savepoints.iter().rposition(|(each, _)| each == name) {
            self.savepoints.truncate(at + 1);
            self.pending.truncate(self.savepoints[at].1);
        }
    }

    pub(crate) fn release(&mut self, name: &str) {
        if let Some(at) = self.savepoints.iter().rposition(|(each, _)| each == name) {
            self.savepoints.truncate(at);
        }
    }

    /// The server has told an error: the transaction fails with it.
    pub(crate) fn note_failed(&mut self) {
        self.has_failed = true;
    }

    /// DISCARD ALL.
    pub(crate) fn discard(&mut self) {
        self.pending.push(Change::UnlistenAll);
        self.on_server.clear();
    }

    /// A text is about to be sent.
    pub(crate) fn note_sent(&mut self, analysis: &Analysis, listeners: &Listeners) {
        if listeners.listening() > 0 && may_notify(&analysis.text) {
            self.has_notified = true;
        }
    }

    /// The channels that the session would listen to, if a text were carried out, and doesn't yet.
    pub(crate) fn wanted(&self, analysis: &Analysis) -> BTreeSet<Channel> {
        let mut wanted = BTreeSet::<Channel>::new();
        for statement in &analysis.statements {
            match &statement.session {
                SessionEffect::Listen { channel } => {
                    wanted.insert(channel.as_str().into());
                }
                _ if statement.verb == Verb::Commit => {
                    wanted.extend(self.announced.keys().cloned());
                    wanted.extend(self.pending.iter().filter_map(|change| match change {
                        Change::Listen(channel) => Some(channel.clone()),
                        _ => None,
                    }));
                }
                _ => {}
            }
        }
        wanted.retain(|channel| !self.channels.contains_key(channel));
        wanted
    }

    /// The same for a COMMIT of Flywheel's own.
    pub(crate) fn wanted_at_commit(&self) -> BTreeSet<Channel> {
        let announced = self.announced.keys().filter(|_| self.is_pending());
        announced.filter(|channel| !self.channels.contains_key(*channel)).cloned().collect()
    }

    /// Where the database's connection puts what it hears for the session.
    pub(crate) fn inbox(&mut self) -> Arc<Inbox> {
        self.inbox.get_or_insert_default().clone()
    }

    /// The database's connection listens to these channels from a moment on.
    pub(crate) fn announce(&mut self, channels: BTreeSet<Channel>, from: Moment) {
        self.announced.extend(channels.into_iter().map(|channel| (channel, from)));
    }

    /// LISTEN was carried out by the server connection, of which it is to forget it.
    pub(crate) fn note_listen(&mut self, channel: &str) {
        let channel: Channel = channel.into();
        self.on_server.insert(channel.clone());
        self.pending.push(Change::Listen(channel));
    }

    /// UNLISTEN was carried out.
    pub(crate) fn note_unlisten(&mut self, channel: Option<&str>) {
        if self.inbox.is_some() {
            self.pending.push(match channel {
                Some(channel) => Change::Unlisten(channel.into()),
                None => Change::UnlistenAll,
            });
        }
    }

    /// Takes in the server's state: what the transaction has done counts, or doesn't, when it is
    /// over.
    pub(crate) fn follow(&mut self, status: TransactionStatus, listeners: &Listeners) -> Listens {
        match status {
            TransactionStatus::InTransaction => self.has_failed = false,
            TransactionStatus::Failed => self.has_failed = true,
            TransactionStatus::Idle => {
                let has_failed = std::mem::take(&mut self.has_failed);
                return self.settle(!has_failed, listeners);
            }
        }
        Listens::Together
    }

    /// The transaction is over.
    pub(crate) fn settle(&mut self, committed: bool, listeners: &Listeners) -> Listens {
        // What is announced may be about to be sent.
        if self.pending.is_empty() && (committed || self.announced.is_empty()) {
            return Listens::Together;
        }
        let announced = std::mem::take(&mut self.announced);
        let mut gone: BTreeSet<Channel> = announced.keys().cloned().collect();
        let mut listens = Listens::Together;
        self.savepoints.clear();
        let pending = std::mem::take(&mut self.pending);
        for change in pending.into_iter().filter(|_| committed) {
            match change {
                Change::Listen(channel) if self.channels.contains_key(&channel) => {}
                Change::Listen(channel) => match announced.get(&channel) {
                    Some(from) => drop(self.channels.insert(channel, *from)),
                    // The connection itself listens.
                    None if self.on_server.remove(&channel) => listens = Listens::Itself,
                    None => {}
                },
                Change::Unlisten(channel) => {
                    gone.extend(self.channels.remove_entry(&channel).map(|(name, _)| name));
                }
                Change::UnlistenAll => {
                    gone.extend(std::mem::take(&mut self.channels).into_keys());
                }
            }
        }
        gone.retain(|channel| !self.channels.contains_key(channel));
        if let (Some(inbox), false) = (&self.inbox, gone.is_empty()) {
            listeners.unlisten(gone.into_iter().collect(), inbox);
        }
        listens
    }

    /// Tells the client what has been heard until now, as long as less than `most` waits to be
    /// sent.
    pub(crate) fn tell(
        &self,
        charset: Charset,
        out: &mut BytesMut,
        most: usize,
    ) -> Result<(), End> {
        let Some(inbox) = &self.inbox else { return Ok(()) };
        while out.len() < most {
            let told = inbox.take().map_err(|_| overfull())?;
            match told {
                None => break,
                Some(Told::Notification { channel, at, message }) => {
                    if self.channels.get(&channel).is_some_and(|from| at > *from) {
                        let text = message.get(TEXT_OF_NOTIFICATION..).unwrap_or_default();
                        if !charset.is_utf8() && !text.is_ascii() {
                            return Err(unconverted());
                        }
                        out.extend_from_slice(&message);
                    }
                }
                Some(Told::Renewed) if self.is_on() => {
                    let warning = PgError::new(
                        Severity::Warning,
                        WARNING,
                        "notifications may have been missed: the connection that listens for them was lost and made anew",
                    );
                    let warning = warning.with_hint("Look for what they would have told.");
                    backend::notice_response(out, &warning);
                }
                Some(Told::Renewed) => {}
            }
        }
        Ok(())
    }

    /// A notification that the server connection has heard, as the client is to have it. `None`:
    /// the client hears it from the database's connection, or not at all.
    pub(crate) fn heard_on_server(&self, frame: &Frame, listeners: &Listeners) -> Option<Frame> {
        let (process_id, said) = frame.body().split_first_chunk()?;
        // A channel that can't be read is named in the client's encoding.
        let notification = reply::notification(frame.body());
        if notification.is_some_and(|it| self.on_server.contains(it.channel)) {
            return None;
        }
        let sender = listeners.sender(i32::from_be_bytes(*process_id));
        let mut message = BytesMut::from(&frame.raw()[..TEXT_OF_NOTIFICATION - size_of::<i32>()]);
        message.extend_from_slice(&sender.to_be_bytes());
        message.extend_from_slice(said);
        frame::take(&mut message, usize::MAX).ok().flatten()
    }

    /// The session's channels, when a text lists them and the server connection doesn't listen to
    /// all of them.
    pub(crate) fn lacking(&self, analysis: &Analysis) -> Vec<Channel> {
        if !self.is_on() || !analysis.text.to_ascii_lowercase().contains(LISTS) {
            return Vec::new();
        }
        let channels = self.channels.keys();
        channels.filter(|channel| !self.on_server.contains(*channel)).cloned().collect()
    }

    /// The server connection listens to these channels, and is to forget them.
    pub(crate) fn note_on_server(&mut self, channels: Vec<Channel>) {
        self.on_server.extend(channels);
    }

    /// The channels that the server connection is to forget, as it will.
    pub(crate) fn take_on_server(&mut self) -> BTreeSet<Channel> {
        std::mem::take(&mut self.on_server)
    }

    /// Whether what has run on the server connection since the last time may have sent
    /// notifications.
    pub(crate) fn take_notified(&mut self) -> bool {
        std::mem::take(&mut self.has_notified)
    }

    /// The server connection is lost, with what its transaction has done.
    pub(crate) fn lose(&mut self, listeners: &Listeners) {
        self.on_server.clear();
        self.has_failed = false;
        let _ = self.settle(false, listeners);
    }

    /// The session is over.
    pub(crate) fn leave(&mut self, listeners: &Listeners) {
        let _ = self.settle(false, listeners);
        if let Some(inbox) = self.inbox.take() {
            let channels = std::mem::take(&mut self.channels).into_keys().collect();
            listeners.unlisten(channels, &inbox);
        }
    }
}

fn unconverted() -> End {
    let message = "a notification can't be converted to client_encoding";
    End::Fatal(
        PgError::fatal(sqlstate::FEATURE_NOT_SUPPORTED, message)
            .with_hint("Connect again, and LISTEN after client_encoding is set."),
    )
}

fn overfull() -> End {
    End::Fatal(
        PgError::fatal(CONFIGURATION_LIMIT_EXCEEDED, "too many notifications wait for this client")
            .with_hint("A client that listens must read, and end its transactions. Connect again, and look for what was missed."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(names: &[&str]) -> BTreeSet<Channel> {
        names.iter().map(|name| Channel::from(*name)).collect()
    }

    #[test]
    fn what_commits_is_listened_to_from_its_announcement_on() {
        let (mut listening, listeners) = (Listening::default(), Listeners::default());
        listening.announce(channels(&["a"]), 1);
        listening.note_listen("a");
        assert!(listening.is_pending() && !listening.is_on());
        assert_eq!(listening.settle(true, &listeners), Listens::Together);
        assert!(listening.is_on() && !listening.is_pending());
        assert_eq!(listening.take_on_server(), channels(&["a"]));
    }

    #[test]
    fn what_is_rolled_back_is_not_listened_to() {
        let (mut listening, listeners) = (Listening::default(), Listeners::default());
        listening.announce(channels(&["a", "b"]), 1);
        listening.note_listen("a");
        listening.savepoint("s");
        listening.note_listen("b");
        listening.rollback_to("s");
        let _ = listening.settle(true, &listeners);
        assert_eq!(listening.channels.keys().cloned().collect::<BTreeSet<_>>(), channels(&["a"]));
        listening.note_listen("c");
        let _ = listening.settle(false, &listeners);
        assert!(!listening.channels.contains_key("c"));
    }

    #[test]
    fn what_was_not_announced_is_listened_to_by_the_connection_itself() {
        let (mut listening, listeners) = (Listening::default(), Listeners::default());
        listening.note_listen("a");
        assert_eq!(listening.settle(true, &listeners), Listens::Itself);
        assert!(!listening.is_on_server(), "the connection isn't to forget it");
    }
}
