//! Connecting and logging in: trust, cleartext, MD5 and SCRAM-SHA-256.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use flywheel_wire::{PgError, reply, sqlstate};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::lookup_host;

use crate::encryption::Attempt;
use crate::reach::reach;
use crate::stream::Stream;
use crate::{CancelKey, Connection, Encryption, Host, ServerError, ServerOptions};

/// The addresses of a host, in the resolver's order; never none.
pub(crate) async fn resolve(host: &Host) -> std::io::Result<Vec<Host>> {
    let Host::Tcp(name, port) = host else {
        return Ok(vec![host.clone()]);
    };
    let named = |address| Host::Resolved { name: name.clone(), address, port: *port };
    let mut addresses = Vec::new();
    for address in lookup_host((name.as_str(), *port)).await? {
        let text = match address {
            std::net::SocketAddr::V6(address) if address.scope_id() != 0 => {
                format!("{}%{}", address.ip(), address.scope_id())
            }
            address => address.ip().to_string(),
        };
        let address = named(text);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

impl Connection {
    /// Connects and logs in. Where the host's name has several addresses, they are tried in order
    /// until one can be reached, each for as long as `connect_timeout`, as libpq does.
    ///
    /// # Errors
    /// The server can't be reached in time, or refuses the login.
    pub async fn connect(options: &ServerOptions) -> Result<Self, ServerError> {
        Self::connect_with(options, &[]).await
    }

    /// The same, with further parameters in the startup packet.
    pub(crate) async fn connect_with(
        options: &ServerOptions,
        further: &[(String, String)],
    ) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Io { server: options.host.to_string(), source };
        let late = || {
            std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                format!("no login within {:?}", options.connect_timeout),
            )
        };
        let addresses = tokio::time::timeout(options.connect_timeout, resolve(&options.host)).await;
        let addresses = addresses.unwrap_or_else(|_| Err(late())).map_err(failed)?;
        let mut outcome = Err(failed(std::io::ErrorKind::NotFound.into()));
        for address in addresses {
            let connecting = Self::connect_at(&address, options, further);
            let connected = tokio::time::timeout(options.connect_timeout, connecting).await;
            outcome = connected.unwrap_or_else(|_| Err(failed(late())));
            if !matches!(outcome, Err(ServerError::Io { .. })) {
                break;
            }
        }
        outcome
    }

    /// Connects to an address as often as `sslmode` says, as libpq does.
    async fn connect_at(
        address: &Host,
        options: &ServerOptions,
        further: &[(String, String)],
    ) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Io { server: options.host.to_string(), source };
        let log_in = async |stream| {
            let mut connection = Self::new(stream, options.host.to_string());
            connection.log_in(options, further, address).await?;
            Ok(connection)
        };
        let (first, second) = options.encryption.attempts();
        let Some(second) = second else {
            return log_in(reach(address, first).await.map_err(failed)?).await;
        };
        let error = match reach(address, first).await {
            Err(source) if source.kind() == std::io::ErrorKind::ConnectionRefused => {
                return Err(failed(source));
            }
            // The handshake has failed.
            Err(source) => failed(source),
            Ok(stream) => {
                let was_encrypted = matches!(stream, Stream::Tls(_));
                match log_in(stream).await {
                    // The server's pg_hba.conf may know only the other kind of connections.
                    Err(ServerError::Postgres(error))
                        if error.code() == sqlstate::INVALID_AUTHORIZATION.0
                            && was_encrypted == matches!(second, Attempt::Plain) =>
                    {
                        error.into()
                    }
                    outcome => return outcome,
                }
            }
        };
        // Where the other way can't be gone at all, the first has said why there is no connection.
        let Ok(stream) = reach(address, second).await else { return Err(error) };
        log_in(stream).await
    }

    async fn log_in(
        &mut self,
        options: &ServerOptions,
        further: &[(String, String)],
        address: &Host,
    ) -> Result<(), ServerError> {
        let parameters = [
            ("user", options.user.as_str()),
            ("database", &options.database),
            ("client_encoding", "UTF8"),
        ];
        let is_further = |name: &str| further.iter().any(|(each, _)| each == name);
        let own = parameters.into_iter().filter(|(name, _)| !is_further(name));
        let further = further.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let parameters = own.chain(further);
        self.put(|out| frontend::startup_message(parameters, out))?;
        self.send().await?;
        let mut scram = None;
        loop {
            match self.login_message().await? {
                Message::AuthenticationOk => {}
                Message::AuthenticationCleartextPassword => {
                    let password = self.password(options)?;
                    self.put(|out| frontend::password_message(password, out))?;
                    self.send().await?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let hash =
                        md5_hash(options.user.as_bytes(), self.password(options)?, body.salt());
                    self.put(|out| frontend::password_message(hash.as_bytes(), out))?;
                    self.send().await?;
                }
                Message::AuthenticationSasl(body) => {
                    let (mechanism, binding) = self.binding(&body)?;
                    let exchange = ScramSha256::new(self.password(options)?, binding);
                    self.put(|out| {
                        frontend::sasl_initial_response(mechanism, exchange.message(), out)
                    })?;
                    self.send().await?;
                    scram = Some(exchange);
                }
                Message::AuthenticationSaslContinue(body) => {
                    let exchange = scram
                        .as_mut()
                        .ok_or_else(|| self.violation("SASL data without a SASL exchange"))?;
                    exchange.update(body.data()).map_err(|error| ServerError::Login {
                        server: self.server.clone(),
                        what: error.to_string(),
                    })?;
                    self.put(|out| frontend::sasl_response(exchange.message(), out))?;
                    self.send().await?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    let exchange = scram
                        .as_mut()
                        .ok_or_else(|| self.violation("SASL data without a SASL exchange"))?;
                    exchange.finish(body.data()).map_err(|error| ServerError::Login {
                        server: self.server.clone(),
                        what: error.to_string(),
                    })?;
                }
                Message::ParameterStatus(body) => {
                    if let (Ok(name), Ok(value)) = (body.name(), body.value()) {
                        self.parameters.insert(name.to_owned(), value.to_owned());
                    }
                }
                Message::BackendKeyData(body) => {
                    self.cancel_key = Some(CancelKey {
                        host: address.clone(),
                        encryption: match &self.stream {
                            Stream::Tls(_) => options.encryption.clone(),
                            Stream::Tcp(_) | Stream::Unix(_) => Encryption::Never,
                        },
                        process_id: body.process_id(),
                        secret_key: body.secret_key(),
                    });
                }
                Message::ReadyForQuery(_) => {
                    self.note_defaults();
                    return Ok(());
                }
                Message::NoticeResponse(_) => {}
                _ => return Err(self.unknown_method()),
            }
        }
    }

    /// How the login is bound to the connection, where both sides can.
    fn binding(
        &self,
        offered: &AuthenticationSaslBody,
    ) -> Result<(&'static str, ChannelBinding), ServerError> {
        let mechanisms = offered.mechanisms().collect::<Vec<_>>();
        let mechanisms = mechanisms.map_err(|error| self.violation(&error.to_string()))?;
        let bound = match &self.stream {
            Stream::Tls(stream) => flywheel_tls::binding(stream),
            Stream::Tcp(_) | Stream::Unix(_) => None,
        };
        let binds = mechanisms.contains(&SCRAM_SHA_256_PLUS);
        match bound {
            Some(bound) if binds => {
                Ok((SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(bound)))
            }
            // The server knows whether it has offered to bind: somebody between may have taken the
            // offer away.
            Some(_) if mechanisms.contains(&SCRAM_SHA_256) => {
                Ok((SCRAM_SHA_256, ChannelBinding::unrequested()))
            }
            None if mechanisms.contains(&SCRAM_SHA_256) => {
                Ok((SCRAM_SHA_256, ChannelBinding::unsupported()))
            }
            _ => Err(self.unknown_method()),
        }
    }

    fn unknown_method(&self) -> ServerError {
        ServerError::Login {
            server: self.server.clone(),
            what: "the server asks for an authentication method that Flywheel doesn't speak (only password, md5 and scram-sha-256)".into(),
        }
    }

    fn password<'o>(&self, options: &'o ServerOptions) -> Result<&'o [u8], ServerError> {
        let missing = || ServerError::Login {
            server: self.server.clone(),
            what: format!(
                "the server asks for a password of \"{}\", but none is configured",
                options.user
            ),
        };
        options.password.as_deref().map(str::as_bytes).ok_or_else(missing)
    }

    /// The next message of the login. An ErrorResponse is an error here, read by our own reader,
    /// which keeps all its fields.
    async fn login_message(&mut self) -> Result<Message, ServerError> {
        loop {
            if self.incoming.first() == Some(&reply::tag::ERROR_RESPONSE)
                && let Some(frame) = flywheel_wire::frame::take(&mut self.incoming, 1 << 20)
                    .map_err(|error| ServerError::frame(&self.server, error))?
            {
                return Err(PgError::read(frame.body()).into());
            }
            if self.incoming.first() != Some(&reply::tag::ERROR_RESPONSE)
                && let Some(message) = Message::parse(&mut self.incoming)
                    .map_err(|error| self.violation(&error.to_string()))?
            {
                return Ok(message);
            }
            let read = self
                .stream
                .read_buf(&mut self.incoming)
                .await
                .map_err(|source| ServerError::Io { server: self.server.clone(), source })?;
            if read == 0 {
                let source = std::io::Error::new(
                    std::io::ErrorKind::UnexpectedEof,
                    "the server closed the connection during login",
                );
                return Err(ServerError::Io { server: self.server.clone(), source });
            }
        }
    }

    fn violation(&self, what: &str) -> ServerError {
        ServerError::Protocol { server: self.server.clone(), what: what.to_owned() }
    }

    /// Appends a message; fails only for text with a zero byte in it.
    pub(crate) fn put(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>,
    ) -> Result<(), ServerError> {
        write(self.out()).map_err(|error| ServerError::Protocol {
            server: self.server.clone(),
            what: error.to_string(),
        })
    }

    /// Says goodbye. The server ends the session at once rather than on the next read.
    pub async fn terminate(mut self) {
        let mut goodbye = BytesMut::new();
        frontend::terminate(&mut goodbye);
        let _ = self.stream.write_all(&goodbye).await;
        let _ = self.stream.flush().await;
        let _ = self.stream.shutdown().await;
    }
}
