//! Who the client is.

use std::sync::Arc;

use crate::access::Access;
use crate::options::PoolMode;
use crate::roster::Entry;
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
    /// The session as operators see it.
    pub(crate) entry: Entry,
}

impl Identity {
    /// The same user, for what is done behind the session: no cancel request reaches it, and no
    /// operator sees it.
    pub(crate) fn aside(&self) -> Self {
        let registered = self.registered.another();
        Self {
            user: self.user.clone(),
            access: self.access.clone(),
            mode: self.mode,
            entry: self.entry.another(registered.process_id),
            registered,
        }
    }
}
