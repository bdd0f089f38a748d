//! From the first byte to the StartupMessage.

use flywheel_postgres::Settings;
use flywheel_wire::startup::{NEWEST_MINOR, StartupPacket};
use flywheel_wire::{PgError, backend, sqlstate};

use super::{Client, ClientError};

/// What a client asks for in its StartupMessage.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) database: String,
    /// The minor version of protocol 3 that is spoken.
    pub(crate) minor: u16,
    /// It is to be a replication connection: what the parameter `replication` says.
    pub(crate) replication: Option<String>,
    /// Settings of the session, from parameters and `options`.
    pub(crate) settings: Settings,
    /// The same by name and value, for those that are reported back.
    pub(crate) values: Vec<(String, String)>,
}

/// What a new connection is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// A session.
    Login(Login),
    /// Cancelling another session's statement.
    Cancel { process_id: i32, secret_key: Vec<u8> },
}

/// Receives packets up to the StartupMessage or CancelRequest. An error that the client can be told is the inner one.
pub(crate) async fn receive(client: &mut Client) -> Result<Result<Purpose, PgError>, ClientError> {
    loop {
        match client.next_startup().await? {
            StartupPacket::Ssl | StartupPacket::GssEnc => client.refuse_encryption().await?,
            StartupPacket::Cancel { process_id, secret_key } => return Ok(Ok(Purpose::Cancel { process_id, secret_key })),
            StartupPacket::Startup { minor, parameters, .. } => {
                let unknown: Vec<_> = parameters
                    .iter()
                    .map(|(name, _)| name.as_str())
                    .filter(|name| name.starts_with("_pq_."))
                    .collect();
                // As PostgreSQL 18 does it (ProcessStartupPacket): 3.1, which was never released, is taken as it is.
                let spoken = minor.min(NEWEST_MINOR);
                if minor > spoken || !unknown.is_empty() {
                    backend::negotiate_protocol_version(&mut client.out, spoken, &unknown);
                }
                return Ok(login(spoken, parameters).map(Purpose::Login));
            }
        }
    }
}

fn login(minor: u16, parameters: Vec<(String, String)>) -> Result<Login, PgError> {
    let (mut user, mut database, mut replication, mut values) = (None, None, None, Vec::new());
    for (name, value) in parameters {
        match name.as_str() {
            "user" => user = Some(value),
            "database" => database = Some(value),
            "replication" => replication = replicates(&value)?.then_some(value),
            "options" => values.extend(options(&value)?),
            _ if name.starts_with("_pq_.") => {}
            _ => values.push((name, value)),
        }
    }
    let user = user.filter(|user| !user.is_empty()).ok_or_else(|| {
        PgError::fatal(
            sqlstate::INVALID_AUTHORIZATION,
            "no PostgreSQL user name specified in startup packet",
        )
    })?;
    if let Some((_, encoding)) = values
        .iter()
        .find(|(name, value)| name.eq_ignore_ascii_case("client_encoding") && !is_utf8(value))
    {
        return Err(PgError::fatal(
            sqlstate::FEATURE_NOT_SUPPORTED,
            format!("client_encoding \"{encoding}\" isn't supported"),
        )
        .with_hint("Flywheel reads statements as UTF-8: set client_encoding (PGCLIENTENCODING) to UTF8."));
    }
    let mut settings = Settings::default();
    for (name, value) in &values {
        settings.set_value(name, value);
    }
    Ok(Login {
        database: database.unwrap_or_else(|| user.clone()),
        user,
        minor,
        replication,
        settings,
        values,
    })
}

/// Whether this value of `replication` asks for a replication connection: `database`, or what PostgreSQL reads as a boolean.
fn replicates(value: &str) -> Result<bool, PgError> {
    let folded = value.to_ascii_lowercase();
    let is_start_of = |word: &str, least: usize| folded.len() >= least && word.starts_with(&folded);
    if value == "database" || folded == "1" || is_start_of("true", 1) || is_start_of("yes", 1) || folded == "on" {
        Ok(true)
    } else if folded == "0" || is_start_of("false", 1) || is_start_of("no", 1) || is_start_of("off", 2) {
        Ok(false)
    } else {
        let message = format!("invalid value for parameter \"replication\": \"{value}\"");
        Err(PgError::fatal(sqlstate::INVALID_PARAMETER_VALUE, message)
            .with_hint("Valid values are: \"false\", 0, \"true\", 1, \"database\"."))
    }
}

fn is_utf8(encoding: &str) -> bool {
    let name = encoding.trim_matches(['\'', '"']).replace(['-', '_'], "").to_ascii_lowercase();
    matches!(name.as_str(), "utf8" | "unicode" | "sqlascii")
}

/// `-c name=value`, `-cname=value` and `--name=value`, separated by spaces; a backslash keeps the next character.
fn options(text: &str) -> Result<Vec<(String, String)>, PgError> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => word.extend(characters.next()),
            _ if character.is_whitespace() => words.push(std::mem::take(&mut word)),
            _ => word.push(character),
        }
    }
    words.push(word);
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let assignment = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            Some("") => words.next(),
            Some(rest) => Some(rest.to_owned()),
            None => None,
        };
        let pair = assignment.as_deref().and_then(|assignment| assignment.split_once('='));
        let (name, value) = pair.ok_or_else(|| {
            PgError::fatal(
                sqlstate::SYNTAX_ERROR,
                format!("invalid command-line argument for server process: {word}"),
            )
            .with_hint("`options` takes -c name=value and --name=value.")
        })?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
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

    #[test]
    fn options_are_read_as_postgres_reads_them() {
        let read = |text: &str| options(text).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read("-c geqo=off --statement-timeout=5min"),
            [pair("geqo", "off"), pair("statement_timeout", "5min")]
        );
        assert_eq!(read("-csearch_path=a\\ b,c"), [pair("search_path", "a b,c")]);
        assert!(options("-x").is_err());
    }
}
