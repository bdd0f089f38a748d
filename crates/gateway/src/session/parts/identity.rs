//! Who the client is.

use std::sync::Arc;

use crate::access::Access;
use crate::options::PoolMode;
use crate::running::Registered;

/// Who the client is, and what that gives it.
pub(crate) struct Identity {
    pub(crate) user: String,
    /// The servers, as the session's role sees them.
    pub(crate) access: Arc<Access>,
    /// For how long the session keeps a server connection.
    pub(crate) mode: PoolMode,
    /// The session among all that run.
    pub(crate) registered: Registered,
}
