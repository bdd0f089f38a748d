//! The gateway's side of a client's connection.

use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificate::{common_name, end_point, to_pem};
use crate::pem::{Flaw, Part, Pem};
use crate::{ALPN, provider};

/// A client's connection.
pub type ClientTls = Box<TlsStream<TcpStream>>;

/// Accepts clients' connections under a certificate.
#[derive(Debug)]
pub struct Acceptor {
    current: RwLock<Arc<Shown>>,
}

/// What clients are shown.
struct Shown {
    config: Arc<ServerConfig>,
    /// The certificate, where logins can be bound to it.
    bindable: Option<Arc<str>>,
}

/// A connection, and what its two sides know of each other.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: ClientTls,
    /// The gateway's certificate in PEM, where logins can be bound to it (SCRAM-SHA-256-PLUS).
    pub bindable: Option<Arc<str>>,
    /// The common name in the client's certificate, if it has shown one.
    pub common_name: Option<String>,
    /// The client has named the protocol in ALPN.
    pub has_named_protocol: bool,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").field("bindable", &self.bindable.is_some()).finish_non_exhaustive()
    }
}

impl Acceptor {
    /// With this certificate and its key. Where there are authorities, clients must show a
    /// certificate of theirs.
    ///
    /// # Errors
    /// What can't be used.
    pub fn new(pem: &Pem) -> Result<Self, Flaw> {
        let identity = pem.identity()?;
        let identity = identity.ok_or_else(|| Flaw::new(Part::Certificate, "no certificate"))?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Flaw::new(Part::Certificate, error))?;
        let builder = match pem.authorities()? {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                let mut roots = RootCertStore::empty();
                for authority in authorities {
                    roots.add(authority).map_err(|error| Flaw::new(Part::Authorities, error))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
                        .build()
                        .map_err(|error| Flaw::new(Part::Authorities, error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let leaf = identity.chain[0].clone();
        let mut config =
            builder.with_single_cert(identity.chain, identity.key).map_err(|error| {
                Flaw::new(Part::Key, format_args!("not the certificate's: {error}"))
            })?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A session that is resumed would be let in by a certificate that was replaced since.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let bindable = end_point(&leaf).and_then(|_| to_pem(&leaf)).map(Into::into);
        let shown = Shown { config: Arc::new(config), bindable };
        Ok(Self { current: RwLock::new(Arc::new(shown)) })
    }

    /// Connections that begin from now on are accepted as this one accepts them.
    pub fn renew(&self, with: &Self) {
        let new = with.current();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    fn current(&self) -> Arc<Shown> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins TLS with a client.
    ///
    /// # Errors
    /// The client breaks the protocol, or shows no certificate of the authorities.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<Accepted> {
        let shown = self.current();
        let stream = TlsAcceptor::from(shown.config.clone()).accept(stream).await?;
        let (_, session) = stream.get_ref();
        let leaf = session.peer_certificates().and_then(|chain| chain.first());
        let common_name = leaf.and_then(|leaf| common_name(leaf));
        let has_named_protocol = session.alpn_protocol() == Some(ALPN);
        Ok(Accepted {
            stream: Box::new(stream),
            bindable: shown.bindable.clone(),
            common_name,
            has_named_protocol,
        })
    }
}
