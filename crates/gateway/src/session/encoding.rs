//! Sessions whose `client_encoding` isn't UTF8. PostgreSQL converts what they send and what it
//! answers; their texts pass through here as they are ([`flywheel_wire::Charset`]).
//!
//! What isn't PostgreSQL's answer isn't converted: statements on store tables are refused, answers
//! in memory and connections of many clients aren't used. A text is sent only while the encoding is
//! the one that it came in.

use flywheel_execute::{PreparedStatement, executes_prepared};
use flywheel_sql::Verb;
use flywheel_statement::Analysis;
use flywheel_wire::{Charset, Frame, PgError, frontend, sqlstate};

use super::Session;
use super::parts::{CLIENT_ENCODING, Message};

fn unsupported(message: &'static str, hint: &'static str) -> PgError {
    PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message).with_hint(hint)
}

/// Texts of a session whose encoding may be another one than UTF8.
pub(super) struct Encoding<'s> {
    pub(super) session: &'s Session,
}

impl Encoding<'_> {
    fn charset(&self) -> Charset {
        self.session.settings.charset()
    }

    /// A message that is gathered. Names of statements and portals outside ASCII are refused where
    /// PostgreSQL would convert them.
    pub(super) fn read_message(&self, frame: &Frame) -> Result<Message, PgError> {
        let charset = self.charset();
        if charset.is_utf8() || frame.body().is_ascii() {
            return Message::read(frame);
        }
        let is_named = match frame.tag() {
            frontend::tag::PARSE | frontend::tag::BIND => {
                let mut texts = frame.body().split(|byte| *byte == 0);
                let count = if frame.tag() == frontend::tag::BIND { 2 } else { 1 };
                texts.by_ref().take(count).all(<[u8]>::is_ascii)
            }
            _ => false,
        };
        if !is_named {
            return Err(unsupported(
                "names of prepared statements and portals outside ASCII are supported in UTF8 \
                 only",
                "Give it another name, or set client_encoding to UTF8.",
            ));
        }
        let message = Message::read(charset.readable(frame).as_ref().unwrap_or(frame))?;
        if let Message::Parse(_) = message
            && self.session.strings().may_change_encoding()
        {
            return Err(unsupported(
                "a text outside ASCII can't be read behind what may change client_encoding",
                "Send Sync before it.",
            ));
        }
        Ok(message)
    }

    /// Refuses what can't be carried out for a client whose encoding isn't UTF8.
    pub(super) fn check(&self, analysis: &Analysis) -> Result<(), PgError> {
        if self.charset().is_utf8() {
            return Ok(());
        }
        if analysis.concerns_any_store()
            || executes_prepared(&self.session.prepared.statements, analysis)
        {
            return Err(self.not_converted());
        }
        // What a name outside ASCII leads to isn't known here.
        let is_unguardable = || {
            analysis.statements.iter().any(|statement| {
                let is_first = |word| {
                    let first = statement.tokens.first();
                    first.is_some_and(|first| first.is_keyword(&analysis.text, word))
                };
                statement.verb == Verb::CreateIndex || is_first("call") || is_first("do")
            })
        };
        if !analysis.text.is_ascii()
            && !self.session.shared.stores.twins.is_empty()
            && is_unguardable()
        {
            return Err(unsupported(
                "CALL, DO and CREATE INDEX with characters outside ASCII are supported in UTF8 only \
                 where tables live in stores",
                "SET client_encoding TO UTF8 before it.",
            ));
        }
        Ok(())
    }

    /// The same of a statement that is answered here.
    pub(super) fn check_local(&self, statement: &PreparedStatement) -> Result<(), PgError> {
        if statement.is_local() && !self.charset().is_utf8() {
            return Err(self.not_converted());
        }
        Ok(())
    }

    fn not_converted(&self) -> PgError {
        let encoding =
            self.session.settings.reported.get(CLIENT_ENCODING).map_or("", String::as_str);
        let message =
            format!("rows of store tables aren't converted to client_encoding \"{encoding}\"");
        PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
            .with_hint("SET client_encoding TO UTF8 before the statement.")
    }

    /// A text that came in another encoding than the server connection has now can't be sent.
    pub(super) fn check_came_in(&self, text: &str, came_in: Charset) -> Result<(), PgError> {
        let speaks = match self.session.upstream.lease() {
            Some(lease) => lease.charset(),
            None => self.charset(),
        };
        if text.is_ascii() || speaks == came_in {
            return Ok(());
        }
        Err(unsupported(
            "the statement came in another client_encoding than is set now",
            "Prepare it again, or set client_encoding back.",
        ))
    }
}
