//! From the first byte to the StartupMessage.

use flywheel_wire::startup::{NEWEST_MINOR, StartupError, StartupPacket};
use flywheel_wire::{PgError, backend, sqlstate};

use super::{Client, ClientError, Encryption, switches};

/// The minor version that SSLRequest has as a StartupMessage.
const SSL: u16 = 5679;
/// The same of GSSENCRequest.
const GSSAPI: u16 = 5680;

/// What a client asks for in its StartupMessage.
#[derive(Debug)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The database's name; where the client gives none, it is the user's.
    pub database: String,
    /// The minor version of protocol 3 that is spoken.
    pub minor: u16,
    /// It is to be a replication connection: what the parameter `replication` says.
    pub replication: Option<String>,
    /// Settings of the session, by name and value, from parameters and `options`.
    pub values: Vec<(String, String)>,
}

/// What a new connection is for.
#[derive(Debug)]
pub enum Purpose {
    /// A session.
    Login(Login),
    /// Cancelling another session's statement.
    Cancel {
        /// The session's number, as BackendKeyData told it.
        process_id: i32,
        /// The key that proves that the client may cancel it.
        secret_key: Vec<u8>,
    },
}

/// Receives packets up to the StartupMessage or CancelRequest. An error that the client can be told
/// is the inner one.
pub async fn receive(
    client: &mut Client,
    encryption: Option<&Encryption>,
) -> Result<Result<Purpose, PgError>, ClientError> {
    if let Some(encryption) = encryption {
        client.begin_direct(encryption).await?;
    }
    let mut refused = None;
    loop {
        let packet = client.next_startup().await?;
        let asks_for = match packet {
            StartupPacket::Ssl => Some(SSL),
            StartupPacket::GssEnc => Some(GSSAPI),
            _ => None,
        };
        // There is no TLS within TLS, nor GSSAPI; and what was refused isn't asked for again.
        if let Some(minor) = asks_for
            && (client.is_encrypted() || refused == asks_for)
        {
            return Err(StartupError::Version { major: 1234, minor }.into());
        }
        refused = asks_for;
        match packet {
            StartupPacket::Ssl => match encryption {
                Some(encryption) => {
                    if let Err(error) = client.encrypt(encryption).await? {
                        return Ok(Err(error));
                    }
                }
                None => {
                    if let Err(error) = client.refuse_encryption("SSL").await? {
                        return Ok(Err(error));
                    }
                }
            },
            StartupPacket::GssEnc => {
                if let Err(error) = client.refuse_encryption("GSSAPI encryption").await? {
                    return Ok(Err(error));
                }
            }
            StartupPacket::Cancel { process_id, secret_key } => {
                return Ok(Ok(Purpose::Cancel { process_id, secret_key }));
            }
            StartupPacket::Startup { minor, parameters, .. } => {
                if encryption.is_some_and(|encryption| encryption.required)
                    && !client.is_encrypted()
                {
                    return Ok(Err(unencrypted()));
                }
                let unknown: Vec<_> = parameters
                    .iter()
                    .map(|(name, _)| name.as_str())
                    .filter(|name| name.starts_with("_pq_."))
                    .collect();
                // As PostgreSQL 18 does it (ProcessStartupPacket): 3.1, which was never released,
                // is taken as it is.
                let spoken = minor.min(NEWEST_MINOR);
                if minor > spoken || !unknown.is_empty() {
                    backend::negotiate_protocol_version(&mut client.out, spoken, &unknown);
                }
                return Ok(login(spoken, parameters).map(Purpose::Login));
            }
        }
    }
}

/// Of a client that doesn't encrypt, where it must. libpq then tries it with TLS by itself, unless
/// it is told not to.
fn unencrypted() -> PgError {
    PgError::fatal(sqlstate::INVALID_AUTHORIZATION, "connections without TLS aren't let in")
        .with_hint(
            "Connect with sslmode=require or stricter: the gateway's `tls.mode` is \"require\".",
        )
}

fn login(minor: u16, parameters: Vec<(String, String)>) -> Result<Login, PgError> {
    let (mut user, mut database, mut replication, mut values, mut switched) =
        (None, None, None, Vec::new(), Vec::new());
    for (name, value) in parameters {
        match name.as_str() {
            "user" => user = Some(value),
            "database" => database = Some(value),
            "replication" => replication = replicates(&value)?.then_some(value),
            "options" => switched = switches::settings(&value)?,
            _ if name.starts_with("_pq_.") => {}
            _ => values.push((name.to_lowercase(), value)),
        }
    }
    // Switches come first, wherever they stand: a parameter of the same name is the last word.
    switched.append(&mut values);
    let mut values = switched;
    // Servers' sessions begin with it.
    if values.iter().rfind(|(name, _)| name == "client_encoding").is_some_and(|it| is_utf8(&it.1)) {
        values.retain(|(name, _)| name != "client_encoding");
    }
    for (name, value) in &mut values {
        if name == "application_name" {
            *value = truncated(std::mem::take(value));
        }
    }
    let user = user.filter(|user| !user.is_empty()).ok_or_else(|| {
        PgError::fatal(
            sqlstate::INVALID_AUTHORIZATION,
            "no PostgreSQL user name specified in startup packet",
        )
    })?;
    Ok(Login {
        database: database.unwrap_or_else(|| user.clone()),
        user,
        minor,
        replication,
        values,
    })
}

/// Whether this value of `replication` asks for a replication connection: `database`, or what
/// PostgreSQL reads as a boolean.
fn replicates(value: &str) -> Result<bool, PgError> {
    let folded = value.to_ascii_lowercase();
    let is_start_of = |word: &str, least: usize| folded.len() >= least && word.starts_with(&folded);
    if value == "database"
        || folded == "1"
        || is_start_of("true", 1)
        || is_start_of("yes", 1)
        || folded == "on"
    {
        Ok(true)
    } else if folded == "0"
        || is_start_of("false", 1)
        || is_start_of("no", 1)
        || is_start_of("off", 2)
    {
        Ok(false)
    } else {
        let message = format!("invalid value for parameter \"replication\": \"{value}\"");
        Err(PgError::fatal(sqlstate::INVALID_PARAMETER_VALUE, message)
            .with_hint("Valid values are: \"false\", 0, \"true\", 1, \"database\"."))
    }
}

/// Whether PostgreSQL takes the name of an encoding for UTF8's: only letters and digits count.
fn is_utf8(encoding: &str) -> bool {
    let name: String = encoding.chars().filter(char::is_ascii_alphanumeric).collect();
    matches!(name.to_ascii_lowercase().as_str(), "utf8" | "unicode")
}

/// What a name becomes: 63 bytes of it.
fn truncated(mut name: String) -> String {
    const LONGEST: usize = 63;
    if name.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| name.is_char_boundary(*end)).unwrap_or_default();
        name.truncate(end);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replication_is_read_as_postgres_reads_it() {
        for value in ["database", "1", "t", "TRUE", "yes", "y", "on"] {
            assert_eq!(replicates(value), Ok(true), "{value}");
        }
        for value in ["0", "f", "False", "no", "n", "of", "off"] {
            assert_eq!(replicates(value), Ok(false), "{value}");
        }
        for value in ["", "o", "Database", "2", "trues"] {
            assert!(replicates(value).is_err(), "{value}");
        }
    }
}
