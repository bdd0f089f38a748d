//! What is sent over a shared connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::Settings;

/// A prepared statement that a batch binds, by the name it has on servers.
#[derive(Debug, Clone)]
pub struct Named {
    /// The name, made of the statement's content.
    pub name: Arc<str>,
    /// The Parse message that makes it.
    pub parse: Bytes,
}

/// How a batch stands for what the client has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As the client sent it.
    Verbatim,
    /// It binds a prepared statement where the client has sent a Parse of the unnamed one: ParseComplete is put in front of the answer.
    Parsed,
    /// It binds a prepared statement where the client has sent a Query: BindComplete is kept back.
    Query,
}

impl Form {
    /// How old the prepared statement may be, which the client hasn't asked for: definitions may have changed since, unseen, so that parameters would
    /// be of other types.
    pub(super) fn max_age(self) -> Duration {
        match self {
            Self::Verbatim => Duration::MAX,
            Self::Parsed | Self::Query => Duration::from_secs(1),
        }
    }
}

/// A batch: messages that end in one Query or Sync. It is a transaction of its own, changes nothing in the database or the session, and
/// may be sent again.
#[derive(Debug, Clone)]
pub struct Request {
    /// The messages.
    pub messages: Bytes,
    /// The prepared statement that they use.
    pub named: Option<Named>,
    /// The settings of the session.
    pub settings: Arc<Settings>,
    /// It has always been quick, with a small answer.
    pub is_quick: bool,
    /// What it stands for.
    pub form: Form,
    pub(super) attempts: u8,
}

impl Request {
    /// A batch that hasn't been sent.
    #[must_use]
    pub fn new(messages: Bytes, named: Option<Named>, settings: Arc<Settings>, is_quick: bool) -> Self {
        Self {
            messages,
            named,
            settings,
            is_quick,
            form: Form::Verbatim,
            attempts: 0,
        }
    }

    /// The same, standing for something else that the client has sent.
    #[must_use]
    pub fn in_form(self, form: Form) -> Self {
        Self { form, ..self }
    }
}
