//! Statements that change the session: transaction blocks, settings, prepared statements. Most are relayed, and noted once they are done.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use flywheel_plan::Parameters;
use flywheel_postgres::{Rows, Settings};
use flywheel_sql::lex::{Token, TokenKind};
use flywheel_sql::{Pin, SessionEffect, Statement, Verb};
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::quote::literal;
use flywheel_wire::{PgError, sqlstate};

use super::relay::{Step, Undo};
use super::{End, Failure, Outcome, Session};
use crate::analysis::Analysis;
use crate::execute::Answer;
use crate::options::PoolMode;

impl Session {
    /// Notes what a statement that the server has carried out did to the session. `tag` is the server's command tag.
    pub(super) async fn note_completed(&mut self, analysis: &Analysis, position: usize, tag: &str) -> Outcome<()> {
        if analysis.is_plain {
            return Ok(());
        }
        if matches!(tag, "DEALLOCATE ALL" | "DISCARD ALL") {
            self.sql_prepared.clear();
            // Statements of other clients were among them.
            if let Some(lease) = self.held_server() {
                lease.forget_all_prepared();
            }
            self.statements.retain(|name, _| name.is_empty());
        }
        let Some(statement) = analysis.statements.get(position) else {
            return Ok(());
        };
        let text = &analysis.text;
        if let ("DEALLOCATE", Some(name)) = (tag, statement.tokens.last()) {
            self.sql_prepared.remove(name.identifier(text).as_ref());
        }
        match statement.verb {
            Verb::Begin => {
                // What was set before it in the same text or batch is part of the block.
                let before = self.undo.take();
                self.block.begin(before.as_ref().unwrap_or(&self.settings));
                self.implicit = false;
            }
            // COMMIT of a failed block is answered with ROLLBACK.
            Verb::Commit | Verb::Rollback | Verb::PrepareTransaction => {
                // Without a block it is the implicit transaction of a text or batch that ends.
                if let (Some(before), "ROLLBACK") = (self.undo.take(), tag) {
                    self.settings = before;
                }
                self.end_block(tag == "ROLLBACK");
                self.implicit = false;
                if statement.chains(text) {
                    self.block.begin(&self.settings);
                }
            }
            Verb::Savepoint => self.block.savepoint(savepoint_name(statement, text), &self.settings),
            Verb::RollbackTo => {
                self.block.rollback_to(&savepoint_name(statement, text), &mut self.settings);
                self.undefined |= self.block.redefined;
                self.note_settings();
            }
            Verb::Release => self.block.release(&savepoint_name(statement, text)),
            verb if verb.is_definition() => self.shared.catalogue.touch(),
            _ => {}
        }
        self.note_effect(statement, analysis, position);
        Ok(())
    }

    /// Notes what a statement leaves behind in the session, whoever has answered it.
    pub(crate) fn note_effect(&mut self, statement: &Statement, analysis: &Analysis, position: usize) {
        if matches!(statement.session, SessionEffect::Set { .. } | SessionEffect::Reset { .. }) && !self.block.is_open() {
            self.undo.get_or_insert_with(|| self.settings.clone());
        }
        match &statement.session {
            SessionEffect::None => {}
            SessionEffect::Set { name } if name == "session authorization" => {
                // The role goes with it.
                Arc::make_mut(&mut self.settings).reset("role");
                self.pin(Pin::SessionUser);
            }
            SessionEffect::SetLocal { name } => {
                let text = analysis.statement_text(position);
                if statement.tokens.iter().any(|token| token.kind == TokenKind::Parameter) {
                    // Its value isn't in its text.
                    self.block.set_local(name, &format!("{text} {:x}", rand::random::<u128>()));
                } else {
                    self.block.set_local(name, text);
                }
            }
            SessionEffect::Set { name } => {
                if name == "search_path" && analysis.statement_text(position).contains("pg_temp") {
                    // What is created may be temporary without saying so.
                    self.pin(Pin::TemporaryObject);
                }
                self.block.forget_local(name);
                Arc::make_mut(&mut self.settings).set(name, analysis.statement_text(position));
                self.note_settings();
            }
            SessionEffect::Reset { name } => {
                // The server has gone back to its own defaults, not to those of the session.
                match name {
                    Some(name) if name == "session authorization" => Arc::make_mut(&mut self.settings).reset("role"),
                    Some(name) => {
                        self.block.forget_local(name);
                        match self.base.get(name) {
                            Some(statement) => {
                                self.must_set.set(name, statement);
                                Arc::make_mut(&mut self.settings).set(name, statement);
                            }
                            None => Arc::make_mut(&mut self.settings).reset(name),
                        }
                    }
                    None => {
                        self.block.forget_locals();
                        Arc::make_mut(&mut self.settings).reset_to(&self.base);
                        self.must_set = Settings::clone(&self.settings);
                    }
                }
                self.note_settings();
            }
            SessionEffect::DiscardAll => {
                self.settings = self.base.clone();
                if self.base.get("role").is_some() {
                    // It sets the session user anew, which leaves no role.
                    Arc::make_mut(&mut self.settings).set("role", "SET ROLE NONE");
                }
                self.portals.clear();
                self.pins.discard();
                self.forget_server_settings();
            }
            SessionEffect::Pins(pin) => self.pin(*pin),
            SessionEffect::Releases => self.pins.note_release(),
        }
    }

