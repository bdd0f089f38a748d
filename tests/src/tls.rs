//! Certificates of a test's own, and a driver that uses them.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::Command;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

use crate::child::run;

/// Signs certificates. Its files go with it.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate's file.
    pub cert: PathBuf,
    /// The key's file.
    pub key: PathBuf,
}

impl Authority {
    /// A new one.
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let this = Self { folder };
        this.openssl(&format!(
            "req -x509 {} -keyout ca.key -out ca.crt -subj /CN=authority -days 2",
            new_key()
        ))
        .await;
        this
    }

    /// The file of its own certificate.
    pub fn cert(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// Signs a certificate for this common name, and for this host (`DNS:…`, `IP:…`).
    pub async fn sign(&self, name: &str, host: &str) -> Certificate {
        let at = |end: &str| self.folder.path().join(format!("{name}.{end}"));
        std::fs::write(at("ext"), format!("subjectAltName={host}\n")).expect("extensions");
        let subject =
            format!("req {} -keyout {name}.key -out {name}.csr -subj /CN={name}", new_key());
        self.openssl(&subject).await;
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out {name}.crt -days 2 -extfile {name}.ext"
        ))
        .await;
        Certificate { cert: at("crt"), key: at("key") }
    }

    async fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(self.folder.path());
        run(&mut command).await.well();
    }
}

fn new_key() -> &'static str {
    "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
}

/// TLS for tokio-postgres.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    host: String,
}

impl Tls {
    /// Trusts this authority, and shows this certificate.
    pub fn new(authority: &Path, shown: Option<&Certificate>, alpn: Option<&[u8]>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).expect("a certificate")).expect("it");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(shown) => {
                let chain = vec![CertificateDer::from_pem_file(&shown.cert).expect("it")];
                let key = PrivateKeyDer::from_pem_file(&shown.key).expect("its key");
                builder.with_client_auth_cert(chain, key).expect("a certificate and its key")
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Self { config: Arc::new(config), host: String::new() }
    }

    /// A client of this url. Its login is bound to the connection where the server offers it.
    ///
    /// # Errors
    /// There is no connection, or no login.
    pub async fn connect(
        &self,
        url: &str,
    ) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(url, self.clone()).await?;
        tokio::spawn(async move {
            // The client hears of its errors itself.
            let _ = connection.await;
        });
        Ok(client)
    }
}

impl<S> MakeTlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type TlsConnect = Self;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Self> {
        Ok(Self { config: self.config.clone(), host: host.to_owned() })
    }
}

impl<S> TlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let name = ServerName::try_from(self.host).map_err(io::Error::other)?;
            let stream =
                tokio_rustls::TlsConnector::from(self.config).connect(name, stream).await?;
            Ok(Encrypted(stream))
        })
    }
}

/// A connection with TLS.
#[derive(Debug)]
pub struct Encrypted<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.0.get_ref();
        let shown = session.peer_certificates().and_then(|chain| chain.first());
        // Those of `Authority` are signed with SHA-256.
        shown.map_or_else(ChannelBinding::none, |shown| {
            let hash = ring::digest::digest(&ring::digest::SHA256, shown);
            ChannelBinding::tls_server_end_point(hash.as_ref().to_vec())
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
