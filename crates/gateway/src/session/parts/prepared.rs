//! The client's prepared statements and portals.

use std::collections::HashMap;
use std::sync::Arc;

use flywheel_execute::{BoundPortal, PreparedStatement};

/// What the client has prepared and bound.
#[derive(Default)]
pub(crate) struct Prepared {
    pub(crate) statements: HashMap<String, Arc<PreparedStatement>>,
    pub(crate) portals: HashMap<String, BoundPortal>,
    /// How often statements have changed the session: its settings, its role, what it keeps.
    pub(crate) changes: u64,
}
