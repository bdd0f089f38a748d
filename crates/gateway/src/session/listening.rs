//! LISTEN, UNLISTEN, and what the session hears.
//!
//! Both are PostgreSQL's to carry out, on whichever connection the session has: so their errors,
//! notices and transactions are its own. But a connection goes to others, so the one that really
//! listens is the database's ([`crate::listening`]), and the session's is made to forget at once.
//! That one listens before the statement, or the COMMIT, that makes it so is sent: what is sent by
//! others from then on isn't missed, as in PostgreSQL, which begins to listen just before it
//! commits.
//!
//! In session mode, where the connection is the client's, for LISTEN in the code of a function, and
//! for a client whose encoding isn't UTF8, the connection itself is listened on.

use std::collections::BTreeSet;
use std::time::Duration;

use flywheel_sql::Pin;
use flywheel_statement::Analysis;
use flywheel_types::quote_identifier;
use flywheel_wire::{Frame, PgError, sqlstate};

use super::parts::Listens;
use super::{End, Outcome, Session};
use crate::listening::Channel;
use crate::options::PoolMode;

/// How long the end of a transaction waits for what was sent before it.
const PATIENCE: Duration = Duration::from_secs(1);
/// A client that has so much yet to read is told no more for now.
const UNREAD: usize = 64 * 1024;

/// A session that listens to channels, or may.
pub(super) struct Listener<'s> {
    pub(super) session: &'s mut Session,
}

