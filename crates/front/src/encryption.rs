//! TLS of a client's connection: after SSLRequest, or from the first byte.

use std::sync::Arc;

use flywheel_tls::{Accepted, Acceptor};
use flywheel_wire::startup::StartupError;
use flywheel_wire::{ClientError, PgError, sqlstate};
use tokio::io::AsyncWriteExt;

use super::client::Client;
use super::secured::Secured;
use super::stream::Stream;

/// The first byte of a handshake (RFC 8446, ContentType).
const HANDSHAKE: u8 = 22;

/// What clients are offered.
#[derive(Debug, Clone)]
pub struct Encryption {
    /// The certificate that they are shown.
    pub acceptor: Arc<Acceptor>,
    /// Whether those who don't want it are turned away.
    pub required: bool,
}

impl Client {
    /// Whether its bytes are encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.secured.is_some()
    }

    /// The gateway's certificate in PEM, where its login can be bound to it.
    pub(super) fn bindable(&self) -> Option<&str> {
        self.secured.as_ref()?.bindable.as_deref()
    }

    /// The common name in the certificate that it has shown.
    pub(super) fn common_name(&self) -> Option<&str> {
        self.secured.as_ref()?.common_name.as_deref()
    }

    /// Begins TLS with a client that begins with it, rather than asking whether it may
    /// (`sslnegotiation=direct`). It has to name the protocol: a client of another one that was led
    /// here must not be heard.
    pub(super) async fn begin_direct(
        &mut self,
        encryption: &Encryption,
    ) -> Result<(), ClientError> {
        let Stream::Tcp(stream) = &self.stream else { return Ok(()) };
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(ClientError::Gone);
        }
        if first != [HANDSHAKE] {
            return Ok(());
        }
        if !self.handshake(encryption).await? {
            return Err(StartupError::Protocol.into());
        }
        Ok(())
    }

    /// Answers SSLRequest: yes. The error is told in the clear, as nothing else is.
    pub(super) async fn encrypt(
        &mut self,
        encryption: &Encryption,
    ) -> Result<Result<(), PgError>, ClientError> {
        // Whoever sits between could have put it there, to have it taken for the client's own
        // (CVE-2021-23214).
        if !self.incoming.is_empty() {
            return Ok(Err(unencrypted_data("SSL")));
        }
        self.stream.write_all(b"S").await?;
        self.handshake(encryption).await?;
        Ok(Ok(()))
    }

    /// Answers a request for this encryption: no. What the client had already sent behind it can't
    /// be meant for the connection that follows.
    pub(super) async fn refuse_encryption(
        &mut self,
        what: &str,
    ) -> Result<Result<(), PgError>, ClientError> {
        self.stream.write_all(b"N").await?;
        if !self.incoming.is_empty() {
            return Ok(Err(unencrypted_data(what)));
        }
        Ok(Ok(()))
    }

    /// Whether the client has named the protocol.
    async fn handshake(&mut self, encryption: &Encryption) -> Result<bool, ClientError> {
        let plain = match std::mem::replace(&mut self.stream, Stream::Nowhere) {
            Stream::Tcp(plain) => plain,
            other => {
                self.stream = other;
                return Ok(false);
            }
        };
        let accepted = encryption.acceptor.accept(plain).await?;
        let Accepted { stream, bindable, common_name, has_named_protocol } = accepted;
        self.stream = Stream::Tls(stream);
        self.secured = Some(Secured { bindable, common_name });
        Ok(has_named_protocol)
    }
}

fn unencrypted_data(what: &str) -> PgError {
    let message = format!("received unencrypted data after {what} request");
    PgError::fatal(sqlstate::PROTOCOL_VIOLATION, message)
        .with_detail("This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.")
}
