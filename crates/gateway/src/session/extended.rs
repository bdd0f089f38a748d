//! The extended protocol: messages are gathered up to Sync or Flush and then worked off in order.
//!
//! What is the server's is sent in one write and its answers are read along [`Step`]s. Where Flywheel answers a statement itself, what was
//! sent before is answered first.

use std::sync::Arc;

use flywheel_sql::Verb;
use flywheel_wire::Frame;
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::frontend::tag;

use super::batch::Message;
use super::cached::Looked;
use super::work::Work;
use super::{End, Failure, Outcome, Session};
use crate::analysis::Analysis;
use crate::tally::Way;

impl Session {
    /// Takes one message of the extended protocol.
    pub(super) async fn extended(&mut self, frame: Frame) -> Result<(), End> {
        match frame.tag() {
            tag::SYNC => self.sync().await,
            tag::FLUSH => {
                let worked = self.work_off(false).await;
                self.settle(worked).await?;
                self.client.send().await?;
                Ok(())
            }
            _ if self.skipping => Ok(()),
            _ => match Message::read(&frame) {
                Ok(message) => {
                    self.batch_bytes += frame.raw().len();
                    self.batch.push((frame, message));
                    // A client that never syncs must not fill memory.
                    if self.batch_bytes > self.shared.options.max_message_size {
                        let worked = self.work_off(false).await;
                        self.settle(worked).await?;
                    }
                    Ok(())
                }
                Err(error) => {
                    let worked = self.work_off(false).await;
                    self.settle(worked).await?;
                    self.settle(Err(error.into())).await
                }
            },
        }
    }

    /// Works off what waits, before a message that isn't of the extended protocol. False: an error has ended the batch, and the message is ignored as
    /// everything else up to Sync.
    pub(super) async fn finish_batch(&mut self) -> Result<bool, End> {
        if !self.skipping && !self.batch.is_empty() {
            let worked = self.work_off(false).await;
            self.settle(worked).await?;
        }
        Ok(!self.skipping)
    }

    /// Data of a COPY: it may be one that waits with its batch for Sync. What a client still sends of a COPY that has failed is ignored, as PostgreSQL
    /// ignores it.
    pub(super) async fn copy_data(&mut self, frame: Frame) -> Result<(), End> {
        if self.skipping || self.batch.is_empty() {
            return Ok(());
        }
        self.copied = Some(frame);
        self.finish_batch().await?;
        self.copied = None;
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), End> {
        if self.skipping {
            self.batch.clear();
            self.batch_bytes = 0;
            self.skipping = false;
            let synced = self.sync_server(false).await;
            self.settle_error(synced).await?;
            self.end_flushed(false).await?;
            return self.ready().await;
        }
        let fill = match self.look_up_batch().await {
            Ok(Looked::Answered) => {
                self.count(Way::Cached);
                self.client.send_if_much().await?;
                return Ok(());
            }
            Ok(Looked::Fill(fill)) => Some(fill),
            Ok(Looked::Past) => None,
            Err(Failure::Session(end)) => return Err(end),
            Err(failure) => {
                self.batch.clear();
                self.batch_bytes = 0;
                self.settle_error(Err(failure)).await?;
                self.skipping = false;
                return self.ready().await;
            }
        };
        self.sync_past_cache().await?;
        if let Some(fill) = fill {
            self.end_fill(*fill);
        }
        Ok(())
    }

    pub(super) async fn sync_past_cache(&mut self) -> Result<(), End> {
        match self.share_batch().await {
            Ok(true) => {
                self.portals.clear();
                self.client.send_if_much().await?;
                return Ok(());
            }
            Ok(false) => {}
            Err(Failure::Session(end)) => return Err(end),
            Err(failure) => {
                self.batch.clear();
                self.batch_bytes = 0;
                self.settle_error(Err(failure)).await?;
                self.skipping = false;
                return self.ready().await;
            }
        }
        self.sync_swallowed = false;
        let worked = self.work_off(true).await;
        let swallowed = matches!(worked, Ok(true));
        self.settle(worked.map(|_| false)).await?;
        if std::mem::take(&mut self.sync_swallowed) {
            // The same of a COPY into a store table. The server has been left at rest.
            self.client.send().await?;
            return Ok(());
        }
        if swallowed {
            // The client's Sync was read as part of a COPY: it sends another one.
            self.skipping = false;
            self.unsynced = true;
            return Ok(());
        }
        let failed = std::mem::take(&mut self.skipping);
        self.end_flushed(!failed).await?;
        self.ready().await
    }

    /// Ends the transaction that a flushed batch is by itself.
    pub(super) async fn end_flushed(&mut self, commit: bool) -> Result<(), End> {
        if !std::mem::take(&mut self.implicit) {
            return Ok(());
        }
        match self.end_implicit(commit).await {
            Err(Failure::Session(end)) => Err(end),
            Err(Failure::Statement(error)) => {
                backend::error_response(&mut self.client.out, &error);
                Ok(())
            }
            Ok(()) | Err(Failure::Told) => Ok(()),
        }
    }