impl Listener<'_> {
    /// Whether the database's connection listens for the session.
    fn listens_together(&self) -> bool {
        // Where PostgreSQL serves one connection there is no other. What the database's connection
        // hears is UTF-8.
        self.session.identity.mode != PoolMode::Session
            && self.session.settings.charset().is_utf8()
            && self.session.shared.pool().options().lifetimes.is_some()
    }

    /// Has the database's connection listen to what the session would, if what is about to be sent
    /// were to commit.
    pub(super) async fn announce(&mut self, analysis: &Analysis) -> Outcome<()> {
        self.session.listening.note_sent(analysis, &self.session.shared.listeners);
        if analysis.is_plain || !self.listens_together() {
            return Ok(());
        }
        self.listen_to(self.session.listening.wanted(analysis)).await
    }

    /// The same for a COMMIT of Flywheel's own.
    pub(super) async fn announce_commit(&mut self) -> Outcome<()> {
        self.listen_to(self.session.listening.wanted_at_commit()).await
    }

    async fn listen_to(&mut self, wanted: BTreeSet<Channel>) -> Outcome<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let inbox = self.session.listening.inbox();
        let shared = self.session.shared.clone();
        let channels: Vec<_> = wanted.iter().cloned().collect();
        let listening = shared.listeners.listen(shared.pool(), channels, &inbox);
        let from = self.session.interruptible(listening).await??;
        self.session.listening.announce(wanted, from);
        Ok(())
    }

    /// LISTEN was carried out.
    pub(super) fn note_listen(&mut self, channel: &str) {
        if self.listens_together() {
            self.session.listening.note_listen(channel);
        } else {
            self.session.pin(Pin::Listen);
        }
    }

    /// UNLISTEN was carried out.
    pub(super) fn note_unlisten(&mut self, channel: Option<&str>) {
        self.session.upstream.pins.note_release();
        self.session.listening.note_unlisten(channel);
    }

    /// The transaction is over.
    pub(super) fn settle_listening(&mut self, committed: bool) {
        if self.session.listening.settle(committed, &self.session.shared.listeners)
            == Listens::Itself
        {
            self.session.pin(Pin::Listen);
        }
    }

    /// Takes in the server's state.
    pub(super) fn follow_listening(&mut self) {
        let status = self.session.transaction.status;
        if self.session.listening.follow(status, &self.session.shared.listeners) == Listens::Itself
        {
            self.session.pin(Pin::Listen);
        }
    }

    /// Tells the client what it has heard, at the end of a transaction: all that was sent before.
    pub(super) async fn tell_heard(&mut self) -> Result<(), End> {
        if !self.session.transaction.is_idle() {
            return Ok(());
        }
        self.tell_heard_aside();
        if !self.session.listening.is_on() {
            return Ok(());
        }
        self.catch_up_listening().await;
        let charset = self.session.settings.charset();
        self.session.listening.tell(charset, &mut self.session.client.out, usize::MAX)
    }

    /// Tells what the server connection has heard while statements of Flywheel's own ran.
    pub(super) fn tell_heard_aside(&mut self) {
        let heard = self.session.held_server().map(|lease| lease.take_heard()).unwrap_or_default();
        for frame in heard {
            if let Some(heard) = self.heard_on_server(&frame) {
                self.session.forward(&heard);
            }
        }
    }

    /// Waits until all has been heard that was sent before.
    async fn catch_up_listening(&self) {
        let caught_up = self.session.shared.listeners.catch_up();
        // What comes later is told later.
        let _ = tokio::time::timeout(PATIENCE, caught_up).await;
    }

    /// Tells the client what has been heard until now, between transactions.
    pub(super) fn tell_news(&mut self) -> Result<(), End> {
        let charset = self.session.settings.charset();
        self.session.listening.tell(charset, &mut self.session.client.out, UNREAD)
    }

    /// Whether the client may be told something that it doesn't wait for.
    pub(super) fn may_be_told(&self) -> bool {
        self.session.transaction.is_idle()
            && self.session.batch.is_empty()
            && !self.session.upstream.is_unsynced()
            && !self.session.transaction.is_batch
            && !self.is_crowded()
    }

    /// Whether so much waits to be sent that the client is told no more of what it has heard.
    pub(super) fn is_crowded(&self) -> bool {
        self.session.listening.is_on() && self.session.client.out.len() >= UNREAD
    }

    /// A notification that the server connection has heard, as the client is to have it.
    pub(super) fn heard_on_server(&self, frame: &Frame) -> Option<Frame> {
        self.session.listening.heard_on_server(frame, &self.session.shared.listeners)
    }

    /// Has the server connection, which is at rest, listen to the session's channels for a text
    /// that lists them.
    pub(super) async fn put_channels(&mut self, analysis: &Analysis) -> Outcome<()> {
        let lacking = self.session.listening.lacking(analysis);
        if lacking.is_empty() {
            return Ok(());
        }
        if !self.session.transaction.is_idle() {
            let message = "pg_listening_channels() can't be asked in a transaction block";
            return Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
                .with_hint("Ask outside a block, or set `pool_mode` to \"session\" for this user in Flywheel's configuration.")
                .into());
        }
        let listen: Vec<_> =
            lacking.iter().map(|channel| format!("LISTEN {}", quote_identifier(channel))).collect();
        self.session.own_statements().on_server(&listen.join("; ")).await?;
        self.session.listening.note_on_server(lacking);
        Ok(())
    }

    /// Has the server connection, which is at rest outside a block, forget what it listens to.
    pub(super) async fn withdraw_channels(&mut self) {
        if self.session.listening.take_notified() {
            // Whoever hears it is told who has sent it as long as the connection is the sender's.
            self.catch_up_listening().await;
        }
        let channels = self.session.listening.take_on_server();
        if channels.is_empty() {
            return;
        }
        self.session.upstream.lose_unnamed();
        let Some(lease) = self.session.upstream.lease_mut() else { return };
        let unlisten: Vec<_> = channels
            .iter()
            .map(|channel| format!("UNLISTEN {}", quote_identifier(channel)))
            .collect();
        if let Err(error) = lease.query(&unlisten.join("; ")).await {
            // Where there was state on it the next statement will be told.
            tracing::debug!(%error, "a server connection couldn't be made to forget its channels");
            lease.poison();
        }
    }
}
