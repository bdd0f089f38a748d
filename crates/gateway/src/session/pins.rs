//! What ties the session to its server connection, and whether it still does.

use flywheel_sql::Pin;

use super::Session;

impl Session {
    /// Keeps the server connection with this session while it has something of its on it.
    pub(crate) fn pin(&mut self, pin: Pin) {
        if self.upstream.pins.is_empty() {
            tracing::debug!(
                user = self.identity.user,
                reason = pin.reason(),
                "server connection stays with its client"
            );
        }
        self.upstream.pins.add(pin, self.transaction.block.is_open());
    }

    /// Something of the session's on its server connection may be gone.
    pub(super) fn note_release(&mut self) {
        self.upstream.pins.note_release();
    }

    pub(crate) fn is_pinned(&self) -> bool {
        !self.upstream.pins.is_empty()
    }
}
