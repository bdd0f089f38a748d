//! A store as the file describes it.

use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use flywheel_store::{Exchange, ExchangeOptions, Store};
use serde_json::Value;

use crate::{CommonTable, Section, TableChoices};

/// A store as the file describes it.
#[async_trait]
pub trait Configured: Send + Sync + Debug {
    /// What a table's own keys choose; they are as [`crate::Keys::table`] says. Mistakes are
    /// reported to the section.
    ///
    /// # Errors
    /// The keys aren't as the schema says.
    fn table(
        &self,
        common: &CommonTable,
        keys: Value,
        section: &mut Section<'_>,
    ) -> Result<TableChoices, serde_json::Error>;

    /// Opens it. A server that is down is no error: it may come up later.
    async fn open(&self) -> Result<Opened, OpenError>;

    /// What gateways have in common over this store; `None` where the kind can't.
    fn exchange(&self, options: ExchangeOptions) -> Option<Result<Arc<dyn Exchange>, OpenError>> {
        let _ = options;
        None
    }
}

/// A store that has been opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Arc<dyn Store>,
    /// What is left to do when the gateway stops.
    pub closing: Option<Box<dyn Closing>>,
}

impl Opened {
    /// A store that leaves nothing to do.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, closing: None }
    }
}

/// What is left to do for a store when the gateway stops: rows to be written to a file, a server to
/// be ended.
pub trait Closing: Send + Debug {
    /// Does it. It may block.
    ///
    /// # Errors
    /// It can't be done.
    fn close(self: Box<Self>) -> Result<(), OpenError>;
}

/// A store can't be opened or closed.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct OpenError {
    what: String,
    #[source]
    cause: Box<dyn Error + Send + Sync>,
}

impl OpenError {
    /// What was tried, and why it failed.
    pub fn new(what: impl Into<String>, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { what: what.into(), cause: cause.into() }
    }
}
