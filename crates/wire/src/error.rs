//! Errors and notices as PostgreSQL reports them (protocol-error-fields).

use std::borrow::Cow;
use std::fmt;

use crate::reader::Reader;
use crate::{Charset, SqlState};

/// The order in which PostgreSQL sends the fields (its `send_message_to_frontend`).
const FIELD_ORDER: &[u8] = b"SVCMDHWPpqstcdnFLR";

/// How bad it is: an ERROR ends the statement, a FATAL the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The session ends.
    Fatal,
    /// The statement goes on.
    Warning,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Warning => "WARNING",
        }
    }
}

/// One ErrorResponse: a list of fields by code, whether made here or read from a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgError {
    fields: Vec<(u8, Cow<'static, str>)>,
}

impl std::error::Error for PgError {}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.field(b'S').unwrap_or("ERROR"), self.message(), self.code())?;
        self.field(b'H').map_or(Ok(()), |hint| write!(f, "; hint: {hint}"))
    }
}

impl PgError {
    /// An error with severity, SQLSTATE and message.
    pub fn new(severity: Severity, state: SqlState, message: impl Into<Cow<'static, str>>) -> Self {
        let severity = Cow::Borrowed(severity.as_str());
        Self {
            fields: vec![
                (b'S', severity.clone()),
                (b'V', severity),
                (b'C', Cow::Borrowed(state.0)),
                (b'M', message.into()),
            ],
        }
    }

    /// A statement's error.
    pub fn error(state: SqlState, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Severity::Error, state, message)
    }

    /// A session's end.
    pub fn fatal(state: SqlState, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Severity::Fatal, state, message)
    }

    /// With a HINT: what the reader can do.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.with_field(b'H', hint)
    }

    /// With a DETAIL.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.with_field(b'D', detail)
    }

    /// With any other field, in place of what it was, by its code: `s` schema, `t` table, `c`
    /// column, `n` constraint, `P` position.
    #[must_use]
    pub fn with_field(mut self, code: u8, value: impl Into<Cow<'static, str>>) -> Self {
        self.fields.retain(|(each, _)| *each != code);
        self.fields.push((code, value.into()));
        let place = |code: u8| {
            FIELD_ORDER.iter().position(|&each| each == code).unwrap_or(FIELD_ORDER.len())
        };
        self.fields.sort_by_key(|(code, _)| place(*code));
        self
    }

    /// Reads the body of an ErrorResponse or NoticeResponse. What isn't UTF-8 is replaced: an error
    /// must get through.
    #[must_use]
    pub fn read(body: &[u8]) -> Self {
        Self::read_in(Charset::Utf8, body)
    }

    /// The same of texts that are to be read in this way.
    #[must_use]
    pub fn read_in(charset: Charset, body: &[u8]) -> Self {
        let mut reader = Reader::new(body);
        let mut fields = Vec::new();
        while let Some(code) = reader.u8().filter(|&code| code != 0) {
            let Some(value) = reader.cstr() else { break };
            let value = charset.read(value).unwrap_or_else(|| String::from_utf8_lossy(value));
            fields.push((code, Cow::Owned(value.into_owned())));
        }
        Self { fields }
    }

    /// The same error as the end of the session.
    #[must_use]
    pub fn into_fatal(self) -> Self {
        self.with_severity(Severity::Fatal)
    }

    /// The same error as the end of a statement only.
    #[must_use]
    pub fn into_error(self) -> Self {
        self.with_severity(Severity::Error)
    }

    fn with_severity(mut self, severity: Severity) -> Self {
        for (code, value) in &mut self.fields {
            if matches!(code, b'S' | b'V') {
                *value = Cow::Borrowed(severity.as_str());
            }
        }
        self
    }

    /// All fields, in the order they are sent.
    #[must_use]
    pub fn fields(&self) -> &[(u8, Cow<'static, str>)] {
        &self.fields
    }

    /// The field with this code.
    #[must_use]
    pub fn field(&self, code: u8) -> Option<&str> {
        self.fields.iter().find(|(each, _)| *each == code).map(|(_, value)| value.as_ref())
    }

    /// The SQLSTATE.
    #[must_use]
    pub fn code(&self) -> &str {
        self.field(b'C').unwrap_or("XX000")
    }

    /// The primary message.
    #[must_use]
    pub fn message(&self) -> &str {
        self.field(b'M').unwrap_or_default()
    }

    /// Whether it ends the session.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self.field(b'V').or_else(|| self.field(b'S')), Some("FATAL" | "PANIC"))
    }
}
