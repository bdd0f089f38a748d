//! What TLS has told of a client.

use std::sync::Arc;

/// What TLS has told of a client.
#[derive(Debug)]
pub(super) struct Secured {
    /// The gateway's certificate in PEM, where logins can be bound to it.
    pub(super) bindable: Option<Arc<str>>,
    /// The common name in the client's certificate.
    pub(super) common_name: Option<String>,
}