    /// The statements that decide what names mean: those that made the search path and the role, whose schema may be on it.
    pub(crate) fn naming(&self) -> Option<String> {
        let others = (self.setting("role"), self.setting("set_config"));
        let path = self.setting("search_path");
        match others {
            (None, None) => path.map(str::to_owned),
            _ => Some(format!("{others:?}{path:?}")),
        }
    }

    /// The statement that made a setting what it is now; `None`: it is the server's default.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.block.local(name).or_else(|| self.settings.get(name))
    }

    /// The server connection has the session's settings, since the statement that changed them ran on it.
    fn note_settings(&mut self) {
        if let Some(lease) = &mut self.lease {
            lease.note_settings(&self.settings);
        }
    }

    /// Nothing is known of the server connection's settings: the session's are set again before its next statement.
    pub(super) fn forget_server_settings(&mut self) {
        self.must_apply = true;
        if let Some(lease) = &mut self.lease {
            lease.forget_settings();
        }
    }

    /// The end of a batch, with the server at rest: what a failed implicit transaction had set is undone with it, and the server connection gets the settings of the
    /// session where a RESET has given it the server's.
    pub(super) async fn settle_settings(&mut self) -> Result<(), End> {
        let mut must_set = std::mem::take(&mut self.must_set);
        let must_apply = std::mem::take(&mut self.must_apply);
        // What was set since then stays, whatever ROLLBACK has made of it.
        must_set.retain(|name, statement| self.settings.get(name) == Some(statement) && self.block.local(name).is_none());
        if self.status != TransactionStatus::Failed && (must_apply || !must_set.is_empty()) {
            let settings = self.settings.clone();
            if let Some(lease) = &mut self.lease {
                let applied = if must_apply {
                    lease.apply_settings(&settings).await
                } else {
                    lease.add_settings(&must_set).await
                };
                match applied.map_err(|error| self.server_failed(&error)) {
                    Err(Failure::Session(end)) => return Err(end),
                    _ => self.report_settings(),
                }
            }
        }
        self.undo = None;
        let uncreated = std::mem::take(&mut self.uncreated);
        if std::mem::take(&mut self.undefined) || !uncreated.is_empty() {
            self.drop_uncreated(uncreated).await;
            if let Err(Failure::Session(end)) = self.reload_catalogue().await {
                return Err(end);
            }
        }
        Ok(())
    }

    /// An implicit transaction has failed.
    pub(super) fn undo_settings(&mut self) {
        if let Some(before) = self.undo.take() {
            self.settings = before;
            self.forget_server_settings();
        }
    }

    /// What can't be relayed because of what it would do to the session.
    pub(super) fn check_session_effect(&mut self, analysis: &Analysis) -> Outcome<()> {
        if analysis.is_plain {
            return Ok(());
        }
        for statement in &analysis.statements {
            if self.mode == PoolMode::Statement && statement.verb == Verb::Begin {
                let message = "transaction blocks aren't supported with pool_mode = \"statement\"";
                return Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
                    .with_hint("Send the statements in one text, which is one transaction, or set `pool_mode` to \"transaction\" for this user in Flywheel's configuration.")
                    .into());
            }
            match &statement.session {
                SessionEffect::Set { name } | SessionEffect::SetLocal { name } if matches!(name.as_str(), "client_encoding" | "names") => {
                    // The value: what stands last, but for `false)` of set_config.
                    let is_value = |token: &&Token| {
                        token.kind != TokenKind::Close && token.kind != TokenKind::Symbol && !token.is_keyword(&analysis.text, "false")
                    };
                    let value = statement.tokens.iter().rev().find(is_value);
                    let last = value.map(|token| token.identifier(&analysis.text).to_ascii_lowercase());
                    let encoding: String = last.unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
                    if !matches!(encoding.as_str(), "utf8" | "unicode") {
                        let message = "conversion between UTF8 and another client encoding is not supported";
                        return Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
                            .with_hint("Flywheel speaks UTF8 to clients: leave client_encoding at UTF8.")
                            .into());
                    }
                }
                SessionEffect::Pins(Pin::LastValue) if !self.is_pinned() && self.status == TransactionStatus::Idle => {
                    // The sequence may have been used on a connection that has gone back to the pool.
                    self.pin(Pin::LastValue);
                    let message = "the sequence value of an earlier statement isn't known any more: it was made on a pooled connection";
                    return Err(PgError::error(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                        .with_hint(
                            "Use INSERT … RETURNING, or ask in the same transaction. From now on this session keeps its connection, so that asking works.",
                        )
                        .into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether a statement that controls the transaction has more to do than the server can: there are writes to store tables.
    pub(super) fn must_handle(&self, verb: Verb) -> bool {
        // A BEGIN in a block is PostgreSQL's to warn of.
        verb.is_transaction_control() && verb != Verb::Begin && !self.block.writes.is_empty()
    }

    /// A transaction control statement while writes to store tables wait. The answer's tag.
    pub(super) async fn transaction_control(&mut self, analysis: &Analysis, position: usize) -> Outcome<String> {
        let statement = &analysis.statements[position];
        match statement.verb {
            Verb::Commit if self.status != TransactionStatus::Failed => {
                let tag = self.commit(analysis.statement_text(position)).await?;
                if self.status == TransactionStatus::InTransaction && statement.chains(&analysis.text) {
                    self.block.begin(&self.settings);
                }
                Ok(tag)
            }
            Verb::PrepareTransaction => {
                let message = "a transaction that has written to store tables can't be prepared for a two-phase commit";
                Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
                    .with_hint("Use COMMIT.")
                    .into())
            }
            _ => {
                let tag = self.on_server(analysis.statement_text(position)).await?;
                self.report_settings();
                self.note_completed(analysis, position, &tag).await?;
                Ok(tag)
            }
        }
    }

    /// The block is over, in PostgreSQL too.
    pub(super) fn end_block(&mut self, rolled_back: bool) {
        self.pins.end_block(rolled_back);
        self.undefined |= rolled_back && self.block.redefined;
        let uncreated = self.block.end(rolled_back, &mut self.settings);
        self.settle_writes();
        self.uncreated.extend(uncreated);
        self.note_settings();
    }

    /// Runs a statement on the server, its answer kept back; its tag.
    pub(crate) async fn on_server(&mut self, sql: &str) -> Outcome<String> {
        Ok(self.on_server_with_notices(sql).await?.tag)
    }

    /// The same, with the notices that the client is to get.
    pub(crate) async fn on_server_with_notices(&mut self, sql: &str) -> Outcome<Answer> {
        let last = self.results_on_server(sql).await?.into_iter().next_back().unwrap_or_default();
        let mut answer = Answer::tagged(last.tag);
        for notice in &last.notices {
            answer.push_notice(notice.raw());
        }
        Ok(answer)
    }

    /// The same; the results of all its statements.
    pub(crate) async fn results_on_server(&mut self, sql: &str) -> Outcome<Vec<Rows>> {
        self.replicas.note_write();
        let lease = self.server().await?;
        match lease.query(sql).await {
            Ok(results) => {
                self.follow_server();
                self.settle_writes_at_rest();
                Ok(results)
            }
            Err(error) => Err(self.server_failed(&error)),
        }
    }

    /// Tells the client of settings that a statement run in its place has changed: `SET LOCAL` ends with the block.
    pub(crate) fn report_settings(&mut self) {
        let Some(lease) = &self.lease else { return };
        for (name, value) in lease.parameters() {
            if let Some(known) = self.reported.get_mut(name)
                && known != value
                && !matches!(
                    name.as_str(),
                    "session_authorization" | "application_name" | "client_encoding" | "is_superuser"
                )
            {
                backend::parameter_status(&mut self.client.out, name, value);
                known.clone_from(value);
            }
        }
    }

    /// Puts PostgreSQL's side of an open block into the failed state, after an error that arose on Flywheel's side.
    pub(super) async fn fail_block(&mut self, error: &PgError) -> Outcome<()> {
        if self.status != TransactionStatus::InTransaction {
            return Ok(());
        }
        let raise = format!(
            "DO $flywheel$ BEGIN RAISE EXCEPTION USING ERRCODE = {}, MESSAGE = {}; END $flywheel$",
            literal(error.code()),
            literal(&error.message().replace("$flywheel$", ""))
        );
        match self.on_server(&raise).await {
            Err(session @ Failure::Session(_)) => Err(session),
            _ => Ok(()),
        }
    }

    /// DEALLOCATE of statements that were prepared by protocol: they go by other names on the server. `None`: it is the server's business.
    pub(super) fn deallocate(&mut self, analysis: &Analysis) -> Option<(&'static str, Vec<Undo>)> {
        let [statement] = &analysis.statements[..] else { return None };
        let name = deallocated(statement, &analysis.text)?;
        if !self.deallocates(analysis, 0) {
            return None;
        }
        if name == "all" {
            let named = |name: &String, _: &mut _| !name.is_empty();
            let gone = self.statements.extract_if(named);
            let undos = gone
                .map(|(name, before)| Undo {
                    name,
                    before: Some(before),
                })
                .collect();
            return Some(("DEALLOCATE ALL", undos));
        }
        let before = Some(self.statements.remove(name.as_ref())?);
        let name = name.into_owned();
        Some(("DEALLOCATE", vec![Undo { name, before }]))
    }

    /// Whether a statement, maybe among others, is a DEALLOCATE that isn't the server's business.
    pub(super) fn deallocates(&self, analysis: &Analysis, position: usize) -> bool {
        let Some(name) = deallocated(&analysis.statements[position], &analysis.text) else {
            return false;
        };
        // Statements prepared by SQL are on the server; all of its statements go together.
        let is_ours = match name.as_ref() {
            // Among others it is relayed like them: the server's statements are made again on demand.
            "all" => !self.is_pinned() && analysis.statements.len() == 1,
            name => self.statements.contains_key(name),
        };
        is_ours && self.status != TransactionStatus::Failed
    }

    /// Relays one statement of a text; its ReadyForQuery is kept back.
    pub(super) async fn relay_part(&mut self, analysis: &Arc<Analysis>, position: usize, text: &str) -> Outcome<()> {
        self.note_writes(analysis, position..position + 1, &Parameters::default());
        let lease = self.server().await?;
        if let Err(error) = lease.put_query(text) {
            return Err(self.server_failed(&error));
        }
        self.unnamed_on_server = None;
        self.send_to_server().await?;
        let step = Step::Query {
            analysis: analysis.clone(),
            first: position,
            show_ready: false,
        };
        if self.drain(VecDeque::from([step])).await?.failed {
            Err(Failure::Told)
        } else {
            Ok(())
        }
    }
}

/// The name that DEALLOCATE names, or `all`.
fn deallocated<'t>(statement: &Statement, text: &'t str) -> Option<Cow<'t, str>> {
    let is_deallocate = statement.tokens.first()?.is_keyword(text, "deallocate");
    is_deallocate
        .then(|| statement.tokens.last().map(|last| last.identifier(text)))
        .flatten()
}

fn savepoint_name(statement: &Statement, text: &str) -> String {
    statement
        .tokens
        .last()
        .map(|token| token.identifier(text).into_owned())
        .unwrap_or_default()
}
