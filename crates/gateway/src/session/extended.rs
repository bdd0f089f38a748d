//! The extended protocol: messages are gathered up to Sync or Flush and then worked off in order.
//!
//! What is the server's is sent in one write and its answers are read along [`Step`]s. Where
//! Flywheel answers a statement itself, what was sent before is answered first.

use flywheel_execute::executes_prepared;
use flywheel_sql::{Statement, Verb};
use flywheel_statement::Analysis;
use flywheel_statement::long::is_long;
use flywheel_wire::frontend::tag;
use flywheel_wire::{Frame, PgError};

use super::cached::Looked;
use super::parts::Message;
use super::work::Work;
use super::{End, Failure, Outcome, Session};
use flywheel_execute::Way;

/// Batches of the extended protocol of a session.
pub(super) struct Batches<'s> {
    pub(super) session: &'s mut Session,
}

impl Batches<'_> {
    /// Takes one message of the extended protocol.
    pub(super) async fn message(&mut self, frame: Frame) -> Result<(), End> {
        match frame.tag() {
            tag::SYNC => self.sync().await,
            tag::FLUSH => {
                let worked = self.work_off(false).await;
                self.settle(worked).await?;
                self.session.client.send().await?;
                Ok(())
            }
            _ if self.session.phase.is_skipping() => Ok(()),
            _ => match self.session.encoding().read_message(&frame) {
                Ok(mut message) => {
                    if let Err(error) = self.session.strings().conform(&mut message) {
                        let worked = self.work_off(false).await;
                        self.settle(worked).await?;
                        return self.settle(Err(error.into())).await;
                    }
                    self.session.batch.begin();
                    if let Message::Parse(parse) = &message
                        && is_long(parse.query.len())
                    {
                        let analysis = self.session.shared.analyses.of_long(&parse.query).await;
                        self.session.batch.keep(analysis);
                    }
                    let is_part = self.session.batch.push(frame, message) && self.may_be_parted();
                    // A client that never syncs must not fill memory.
                    if is_part
                        || self.session.batch.bytes() > self.session.shared.options.max_message_size
                    {
                        let worked = self.work_off(false).await;
                        self.settle(worked).await?;
                    }
                    Ok(())
                }
                Err(error) => {
                    // What stands before it comes first, and may fail itself.
                    if self.finish().await? {
                        self.settle(Err(error.into())).await?;
                    }
                    Ok(())
                }
            },
        }
    }

    /// Works off what waits, before a message that isn't of the extended protocol. False: an error
    /// has ended the batch, and the message is ignored as everything else up to Sync.
    pub(super) async fn finish(&mut self) -> Result<bool, End> {
        if !self.session.phase.is_skipping() && !self.session.batch.is_empty() {
            let worked = self.work_off(false).await;
            self.settle(worked).await?;
        }
        Ok(!self.session.phase.is_skipping())
    }

    /// Data of a COPY: it may be one that waits with its batch for Sync. What a client still sends
    /// of a COPY that has failed is ignored, as PostgreSQL ignores it.
    pub(super) async fn copy_data(&mut self, frame: Frame) -> Result<(), End> {
        if self.session.phase.is_skipping() || self.session.batch.is_empty() {
            return Ok(());
        }
        self.session.batch.note_copied(Some(frame));
        self.finish().await?;
        self.session.batch.note_copied(None);
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), End> {
        if self.session.phase.is_skipping() {
            self.session.batch.clear();
            self.session.phase.take();
            let synced = self.session.sync_server(false).await;
            self.settle_error(synced).await?;
            self.end_flushed(false).await?;
            return self.session.ready().await;
        }
        let fill = match self.session.lookups().batch().await {
            Ok(Looked::Answered) => {
                self.session.count(Way::Cached);
                self.session.client.send_if_much().await?;
                return Ok(());
            }
            Ok(Looked::Fill(fill)) => Some(fill),
            Ok(Looked::Past) => None,
            Err(Failure::Session(end)) => return Err(end),
            Err(failure) => {
                self.session.batch.clear();
                self.settle_error(Err(failure)).await?;
                self.session.phase.take();
                return self.session.ready().await;
            }
        };
        self.past_cache().await?;
        if let Some(fill) = fill {
            fill.end(self.session);
        }
        Ok(())
    }

    pub(super) async fn past_cache(&mut self) -> Result<(), End> {
        match self.session.shared_reads().batch().await {
            Ok(true) => {
                self.session.prepared.portals.clear();
                self.session.client.send_if_much().await?;
                return Ok(());
            }
            Ok(false) => {}
            Err(Failure::Session(end)) => return Err(end),
            Err(failure) => {
                self.session.batch.clear();
                self.settle_error(Err(failure)).await?;
                self.session.phase.take();
                return self.session.ready().await;
            }
        }
        self.session.phase.end_copied();
        let worked = self.work_off(true).await;
        let swallowed = matches!(worked, Ok(true));
        self.settle(worked.map(|_| false)).await?;
        if self.session.phase.end_copied() {
            // The same of a COPY into a store table. The server has been left at rest.
            self.session.client.send().await?;
            return Ok(());
        }
        if swallowed {
            // The client's Sync was read as part of a COPY: it sends another one. Only then the
            // rows are there for others, and PostgreSQL tells that the COPY is complete.
            self.session.client.keep_back();
            self.session.phase.take();
            self.session.upstream.note_flushed();
            return Ok(());
        }
        // A batch that failed before its end leaves the server waiting for a Sync.
        let synced = self.session.sync_server(true).await;
        self.settle_error(synced).await?;
        let failed = self.session.phase.take();
        self.end_flushed(!failed).await?;
        self.session.ready().await
    }

    /// Ends the transaction that a flushed batch is by itself.
    pub(super) async fn end_flushed(&mut self, commit: bool) -> Result<(), End> {
        if !std::mem::take(&mut self.session.transaction.is_batch) {
            return Ok(());
        }
        match self.session.queries().end_implicit(commit).await {
            Err(Failure::Session(end)) => Err(end),
            Err(Failure::Statement(error)) => self.session.errors().tell(&error).await,
            Ok(()) | Err(Failure::Told) => Ok(()),
        }
    }

    /// Tells an error of the batch and ignores what follows up to Sync.
    async fn settle(&mut self, worked: Outcome<bool>) -> Result<(), End> {
        self.settle_error(worked.map(|_| ())).await
    }

    async fn settle_error(&mut self, worked: Outcome<()>) -> Result<(), End> {
        if worked.is_err() || self.session.phase.is_skipping() {
            self.session.control().undo_settings();
        }
        match worked {
            Ok(()) => Ok(()),
            Err(Failure::Session(end)) => Err(end),
            Err(Failure::Told) => {
                self.session.phase.skip();
                Ok(())
            }
            Err(Failure::Statement(error)) => {
                self.session.phase.skip();
                self.session.errors().tell(&error).await
            }
        }
    }

    /// Works the gathered messages off. True when a COPY has swallowed the Sync.
    async fn work_off(&mut self, at_sync: bool) -> Outcome<bool> {
        let (frames, batch) = self.session.batch.take();
        if at_sync && let Some(analyses) = self.session.replicas().batch_for_replica(&batch) {
            let mut tried = Vec::new();
            while self.session.replicas().borrow_replica(&mut tried).await {
                let worked =
                    self.session.renewing().work_off(batch.clone(), &frames, at_sync).await;
                if !self.session.replicas().is_to_be_asked_elsewhere(&worked, &analyses).await {
                    return worked;
                }
                self.session.replicas().undo_batch(&batch);
            }
        }
        self.session.renewing().work_off(batch, &frames, at_sync).await
    }

    pub(super) async fn work_off_messages(
        &mut self,
        batch: Vec<Message>,
        at_sync: bool,
    ) -> Outcome<bool> {
        self.session.upstream.replicas.note_batch(&batch, self.session.has_server());
        // What is only prepared changes nothing.
        if self.session.upstream.replicas.are_read()
            && batch.iter().any(|message| matches!(message, Message::Execute(_)))
        {
            for analysis in self.session.prepared.analyses_of(&batch, &self.session.shared.analyses)
            {
                self.session.upstream.replicas.note_use(&analysis);
            }
        }
        self.session.proving().prove_parsed(&batch).await?;
        let mut work = Work {
            is_proved: self.session.proving().proves_batch(&batch).await?,
            ..Work::default()
        };
        let wrap = at_sync && self.must_wrap(&batch);
        // What is carried out before a Flush must still be undone by an error after it, on both
        // sides.
        let keep_open = !at_sync && self.must_keep_open(&batch);
        if wrap || keep_open {
            self.session.queries().begin_implicit().await?;
        }
        self.session.transaction.is_batch |= keep_open;
        let mut worked = Ok(());
        let mut messages = batch.into_iter();
        while let Some(message) = messages.next() {
            worked = match self.needs_block(&message).filter(|_| wrap) {
                Some(error) => work.fail(error, self.session).await,
                None => work.message(message, messages.as_slice(), self.session).await,
            };
            if worked.is_err() || self.session.phase.is_skipping() {
                break;
            }
        }
        if wrap {
            let settled = match worked {
                Ok(()) => work.catch_up(self.session).await,
                Err(failure) => Err(failure),
            };
            match &settled {
                Ok(()) | Err(Failure::Told) => {}
                Err(Failure::Statement(error)) => {
                    self.session.errors().tell(error).await.map_err(Failure::Session)?
                }
                Err(Failure::Session(_)) => return settled.map(|()| false),
            }
            let is_well = settled.is_ok() && !self.session.phase.is_skipping();
            return self.session.queries().end_implicit(is_well).await.map(|()| false);
        }
        worked?;
        if at_sync {
            return work.finish(self.session).await;
        }
        work.flush_steps(self.session).await.map(|()| false)
    }

    /// Whether what is gathered can be worked off as if a Flush stood behind it, without the client
    /// noticing: what comes later must still be able to undo it. A single statement is left whole:
    /// it may be answered by a replica, or from memory.
    fn may_be_parted(&self) -> bool {
        let batch = || self.session.batch.messages();
        let executed = batch().filter(|message| matches!(message, Message::Execute(_)));
        executed.take(2).count() == 2
            && (!self.session.transaction.is_idle()
                || self.session.upstream.is_unsynced()
                || self.session.shared.stores.catalogue.configured().is_empty()
                || self.can_keep_open(batch()))
    }

    /// Whether a batch that ends in Flush carries out reads or writes, where there are store tables
    /// that later ones may concern.
    pub(super) fn must_keep_open(&self, batch: &[Message]) -> bool {
        self.can_keep_open(batch.iter())
    }

    fn can_keep_open<'m>(&self, batch: impl Iterator<Item = &'m Message> + Clone) -> bool {
        if !self.session.transaction.is_idle()
            || self.session.upstream.is_unsynced()
            || self.session.shared.stores.catalogue.configured().is_empty()
        {
            return false;
        }
        let is_plain = |analysis: &Analysis| {
            let verbs = analysis.statements.iter().map(|statement| statement.verb);
            verbs.clone().count() > 0
                && verbs.into_iter().all(|verb| {
                    matches!(
                        verb,
                        Verb::Select | Verb::With | Verb::Insert | Verb::Update | Verb::Delete
                    )
                })
        };
        batch.clone().any(|message| matches!(message, Message::Execute(_)))
            && batch
                .filter_map(|message| {
                    self.session.prepared.analysis_of(message, &self.session.shared.analyses)
                })
                .all(|analysis| is_plain(&analysis))
    }

    /// The error of executing a statement that needs a block, outside one.
    fn needs_block(&self, message: &Message) -> Option<PgError> {
        let Message::Execute(execute) = message else { return None };
        let portal = self.session.prepared.portals.get(&execute.portal)?;
        super::part::needs_block(&portal.statement.analysis, 0)
    }

    /// Whether Flywheel answers a statement of the batch, and what stands behind it may fail: all
    /// of the batch is one implicit transaction.
    fn must_wrap(&self, batch: &[Message]) -> bool {
        if !self.session.transaction.is_idle() || self.session.upstream.is_unsynced() {
            return false;
        }
        let executes = batch.iter().position(|message| matches!(message, Message::Execute(_)));
        let rest = executes.map_or(&[][..], |first| &batch[first + 1..]);
        if rest.iter().all(|message| matches!(message, Message::Close(..))) {
            return false;
        }
        let analyses = self.session.prepared.analyses_of(batch, &self.session.shared.analyses);
        let (mut store, mut control) = (false, false);
        for analysis in analyses {
            store |= analysis.concerns_any_store()
                || executes_prepared(&self.session.prepared.statements, &analysis)
                || self.session.wanted_names().concern(&analysis);
            let is_control = |statement: &Statement| {
                statement.verb.is_transaction_control()
                    && statement.needs_block(&analysis.text).is_none()
            };
            control |= analysis.statements.iter().any(is_control);
        }
        store && !control
    }
}
