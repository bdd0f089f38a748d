//! Texts of a session whose `standard_conforming_strings` is off. They are put so that they mean
//! the same with it on as soon as they come in; so nothing that reads or keeps them needs to know
//! the setting.

use std::borrow::Cow;

use flywheel_sql::{Pin, SessionEffect, Statement, Verb, conforming, needs_conforming};
use flywheel_statement::Analysis;
use flywheel_wire::{PgError, sqlstate};

use super::Session;
use super::parts::{CLIENT_ENCODING, CONFORMING_STRINGS, Message};

/// Texts of a session, whose setting may be off.
pub(super) struct Strings<'s> {
    pub(super) session: &'s Session,
}

impl Strings<'_> {
    /// What came in with the setting on can't be sent with it off, when it has a backslash in an
    /// ordinary string.
    pub(crate) fn check_conforming(&self, text: &str) -> Result<(), PgError> {
        if !text.contains('\\') || !self.runs_escapes() || !needs_conforming(text) {
            return Ok(());
        }
        let message = "the statement was read with standard_conforming_strings on, and can't be carried out with it off";
        Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message).with_hint(
            "Write backslashes in E'…' strings, or send the statement again after the SET.",
        ))
    }

    /// Whether backslashes in ordinary strings are escapes on the server connection, of which the
    /// client may be told later.
    fn runs_escapes(&self) -> bool {
        match self.session.upstream.lease() {
            Some(lease) => {
                lease.parameters().get(CONFORMING_STRINGS).is_some_and(|value| value == "off")
            }
            None => self.session.settings.reads_escapes(),
        }
    }

    /// Puts a message that is gathered so that it reads with the setting on.
    ///
    /// PostgreSQL doesn't tell of a setting before Sync: behind what may change this one, a text
    /// that depends on it is refused.
    pub(super) fn conform(&self, message: &mut Message) -> Result<(), PgError> {
        let Message::Parse(parse) = message else { return Ok(()) };
        if !parse.query.contains('\\') {
            return Ok(());
        }
        if self.may_change(CONFORMING_STRINGS, self.session.settings.reads_escapes())
            && conforming(&parse.query).is_some()
        {
            let message = "a text with a backslash in a string can't be read behind what may change standard_conforming_strings";
            return Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
                .with_hint("Send Sync before it, or write the backslash in an E'…' string."));
        }
        if let Cow::Owned(conforming) = self.session.settings.conforming(&parse.query) {
            parse.query = conforming;
        }
        Ok(())
    }

    /// Whether one of the messages that wait for Sync may change `client_encoding`.
    pub(super) fn may_change_encoding(&self) -> bool {
        self.may_change(CLIENT_ENCODING, !self.session.settings.charset().is_utf8())
    }

    /// Whether one of them may change this setting. `is_set`: the end of a block may, too.
    fn may_change(&self, setting: &str, is_set: bool) -> bool {
        let messages = self.session.batch.messages();
        let mut analyses = messages.filter_map(|message| {
            self.session.prepared.analysis_of(message, &self.session.shared.analyses)
        });
        let changes =
            |statement: &Statement, analysis: &Analysis| match (&statement.session, statement.verb)
            {
                (SessionEffect::Set { name } | SessionEffect::Reset { name: Some(name) }, _) => {
                    name == setting
                }
                (SessionEffect::SetLocal { name }, _) => name == setting || name == "set_config",
                (SessionEffect::ResetLocal { name }, _) => name == setting,
                (SessionEffect::Reset { name: None } | SessionEffect::DiscardAll, _) => true,
                (SessionEffect::Pins(Pin::Configuration) | SessionEffect::Leaves(_), _) => true,
                (_, Verb::Commit | Verb::Rollback | Verb::RollbackTo) => is_set,
                _ => statement.has_word(&analysis.text, |word| word == "pg_settings"),
            };
        analyses.any(|analysis| {
            analysis.statements.iter().any(|statement| changes(statement, &analysis))
        })
    }
}
