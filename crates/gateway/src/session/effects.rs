//! What statements do to the session: it is noted once they are done.

use flywheel_sql::lex::TokenKind;
use flywheel_sql::{Pin, SessionEffect, Statement, Traces, Verb, prepared};
use flywheel_statement::{Analysis, changes_rights};

use super::parts::creates_temporary;
use super::{Outcome, PreparedStatement, Session};

impl Session {
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
            if let Some(lease) = self.held_server() {
                lease.doubt_all_prepared();
            }
            self.prepared.statements.retain(|name, _| name.is_empty());
        }
        if tag == "CLOSE CURSOR ALL" {
            self.prepared.portals.retain(|_, portal| !portal.statement.is_local());
        }
        let Some(statement) = analysis.statements.get(position) else {
            return Ok(());
        };
        let text = &analysis.text;
        if let ("DEALLOCATE", Some(name)) = (tag, statement.tokens.last()) {
            self.prepared.statements.remove(name.identifier(text).as_ref());
        }
        match statement.verb {
            Verb::Begin => {
                // What was set before it in the same text or batch is part of the block.
                let before = self.transaction.undo.take();
                self.transaction.block.begin(before.as_ref().unwrap_or(&self.settings.now));
                self.transaction.block.says_isolation |=
                    statement.tokens.iter().any(|token| token.is_keyword(text, "isolation"));
                self.transaction.is_batch = false;
            }
            // COMMIT of a failed block is answered with ROLLBACK.
            Verb::Commit | Verb::Rollback | Verb::PrepareTransaction => {
                // Without a block it is the implicit transaction of a text or batch that ends.
                if let (Some(before), "ROLLBACK") = (self.transaction.undo.take(), tag) {
                    self.settings.now = before;
                }
                self.settle_listening(tag != "ROLLBACK");
                self.end_block(tag == "ROLLBACK");
                self.transaction.is_batch = false;
                if statement.chains(text) {
                    self.transaction.block.begin(&self.settings.now);
                    self.transaction.block.says_isolation = true;
                }
                // A prepared transaction may have been of any session.
                if tag.ends_with(" PREPARED") {
                    self.transaction.redefined.add_all(self.shared.stores.catalogue.configured());
                }
            }
            Verb::Savepoint => {
                let name = savepoint_name(statement, text);
                self.listening.savepoint(&name);
                self.transaction.block.savepoint(name, &self.settings.now)
            }
            Verb::RollbackTo => {
                let name = savepoint_name(statement, text);
                self.listening.rollback_to(&name);
                let unmarked = self.transaction.block.rollback_to(&name, &mut self.settings.now);
                self.transaction.unmarked.extend(unmarked);
                self.note_settings();
            }
            Verb::Release => {
                let name = savepoint_name(statement, text);
                self.listening.release(&name);
                self.transaction.block.release(&name)
            }
            Verb::Prepare if tag == "PREPARE" => {
                if let Some((name, inner)) = prepared(text, &statement.tokens) {
                    let inner = self.shared.analyses.of(&text[inner]);
                    self.note_prepared(
                        name.clone(),
                        PreparedStatement::by_sql(name, inner, Vec::new(), None),
                    );
                }
            }
            verb if verb.is_definition() => {
                self.shared.stores.catalogue.touch();
                self.transaction.block.note_definition();
                self.note_definition(statement.session.pins().contains(&Pin::TemporaryObject));
                self.note_defined(statement, text);
            }
            Verb::CreateIndex => self.note_definition(false),
            _ if changes_rights(statement, text) => {
                self.shared.stores.catalogue.replan();
                self.transaction.block.note_definition();
            }
            _ => {}
        }
        self.note_effect(statement, analysis, position);
        Ok(())
    }

    /// Notes what a statement leaves behind in the session, whoever has answered it.
    pub(crate) fn note_effect(
        &mut self,
        statement: &Statement,
        analysis: &Analysis,
        position: usize,
    ) {
        self.prepared.changes += u64::from(statement.session != SessionEffect::None);
        if matches!(statement.session, SessionEffect::Set { .. } | SessionEffect::Reset { .. })
            && !self.transaction.block.is_open()
        {
            self.transaction.undo.get_or_insert_with(|| self.settings.now.clone());
        }
        match &statement.session {
            SessionEffect::None => {}
            SessionEffect::Set { name } if name == "session authorization" => {
                // The role goes with it.
                self.settings.change().reset("role");
                self.pin(Pin::SessionUser);
            }
            SessionEffect::ResetLocal { name } => {
                let value = self.settings.base.get(name).unwrap_or("DEFAULT").to_owned();
                self.transaction.block.set_local(name, &value);
            }
            SessionEffect::SetLocal { name } => {
                let text = analysis.statement_text(position);
                if statement.tokens.iter().any(|token| token.kind == TokenKind::Parameter) {
                    // Its value isn't in its text.
                    self.transaction
                        .block
                        .set_local(name, &format!("{text} {:x}", rand::random::<u128>()));
                } else {
                    self.transaction.block.set_local(name, text);
                }
            }
            SessionEffect::Set { name } => {
                if name == "search_path" && creates_temporary(analysis.statement_text(position)) {
                    // What is created may be temporary without saying so.
                    self.pin(Pin::TemporaryObject);
                }
                self.transaction.block.forget_local(name);
                let text = analysis.statement_text(position);
                if !self.charset().is_utf8() && !text.is_ascii() {
                    // PostgreSQL is asked what it has made of it.
                    return self.note_traces(&Traces::named(name.clone()));
                }
                self.settings.change().set(name, text);
                self.note_settings();
            }
            SessionEffect::Reset { name } => {
                match name {
                    Some(name) if name == "session authorization" => {
                        self.settings.change().reset("role")
                    }
                    Some(name) => {
                        self.transaction.block.forget_local(name);
                        self.settings.reset(Some(name));
                    }
                    None => {
                        self.transaction.block.forget_locals();
                        self.settings.reset(None);
                    }
                }
                self.note_settings();
            }
            SessionEffect::DiscardAll => {
                self.settings.discard();
                self.prepared.portals.clear();
                self.upstream.pins.discard();
                self.listening.discard();
                self.upstream.learning.forget_settings();
                self.note_settings();
            }
            SessionEffect::Pins(Pin::LastValue) if only_mentions(statement, &analysis.text) => {}
            SessionEffect::Pins(pin) => self.pin(*pin),
            SessionEffect::Leaves(traces) => self.note_traces(traces),
            SessionEffect::Listen { channel } => self.note_listen(channel),
            SessionEffect::Unlisten { channel } => self.note_unlisten(channel.as_deref()),
            SessionEffect::Releases => self.upstream.pins.note_release(),
        }
    }

    /// The server connection has the session's settings, since the statement that changed them ran
    /// on it.
    pub(super) fn note_settings(&mut self) {
        self.upstream.note_settings(&self.settings.now);
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
