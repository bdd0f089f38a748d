//! The gateway's side of a connection to a server.

use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::Resumption;
use rustls::pki_types::{IpAddr, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certificate::end_point;
use crate::pem::{Flaw, Part, Pem};
use crate::trust::{Judge, Trust};
use crate::{ALPN, provider};

/// A connection to a server.
pub type ServerTls = Box<TlsStream<TcpStream>>;

/// Begins TLS with servers.
pub struct Connector {
    current: RwLock<Arc<ClientConfig>>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// One that is convinced by such certificates, and shows the one in `pem` to servers that ask
    /// for it. Without authorities there, those of the operating system are trusted.
    ///
    /// # Errors
    /// What can't be used.
    pub fn new(trust: Trust, pem: &Pem) -> Result<Self, Flaw> {
        let provider = provider();
        let authorities = pem.authorities()?;
        let mut roots = RootCertStore::empty();
        for authority in authorities.iter().flatten() {
            roots.add(authority.clone()).map_err(|error| Flaw::new(Part::Authorities, error))?;
        }
        if authorities.is_none() && trust != Trust::Anybody {
            // What can't be read of them isn't trusted.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let known = authorities.unwrap_or_default();
        let judge = Judge { trust, roots, known, provider: provider.clone() };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Flaw::new(Part::Certificate, error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(judge));
        let mut config = match pem.identity()? {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                builder.with_client_auth_cert(identity.chain, identity.key).map_err(|error| {
                    Flaw::new(Part::Key, format_args!("not the certificate's: {error}"))
                })?
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Self { current: RwLock::new(Arc::new(config)) })
    }

    /// Connections that begin from now on are made as this one makes them.
    pub fn renew(&self, with: &Self) {
        let new = with.current();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    fn current(&self) -> Arc<ClientConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins TLS with the server that was asked for by this name or address.
    ///
    /// # Errors
    /// The server breaks the protocol, refuses the certificate, or its own doesn't convince.
    pub async fn connect(&self, name: &str, stream: TcpStream) -> io::Result<ServerTls> {
        // The zone of an address says where it is reached, not what it is.
        let plain = name.split('%').next().unwrap_or(name);
        let name = match plain.parse::<std::net::IpAddr>() {
            Ok(address) => ServerName::IpAddress(IpAddr::from(address)),
            Err(_) => ServerName::try_from(name.to_owned())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
        };
        let stream = TlsConnector::from(self.current()).connect(name, stream).await?;
        Ok(Box::new(stream))
    }
}

/// What a login is bound to, where it can be (`tls-server-end-point`).
#[must_use]
pub fn binding(stream: &ServerTls) -> Option<Vec<u8>> {
    let (_, session) = stream.get_ref();
    end_point(session.peer_certificates()?.first()?)
}
