//! Server connections that are lost.

use flywheel_wire::PgError;

/// Whether an error says that the connection has broken, or was ended by the server.
pub(super) fn is_lost(error: &PgError) -> bool {
    matches!(error.code(), "08006" | "57P01" | "57P02")
}
