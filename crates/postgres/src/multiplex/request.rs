//! What is sent over a shared connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{Known, Settings};

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
    /// It binds a prepared statement where the client has sent a Parse of the unnamed one:
    /// ParseComplete is put in front of the answer.
    Parsed,
    /// It binds a prepared statement where the client has sent a Query: BindComplete is kept back.
    Query,
}

impl Form {
    /// How old the prepared statement may be, which the client hasn't asked for: definitions may
    /// have changed since, unseen, so that parameters would be of other types.
    pub(super) fn max_age(self) -> Duration {
        match self {
            Self::Verbatim => Duration::MAX,
            Self::Parsed | Self::Query => Duration::from_secs(1),
        }
    }
}

/// What ends a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The Query that it is.
    Query,
    /// A Sync, which is put behind it when it is written.
    Sync,
}

/// A batch: one Query, or messages that a Sync is to end. It is a transaction of its own, changes
/// nothing in the database or the session, and may be sent again.
#[derive(Debug, Clone)]
pub struct Request {
    /// The messages, without a Sync.
    pub messages: Bytes,
    /// What ends them.
    pub ending: Ending,
    /// The prepared statement that they use.
    pub named: Option<Named>,
    /// The settings of the session.
    pub settings: Arc<Settings>,
    /// It has always been quick, with a small answer.
    pub is_quick: bool,
    /// What it stands for.
    pub form: Form,
    /// It may be in one transaction with other clients' executions of the same statement (`group`).
    pub joins: bool,
    /// What its client knows of the prepared statement, where it has prepared it.
    pub known: Option<Known>,
    /// Its answer has the statement's columns in it: they are to be told to its sender
    /// ([`super::Part::Last`]).
    pub tells_columns: bool,
    pub(super) attempts: u8,
}

impl Request {
    /// A Query as the client has sent it.
    #[must_use]
    pub fn query(messages: Bytes, settings: Arc<Settings>) -> Self {
        Self {
            messages,
            ending: Ending::Query,
            named: None,
            settings,
            is_quick: false,
            form: Form::Verbatim,
            joins: false,
            known: None,
            tells_columns: false,
            attempts: 0,
        }
    }

    /// Messages of the extended protocol, without their Sync.
    #[must_use]
    pub fn batch(
        messages: Bytes,
        named: Option<Named>,
        form: Form,
        settings: Arc<Settings>,
    ) -> Self {
        Self { ending: Ending::Sync, named, form, ..Self::query(messages, settings) }
    }
}
