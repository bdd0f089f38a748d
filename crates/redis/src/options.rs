//! Which servers a store is on, and how they are spoken to.

use std::time::Duration;

use flywheel_store::StoreError;
use redis::io::tcp::TcpSettings;
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates,
};
use rustls::crypto::CryptoProvider;

use crate::error::store_error;

/// What a [`crate::RedisStore`] is made with.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// Which servers there are.
    pub topology: Topology,
    /// Certificates for `rediss://`.
    pub certificates: Certificates,
    /// Every key begins with it, inside its braces.
    pub key_prefix: String,
    /// The longest wait for a connection, and for an answer.
    pub timeout: Duration,
}

/// Which servers there are. Urls are `redis://`, `rediss://` or `unix://`.
#[derive(Clone)]
pub enum Topology {
    /// One.
    One(String),
    /// A cluster, found through any of these.
    Cluster(Vec<String>),
    /// The primary that sentinels know.
    Sentinel {
        /// The primary's name to the sentinels, in the place of the host, with its login, database
        /// and TLS.
        primary: String,
        /// The sentinels, each with its own login and TLS.
        sentinels: Vec<String>,
    },
}

/// Without the urls, which hold passwords: how many there are.
impl std::fmt::Debug for Topology {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(_) => f.write_str("One"),
            Self::Cluster(urls) => write!(f, "Cluster({})", urls.len()),
            Self::Sentinel { sentinels, .. } => write!(f, "Sentinel({})", sentinels.len()),
        }
    }
}

/// Certificates, as PEM.
#[derive(Clone, Default)]
pub struct Certificates {
    /// The authorities that are trusted; those of the operating system when `None`.
    pub authorities: Option<Vec<u8>>,
    /// The certificate chain that is shown to servers, and its key.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates")
            .field("authorities", &self.authorities.is_some())
            .field("client", &self.client.is_some())
            .finish()
    }
}

/// How to reach the server of a url.
pub(crate) fn server(url: &str, certificates: &Certificates) -> Result<ConnectionInfo, StoreError> {
    let info = url.into_connection_info().map_err(store_error)?;
    let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    if is_tls && CryptoProvider::get_default().is_none() {
        // Else rustls panics at the first connection, unless one of its providers happens to be the
        // only one linked. An error: another thread was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    if !is_tls || (certificates.authorities.is_none() && certificates.client.is_none()) {
        return Ok(info);
    }
    let tls = TlsCertificates {
        client_tls: certificates
            .client
            .clone()
            .map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key }),
        root_cert: certificates.authorities.clone(),
    };
    let client = Client::build_with_tls(info, tls).map_err(store_error)?;
    Ok(client.get_connection_info().clone())
}

/// The same at another address.
pub(crate) fn at(info: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let host = host.to_owned();
    let address = match info.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    info.clone().set_addr(address)
}

/// The host of an address; empty for a socket.
pub(crate) fn host(info: &ConnectionInfo) -> &str {
    match info.addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
        _ => "",
    }
}
