//! TLS: who shows which certificate, and whom it convinces. rustls, with ring.
//!
//! - [`Acceptor`]: the gateway's side of a client's connection.
//! - [`Connector`]: the gateway's side of a connection to a server, as strict as [`Trust`] says.
//! - [`Pem`]: what certificates and keys are made of, and which of them is broken.
//! - [`end_of_stream`]: what both sides make of a peer that leaves without a farewell.
//!
//! Both can be given other certificates while they are in use: connections that begin from then on
//! have those.

mod acceptor;
mod certificate;
mod connector;
mod pem;
mod trust;

use std::io;
use std::sync::Arc;
use std::task::Poll;

pub use acceptor::{Accepted, Acceptor, ClientTls};
pub use connector::{Connector, ServerTls, binding};
pub use pem::{Flaw, Part, Pem};
use rustls::crypto::CryptoProvider;
pub use trust::Trust;

/// The protocol's name in ALPN.
pub const ALPN: &[u8] = b"postgresql";

/// ring, whether or not the process has a provider already.
fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}

/// A peer that closes its socket without a farewell in TLS has closed it all the same. Messages
/// tell where they end, so that nothing can be cut off unseen.
pub fn end_of_stream(read: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
    match read {
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Poll::Ready(Ok(()))
        }
        read => read,
    }
}
