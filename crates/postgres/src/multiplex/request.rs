//! What is sent over a shared connection.

use std::sync::Arc;

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
            attempts: 0,
        }
    }
}
