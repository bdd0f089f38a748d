//! What statements do to the session: it is noted once they are done.

use flywheel_sql::lex::TokenKind;
use flywheel_sql::{Pin, SessionEffect, Statement, Traces, Verb, prepared};
use flywheel_statement::{Analysis, changes_rights};

use super::parts::creates_temporary;
use super::{Outcome, PreparedStatement, Session};

/// What statements have done to a session.
pub(super) struct Effects<'s> {
    pub(super) session: &'s mut Session,
}

impl Effects<'_> {
    /// Notes what a statement that the server has carried out did to the session. `tag` is the
    /// server's command tag.
    pub(super) async fn note_completed(
        &mut self,
        analysis: &Analysis,
        position: usize,
        tag: &str,
    ) -> Outcome<()> {
        if analysis.is_plain {
            return Ok(());
        }
        if matches!(tag, "DEALLOCATE ALL" | "DISCARD ALL") {
            // Statements of other clients were among them.
            if let Some(lease) = self.session.held_server() {
                lease.doubt_all_prepared();
            }
            self.session.prepared.statements.retain(|name, _| name.is_empty());
        }
        if tag == "CLOSE CURSOR ALL" {
            self.session.prepared.portals.retain(|_, portal| !portal.statement.is_local());
        }
        let Some(statement) = analysis.statements.get(position) else {
            return Ok(());
        };
        let text = &analysis.text;
        if let ("DEALLOCATE", Some(name)) = (tag, statement.tokens.last()) {
            self.session.prepared.statements.remove(name.identifier(text).as_ref());
        }
        match statement.verb {
            Verb::Begin => {
                // What was set before it in the same text or batch is part of the block.
                let before = self.session.transaction.undo.take();
                self.session
                    .transaction
                    .block
                    .begin(before.as_ref().unwrap_or(&self.session.settings.now));
                self.session.transaction.block.says_isolation |=
                    statement.tokens.iter().any(|token| token.is_keyword(text, "isolation"));
                self.session.transaction.is_batch = false;
            }
            // COMMIT of a failed block is answered with ROLLBACK.
            Verb::Commit | Verb::Rollback | Verb::PrepareTransaction => {
                // Without a block it is the implicit transaction of a text or batch that ends.
                if let (Some(before), "ROLLBACK") = (self.session.transaction.undo.take(), tag) {
                    self.session.settings.now = before;
                }
                self.session.listener().settle_listening(tag != "ROLLBACK");
                self.session.control().end_block(tag == "ROLLBACK");
                self.session.transaction.is_batch = false;
                if statement.chains(text) {
                    self.session.transaction.block.begin(&self.session.settings.now);
                    self.session.transaction.block.says_isolation = true;
                }
                // A prepared transaction may have been of any session.
                if tag.ends_with(" PREPARED") {
                    self.session
                        .transaction
                        .redefined
                        .add_all(self.session.shared.stores.catalogue.configured());
                }
            }
            Verb::Savepoint => {
                let name = savepoint_name(statement, text);
                self.session.listening.savepoint(&name);
                self.session.transaction.block.savepoint(name, &self.session.settings.now)
            }
            Verb::RollbackTo => {
                let name = savepoint_name(statement, text);
                self.session.listening.rollback_to(&name);
                let unmarked = self
                    .session
                    .transaction
                    .block
                    .rollback_to(&name, &mut self.session.settings.now);
                self.session.transaction.unmarked.extend(unmarked);
                self.session.upstream.note_settings(&self.session.settings.now);
            }
            Verb::Release => {
                let name = savepoint_name(statement, text);
                self.session.listening.release(&name);
                self.session.transaction.block.release(&name)
            }
            Verb::Prepare if tag == "PREPARE" => {
                if let Some((name, inner)) = prepared(text, &statement.tokens) {
                    let inner = self.session.shared.analyses.of(&text[inner]);
                    self.session.statement_names().note_prepared(
                        name.clone(),
                        PreparedStatement::by_sql(name, inner, Vec::new(), None),
                    );
                }
            }
            verb if verb.is_definition() => {
                self.session.shared.stores.catalogue.touch();
                self.session.transaction.block.note_definition();
                self.session
                    .guard()
                    .note_definition(statement.session.pins().contains(&Pin::TemporaryObject));
                self.session.learner().note_defined(statement, text);
            }
            Verb::CreateIndex => self.session.guard().note_definition(false),
            _ if changes_rights(statement, text) => {
                self.session.shared.stores.catalogue.replan();
                self.session.transaction.block.note_definition();
            }
            _ => {}
        }
        self.note(statement, analysis, position);
        Ok(())
    }

    /// Notes what a statement leaves behind in the session, whoever has answered it.
    pub(crate) fn note(&mut self, statement: &Statement, analysis: &Analysis, position: usize) {
        self.session.prepared.changes += u64::from(statement.session != SessionEffect::None);
        if matches!(statement.session, SessionEffect::Set { .. } | SessionEffect::Reset { .. })
            && !self.session.transaction.block.is_open()
        {
            self.session.transaction.undo.get_or_insert_with(|| self.session.settings.now.clone());
        }
        match &statement.session {
            SessionEffect::None => {}
            SessionEffect::Set { name } if name == "session authorization" => {
                // The role goes with it.
                self.session.settings.change().reset("role");
                self.session.pin(Pin::SessionUser);
            }
            SessionEffect::ResetLocal { name } => {
                let value = self.session.settings.base.get(name).unwrap_or("DEFAULT").to_owned();
                self.session.transaction.block.set_local(name, &value);
            }
            SessionEffect::SetLocal { name } => {
                let text = analysis.statement_text(position);
                if statement.tokens.iter().any(|token| token.kind == TokenKind::Parameter) {
                    // Its value isn't in its text.
                    self.session
                        .transaction
                        .block
                        .set_local(name, &format!("{text} {:x}", rand::random::<u128>()));
                } else {
                    self.session.transaction.block.set_local(name, text);
                }
            }
            SessionEffect::Set { name } => {
                if name == "search_path" && creates_temporary(analysis.statement_text(position)) {
                    // What is created may be temporary without saying so.
                    self.session.pin(Pin::TemporaryObject);
                }
                self.session.transaction.block.forget_local(name);
                let text = analysis.statement_text(position);
                if !self.session.settings.charset().is_utf8() && !text.is_ascii() {
                    // PostgreSQL is asked what it has made of it.
                    return self.session.learner().note_traces(&Traces::named(name.clone()));
                }
                self.session.settings.change().set(name, text);
                self.session.upstream.note_settings(&self.session.settings.now);
            }
            SessionEffect::Reset { name } => {
                match name {
                    Some(name) if name == "session authorization" => {
                        self.session.settings.change().reset("role")
                    }
                    Some(name) => {
                        self.session.transaction.block.forget_local(name);
                        self.session.settings.reset(Some(name));
                    }
                    None => {
                        self.session.transaction.block.forget_locals();
                        self.session.settings.reset(None);
                    }
                }
                self.session.upstream.note_settings(&self.session.settings.now);
            }
            SessionEffect::DiscardAll => {
                self.session.settings.discard();
                self.session.prepared.portals.clear();
                self.session.upstream.pins.discard();
                self.session.listening.discard();
                self.session.upstream.learning.forget_settings();
                self.session.upstream.note_settings(&self.session.settings.now);
            }
            SessionEffect::Pins(Pin::LastValue) if only_mentions(statement, &analysis.text) => {}
            SessionEffect::Pins(pin) => self.session.pin(*pin),
            SessionEffect::Leaves(traces) => self.session.learner().note_traces(traces),
            SessionEffect::Listen { channel } => self.session.listener().note_listen(channel),
            SessionEffect::Unlisten { channel } => {
                self.session.listener().note_unlisten(channel.as_deref())
            }
            SessionEffect::Releases => self.session.upstream.pins.note_release(),
        }
    }
}

/// Whether the functions that a statement calls are called by others later, if at all: it defines
/// something, prepares a statement, or explains one.
pub(super) fn only_mentions(statement: &Statement, text: &str) -> bool {
    let has = |word| statement.has_keyword(text, word);
    match statement.verb {
        Verb::Explain => !has("analyze") && !has("analyse"),
        Verb::CreateTable => !has("as"),
        Verb::OtherDefinition => !has("materialized"),
        Verb::AlterTable => !has("add") && !has("type"),
        _ => false,
    }
}

fn savepoint_name(statement: &Statement, text: &str) -> String {
    statement.tokens.last().map(|token| token.identifier(text).into_owned()).unwrap_or_default()
}