    /// Tells an error of the batch and ignores what follows up to Sync.
    async fn settle(&mut self, worked: Outcome<bool>) -> Result<(), End> {
        self.settle_error(worked.map(|_| ())).await
    }

    async fn settle_error(&mut self, worked: Outcome<()>) -> Result<(), End> {
        if worked.is_err() || self.skipping {
            self.undo_settings();
        }
        match worked {
            Ok(()) => Ok(()),
            Err(Failure::Session(end)) => Err(end),
            Err(Failure::Told) => {
                self.skipping = true;
                Ok(())
            }
            Err(Failure::Statement(error)) => {
                backend::error_response(&mut self.client.out, &error);
                self.skipping = true;
                match self.fail_block(&error).await {
                    Err(Failure::Session(end)) => Err(end),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Works the gathered messages off. True when a COPY has swallowed the Sync.
    async fn work_off(&mut self, at_sync: bool) -> Outcome<bool> {
        let (frames, batch): (Vec<Frame>, Vec<Message>) = self.batch.drain(..).unzip();
        self.batch_bytes = 0;
        if at_sync && let Some(analyses) = self.batch_for_replica(&batch) {
            let mut tried = Vec::new();
            while self.borrow_replica(&mut tried).await {
                let worked = self.work_off_renewed(batch.clone(), &frames, at_sync).await;
                if !self.is_to_be_asked_elsewhere(&worked, &analyses).await {
                    return worked;
                }
                self.undo_batch(&batch);
            }
        }
        self.work_off_renewed(batch, &frames, at_sync).await
    }

    pub(super) async fn work_off_messages(&mut self, batch: Vec<Message>, at_sync: bool) -> Outcome<bool> {
        // What is only prepared changes nothing.
        if self.replicas.are_read() && batch.iter().any(|message| matches!(message, Message::Execute(_))) {
            for analysis in self.analyses_of(&batch) {
                self.note_use(&analysis);
            }
        }
        let mut work = Work::default();
        let wrap = at_sync && self.must_wrap(&batch);
        // What is carried out before a Flush must still be undone by an error after it, on both sides.
        let keep_open = !at_sync && self.must_keep_open(&batch);
        if wrap || keep_open {
            self.begin_implicit().await?;
        }
        self.implicit |= keep_open;
        let mut worked = Ok(());
        let mut messages = batch.into_iter();
        while let Some(message) = messages.next() {
            worked = self.work_message(message, messages.as_slice(), &mut work).await;
            if worked.is_err() || self.skipping {
                break;
            }
        }
        if wrap {
            let settled = match worked {
                Ok(()) => self.catch_up(&mut work).await,
                Err(failure) => Err(failure),
            };
            match &settled {
                Ok(()) | Err(Failure::Told) => {}
                Err(Failure::Statement(error)) => backend::error_response(&mut self.client.out, error),
                Err(Failure::Session(_)) => return settled.map(|()| false),
            }
            return self.end_implicit(settled.is_ok() && !self.skipping).await.map(|()| false);
        }
        worked?;
        if at_sync {
            return self.finish(work).await;
        }
        self.flush_steps(work).await.map(|()| false)
    }

    /// Whether a batch that ends in Flush carries out reads or writes, where there are store tables that later ones may concern.
    pub(super) fn must_keep_open(&self, batch: &[Message]) -> bool {
        if self.status != TransactionStatus::Idle || self.unsynced || self.shared.catalogue.configured().is_empty() {
            return false;
        }
        let is_plain = |analysis: &Analysis| {
            let verbs = analysis.statements.iter().map(|statement| statement.verb);
            verbs.clone().count() > 0
                && verbs
                    .into_iter()
                    .all(|verb| matches!(verb, Verb::Select | Verb::With | Verb::Insert | Verb::Update | Verb::Delete))
        };
        batch.iter().any(|message| matches!(message, Message::Execute(_)))
            && self.analyses_of(batch).iter().all(|analysis| is_plain(analysis))
    }

    /// What the batch parses, binds and executes.
    pub(super) fn analyses_of(&self, batch: &[Message]) -> Vec<Arc<Analysis>> {
        let analysis = |message: &Message| match message {
            Message::Parse(parse) => Some(self.shared.analyses.of(&parse.query)),
            Message::Bind(bind) => self.statements.get(&bind.statement).map(|statement| statement.analysis.clone()),
            Message::Execute(execute) => self.portals.get(&execute.portal).map(|portal| portal.statement.analysis.clone()),
            _ => None,
        };
        batch.iter().filter_map(analysis).collect()
    }

    /// Whether the batch is several statements of one implicit transaction, of which Flywheel answers one.
    fn must_wrap(&self, batch: &[Message]) -> bool {
        if self.status != TransactionStatus::Idle || self.unsynced {
            return false;
        }
        let executes = batch.iter().filter(|message| matches!(message, Message::Execute(_))).count();
        if executes < 2 {
            return false;
        }
        let analyses = self.analyses_of(batch);
        let (mut store, mut control) = (false, false);
        for analysis in analyses {
            store |= analysis.concerns_any_store() || self.executes_prepared(&analysis);
            control |= analysis.statements.iter().any(|statement| statement.verb.is_transaction_control());
        }
        store && !control
    }
}
