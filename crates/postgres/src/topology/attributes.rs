//! What a server has to be, as libpq's `target_session_attrs` says it (libpq-connect).

use super::Look;

/// What is asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionAttributes {
    /// It answers.
    Any,
    /// It takes writes.
    ReadWrite,
    /// It refuses writes.
    ReadOnly,
    /// It isn't in recovery.
    Primary,
    /// It is in recovery. Also `prefer-standby`: where there is none, the primary answers.
    Standby,
}

impl SessionAttributes {
    pub(super) fn accepts(self, look: &Look) -> bool {
        match self {
            Self::Any => true,
            Self::ReadWrite => !look.in_recovery && !look.read_only,
            Self::ReadOnly => look.in_recovery || look.read_only,
            Self::Primary => !look.in_recovery,
            Self::Standby => look.in_recovery,
        }
    }
}
