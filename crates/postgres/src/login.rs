//! Connecting and logging in: trust, cleartext, MD5 and SCRAM-SHA-256.

use bytes::BytesMut;
use flywheel_wire::{PgError, reply};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};

use crate::connection::Stream;
use crate::{CancelKey, Connection, Host, ServerError, ServerOptions};

/// The addresses of a host, in the resolver's order; never none.
pub(crate) async fn resolve(host: &Host) -> std::io::Result<Vec<Host>> {
    let Host::Tcp(name, port) = host else {
        return Ok(vec![host.clone()]);
    };
    let mut addresses = Vec::new();
    for address in lookup_host((name.as_str(), *port)).await? {
        let text = match address {
            std::net::SocketAddr::V6(address) if address.scope_id() != 0 => format!("{}%{}", address.ip(), address.scope_id()),
            address => address.ip().to_string(),
        };
        let address = Host::Tcp(text, *port);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

pub(crate) async fn dial(host: &Host) -> std::io::Result<Stream> {
    match host {
        Host::Tcp(name, port) => {
            let stream = TcpStream::connect((name.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            Ok(Stream::Tcp(stream))
        }
        Host::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
    }
}

impl Connection {
    /// Connects and logs in. Where the host's name has several addresses, they are tried in order until one can be reached, each for as long as
    /// `connect_timeout`, as libpq does.
    ///
    /// # Errors
    /// The server can't be reached in time, or refuses the login.
    pub async fn connect(options: &ServerOptions) -> Result<Self, ServerError> {
        Self::connect_with(options, &[]).await
    }

    /// The same, with further parameters in the startup packet.
    pub(crate) async fn connect_with(options: &ServerOptions, further: &[(String, String)]) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Io {
            server: options.host.to_string(),
            source,
        };
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
            let connecting = async {
                let stream = dial(&address).await.map_err(failed)?;
                let mut connection = Self::new(stream, options.host.to_string());
                connection.log_in(options, further, &address).await?;
                Ok(connection)
            };
            let connected = tokio::time::timeout(options.connect_timeout, connecting).await;
            outcome = connected.unwrap_or_else(|_| Err(failed(late())));
            if !matches!(outcome, Err(ServerError::Io { .. })) {
                break;
            }
        }
        outcome
    }

    async fn log_in(&mut self, options: &ServerOptions, further: &[(String, String)], address: &Host) -> Result<(), ServerError> {
        let parameters = [
            ("user", options.user.as_str()),
            ("database", &options.database),
            ("client_encoding", "UTF8"),
            ("application_name", "flywheel"),
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
                    let hash = md5_hash(options.user.as_bytes(), self.password(options)?, body.salt());
                    self.put(|out| frontend::password_message(hash.as_bytes(), out))?;
                    self.send().await?;
                }
                Message::AuthenticationSasl(_) => {
                    let exchange = ScramSha256::new(self.password(options)?, ChannelBinding::unsupported());
                    self.put(|out| frontend::sasl_initial_response(SCRAM_SHA_256, exchange.message(), out))?;
                    self.send().await?;
                    scram = Some(exchange);
                }
                Message::AuthenticationSaslContinue(body) => {
                    let exchange = scram.as_mut().ok_or_else(|| self.violation("SASL data without a SASL exchange"))?;
                    exchange.update(body.data()).map_err(|error| ServerError::Login {
                        server: self.server.clone(),
                        what: error.to_string(),
                    })?;
                    self.put(|out| frontend::sasl_response(exchange.message(), out))?;
                    self.send().await?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    let exchange = scram.as_mut().ok_or_else(|| self.violation("SASL data without a SASL exchange"))?;
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
                        process_id: body.process_id(),
                        secret_key: body.secret_key(),
                    });
                }
                Message::ReadyForQuery(_) => return Ok(()),
                Message::NoticeResponse(_) => {}
                _ => {
                    return Err(ServerError::Login {
                        server: self.server.clone(),
                        what: "the server asks for an authentication method that Flywheel doesn't speak (only password, md5 and scram-sha-256)".into(),
                    });
                }
            }
        }
    }

    fn password<'o>(&self, options: &'o ServerOptions) -> Result<&'o [u8], ServerError> {
        let missing = || ServerError::Login {
            server: self.server.clone(),
            what: format!("the server asks for a password of \"{}\", but none is configured", options.user),
        };
        options.password.as_deref().map(str::as_bytes).ok_or_else(missing)
    }

    /// The next message of the login. An ErrorResponse is an error here, read by our own reader, which keeps all its fields.
    async fn login_message(&mut self) -> Result<Message, ServerError> {
        loop {
            if self.incoming.first() == Some(&reply::tag::ERROR_RESPONSE)
                && let Some(frame) =
                    flywheel_wire::frame::take(&mut self.incoming, 1 << 20).map_err(|error| ServerError::frame(&self.server, error))?
            {
                return Err(PgError::read(frame.body()).into());
            }
            if self.incoming.first() != Some(&reply::tag::ERROR_RESPONSE)
                && let Some(message) = Message::parse(&mut self.incoming).map_err(|error| self.violation(&error.to_string()))?
            {
                return Ok(message);
            }
            let read = self.stream.read_buf(&mut self.incoming).await.map_err(|source| ServerError::Io {
                server: self.server.clone(),
                source,
            })?;
            if read == 0 {
                let source = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the server closed the connection during login");
                return Err(ServerError::Io {
                    server: self.server.clone(),
                    source,
                });
            }
        }
    }

    fn violation(&self, what: &str) -> ServerError {
        ServerError::Protocol {
            server: self.server.clone(),
            what: what.to_owned(),
        }
    }

    /// Appends a message; fails only for text with a zero byte in it.
    pub(crate) fn put(&mut self, write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) -> Result<(), ServerError> {
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
        let _ = self.stream.shutdown().await;
    }
}
