//! Who a client is: trust or SCRAM-SHA-256 (RFC 5802, RFC 7677), the exchange itself by pgwire.
//!
//! Pgwire serves SCRAM only. Its message loop doesn't read the socket while a handler runs and its
//! decoder isn't bounded by the frame; the frame loop is ours (`wire/frame.rs`, with property
//! tests).

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flywheel_wire::{PgError, backend, frontend, sqlstate};
use pgwire::api::auth::sasl::scram::{
    SCRAM_ITERATIONS, ScramSecret, ScramServerAuth, gen_salted_password,
};
use pgwire::api::auth::sasl::{SCRAM_SHA_256_METHOD, SCRAM_SHA_256_PLUS_METHOD};
use rand::Rng;

use super::{Client, ClientError};

/// How clients prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// They don't.
    Trust,
    /// SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
}

/// Checks logins.
#[derive(Debug)]
pub struct Authenticator {
    method: Authentication,
    users: HashMap<String, Proof>,
    /// Salts for users that don't exist, so that their login looks like any other.
    mock_key: [u8; 16],
}

/// A user, and what proves that a client is it.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'u> {
    /// The user's name.
    pub name: &'u str,
    /// The password, or its verifier in PostgreSQL's form.
    pub password: Option<&'u str>,
    /// One of these must be the common name in the client's certificate; none: it needs no
    /// certificate.
    pub common_names: &'u [String],
}

/// What a client must prove.
#[derive(Debug)]
struct Proof {
    secret: Option<Secret>,
    common_names: Vec<String>,
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
            ScramSecret::Verifier { salt, iterations, stored_key, server_key } => {
                Some(Self { salt, iterations, stored_key, server_key })
            }
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
    /// For these users. None together with [`Authentication::Trust`]: anybody may log in.
    pub fn new<'u>(method: Authentication, users: impl Iterator<Item = Credentials<'u>>) -> Self {
        let proof = |user: Credentials<'u>| Proof {
            secret: user.password.and_then(Secret::of),
            common_names: user.common_names.to_vec(),
        };
        let users = users.map(|user| (user.name.to_owned(), proof(user))).collect();
        Self { method, users, mock_key: rand::rng().random() }
    }

    /// Lets `user` in or not. The error is to be told to the client, and the connection closed.
    pub async fn authenticate(
        &self,
        client: &mut Client,
        user: &str,
    ) -> Result<Result<(), PgError>, ClientError> {
        let known = self.users.get(user);
        if let Some(proof) = known.filter(|proof| !proof.common_names.is_empty()) {
            let shown = client.common_name();
            if !shown.is_some_and(|shown| proof.common_names.iter().any(|name| name == shown)) {
                return Ok(Err(PgError::fatal(
                    sqlstate::INVALID_AUTHORIZATION,
                    format!("certificate authentication failed for user \"{user}\""),
                )));
            }
            // The certificate alone is enough where there is no password.
            if proof.secret.is_none() {
                return Ok(Ok(()));
            }
        }
        match self.method {
            Authentication::Trust if self.users.is_empty() || known.is_some() => Ok(Ok(())),
            Authentication::Trust => Ok(Err(PgError::fatal(
                sqlstate::INVALID_AUTHORIZATION,
                format!("role \"{user}\" does not exist"),
            )
            .with_hint("Users are listed under [[users]] in Flywheel's configuration."))),
            Authentication::ScramSha256 => self.scram(client, user).await,
        }
    }

    async fn scram(
        &self,
        client: &mut Client,
        user: &str,
    ) -> Result<Result<(), PgError>, ClientError> {
        let refused = || {
            PgError::fatal(
                sqlstate::INVALID_PASSWORD,
                format!("password authentication failed for user \"{user}\""),
            )
        };
        // The certificate that the login is bound to, where both sides can.
        let mut server = ScramServerAuth::new();
        let binds = client.bindable().is_some_and(|certificate| {
            server.configure_certificate(certificate.as_bytes()).is_ok()
        });
        let mechanisms: &[&str] = if binds {
            &[SCRAM_SHA_256_PLUS_METHOD, SCRAM_SHA_256_METHOD]
        } else {
            &[SCRAM_SHA_256_METHOD]
        };
        backend::authentication_sasl(&mut client.out, mechanisms);
        let frame = client.next_frame().await?;
        let (mechanism, client_first) =
            match sasl(&frame).and_then(|()| frontend::sasl_initial_response(&frame)) {
                Ok(response) => response,
                Err(error) => return Ok(Err(fatal(&error))),
            };
        if !mechanisms.contains(&mechanism) {
            return Ok(Err(PgError::fatal(
                sqlstate::PROTOCOL_VIOLATION,
                "client selected an invalid SASL authentication mechanism",
            )));
        }
        // A client that binds says so in its first message, and one that doesn't can't have chosen
        // to.
        if (mechanism == SCRAM_SHA_256_PLUS_METHOD) != client_first.starts_with(b"p=") {
            return Ok(Err(PgError::fatal(
                sqlstate::PROTOCOL_VIOLATION,
                "malformed SCRAM message",
            )
            .with_detail("The selected mechanism and the channel binding data don't fit.")));
        }
        let known = self.users.get(user).and_then(|proof| proof.secret.clone());
        let secret = known.clone().unwrap_or_else(|| self.mock(user));
        let exchange =
            server.on_client_first_message_with_secret(client_first, secret.into_scram());
        let Ok((server_first, waiting)) = exchange else {
            return Ok(Err(PgError::fatal(
                sqlstate::PROTOCOL_VIOLATION,
                "malformed SCRAM message",
            )));
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
