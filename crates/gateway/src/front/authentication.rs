//! Who a client is: trust or SCRAM-SHA-256 (RFC 5802, RFC 7677), the exchange itself by pgwire.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flywheel_wire::{PgError, backend, frontend, sqlstate};
use pgwire::api::auth::sasl::SCRAM_SHA_256_METHOD;
use pgwire::api::auth::sasl::scram::{SCRAM_ITERATIONS, ScramSecret, ScramServerAuth, gen_salted_password};
use rand::Rng;

use super::{Client, ClientError};
use crate::options::{Authentication, User};

/// Checks logins.
#[derive(Debug)]
pub(crate) struct Authenticator {
    method: Authentication,
    secrets: HashMap<String, Option<Secret>>,
    /// Salts for users that don't exist, so that their login looks like any other.
    mock_key: [u8; 16],
}

/// A password as SCRAM needs it.
#[derive(Clone)]
struct Secret {
    salt: Vec<u8>,
    iterations: usize,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl Secret {
    fn of(password: &str) -> Option<Self> {
        if password.starts_with("SCRAM-SHA-256$") {
            return Self::of_verifier(password);
        }
        let salt: [u8; 16] = rand::rng().random();
        let salted = gen_salted_password(password, &salt, SCRAM_ITERATIONS);
        match ScramSecret::verifier_from_salted_password(salt.to_vec(), salted, SCRAM_ITERATIONS) {
            ScramSecret::Verifier {
                salt,
                iterations,
                stored_key,
                server_key,
            } => Some(Self {
                salt,
                iterations,
                stored_key,
                server_key,
            }),
            ScramSecret::SaltedPassword { .. } => None,
        }
    }

    /// `SCRAM-SHA-256$iterations:salt$stored:server`, as `pg_authid.rolpassword` has it.
    fn of_verifier(verifier: &str) -> Option<Self> {
        let rest = verifier.strip_prefix("SCRAM-SHA-256$")?;
        let (head, keys) = rest.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let decode = |text: &str| STANDARD.decode(text).ok();
        Some(Self {
            salt: decode(salt)?,
            iterations: iterations.parse().ok()?,
            stored_key: decode(stored_key)?,
            server_key: decode(server_key)?,
        })
    }

    fn into_scram(self) -> ScramSecret {
        ScramSecret::Verifier {
            salt: self.salt,
            iterations: self.iterations,
            stored_key: self.stored_key,
            server_key: self.server_key,
        }
    }
}

impl Authenticator {
    pub(crate) fn new(method: Authentication, users: &[User]) -> Self {
        let secrets = users
            .iter()
            .map(|user| (user.name.clone(), user.password.as_deref().and_then(Secret::of)))
            .collect();
        Self {
            method,
            secrets,
            mock_key: rand::rng().random(),
        }
    }

    /// Lets `user` in or not. The error is to be told to the client, and the connection closed.
    pub(crate) async fn authenticate(&self, client: &mut Client, user: &str) -> Result<Result<(), PgError>, ClientError> {
        match self.method {
            Authentication::Trust if self.secrets.is_empty() || self.secrets.contains_key(user) => Ok(Ok(())),
            Authentication::Trust => Ok(Err(PgError::fatal(
                sqlstate::INVALID_AUTHORIZATION,
                format!("role \"{user}\" does not exist"),
            )
            .with_hint("Users are listed under [[users]] in Flywheel's configuration."))),
            Authentication::ScramSha256 => self.scram(client, user).await,
        }
    }

    async fn scram(&self, client: &mut Client, user: &str) -> Result<Result<(), PgError>, ClientError> {
        let refused = || {
            PgError::fatal(
                sqlstate::INVALID_PASSWORD,
                format!("password authentication failed for user \"{user}\""),
            )
        };
        backend::authentication_sasl(&mut client.out, &[SCRAM_SHA_256_METHOD]);
        let frame = client.next_frame().await?;
        let (mechanism, client_first) = match sasl(&frame).and_then(|()| frontend::sasl_initial_response(&frame)) {
            Ok(response) => response,
            Err(error) => return Ok(Err(fatal(&error))),
        };
        if mechanism != SCRAM_SHA_256_METHOD {
            return Ok(Err(PgError::fatal(
                sqlstate::PROTOCOL_VIOLATION,
                "client selected an invalid SASL authentication mechanism",
            )));
        }
        let known = self.secrets.get(user).cloned().flatten();
        let secret = known.clone().unwrap_or_else(|| self.mock(user));
        let exchange = ScramServerAuth::new().on_client_first_message_with_secret(client_first, secret.into_scram());
        let Ok((server_first, waiting)) = exchange else {
            return Ok(Err(PgError::fatal(sqlstate::PROTOCOL_VIOLATION, "malformed SCRAM message")));
        };
        backend::authentication_sasl_continue(&mut client.out, server_first.as_bytes());
        let frame = client.next_frame().await?;
        if let Err(error) = sasl(&frame) {
            return Ok(Err(fatal(&error)));
        }
        match waiting.on_client_final_message(frame.body()) {
            Ok(server_final) if known.is_some() => {
                backend::authentication_sasl_final(&mut client.out, server_final.as_bytes());
                Ok(Ok(()))
            }
            _ => Ok(Err(refused())),
        }
    }

    /// A secret that no password fits, the same salt each time for a name.
    fn mock(&self, user: &str) -> Secret {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let half = |part: u8| {
            let mut hasher = DefaultHasher::new();
            (self.mock_key, part, user).hash(&mut hasher);
            hasher.finish().to_be_bytes()
        };
        let random: [u8; 32] = rand::rng().random();
        Secret {
            salt: [half(0), half(1)].concat(),
            iterations: SCRAM_ITERATIONS,
            stored_key: random.to_vec(),
            server_key: random.to_vec(),
        }
    }
}

fn sasl(frame: &flywheel_wire::Frame) -> Result<(), PgError> {
    if frame.tag() == frontend::tag::PASSWORD {
        return Ok(());
    }
    Err(PgError::error(
        sqlstate::PROTOCOL_VIOLATION,
        format!("expected SASL response, got message type '{}'", frame.tag().escape_ascii()),
    ))
}

fn fatal(error: &PgError) -> PgError {
    PgError::fatal(sqlstate::PROTOCOL_VIOLATION, error.message().to_owned())
}
