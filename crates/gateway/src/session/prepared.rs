//! A client's prepared statements and portals.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;

use crate::analysis::Analysis;
use crate::execute::{Answer, StoreStatement};

/// A statement that the client has parsed.
#[derive(Debug)]
pub(crate) struct PreparedStatement {
    pub(crate) analysis: Arc<Analysis>,
    /// Parameter types as the client gave them.
    pub(crate) types: Vec<u32>,
    /// The name it has on every server connection that knows it: made of its content, so that clients share it. Empty for the unnamed
    /// statement, which is parsed anew.
    pub(crate) server_name: String,
    /// Its plan, when it names a store table.
    pub(crate) store: Option<Arc<StoreStatement>>,
}

impl PreparedStatement {
    pub(crate) fn new(name: &str, analysis: Arc<Analysis>, types: Vec<u32>, store: Option<Arc<StoreStatement>>) -> Self {
        let server_name = if name.is_empty() {
            String::new()
        } else {
            content_name(&analysis.text, &types)
        };
        Self {
            analysis,
            types,
            server_name,
            store,
        }
    }

    /// Whether Flywheel answers it rather than a server.
    pub(crate) fn is_local(&self) -> bool {
        self.store.as_ref().is_some_and(|store| !store.is_relayed())
    }
}

/// 128 bits of the content: clients that prepare the same text with the same types use the same statement.
fn content_name(text: &str, types: &[u32]) -> String {
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        (seed, text, types).hash(&mut hasher);
        hasher.finish()
    };
    format!("flywheel_{:016x}{:016x}", half(0), half(1))
}

/// A statement with parameters bound.
#[derive(Debug)]
pub(crate) struct BoundPortal {
    pub(crate) statement: Arc<PreparedStatement>,
    pub(crate) formats: Vec<i16>,
    pub(crate) values: Vec<Option<Bytes>>,
    pub(crate) result_formats: Vec<i16>,
    /// What is left of its answer when a row limit has suspended it.
    pub(crate) answer: Option<Answer>,
}
