//! One look at one server.

use std::time::{Duration, Instant};

use crate::login::resolve;
use crate::{Connection, Host, Rows, ServerError, ServerOptions};

use super::SessionAttributes;

/// What a look has told of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Which one answered, when the configured name has several addresses.
    pub address: Host,
    /// It is a standby.
    pub in_recovery: bool,
    /// Its transactions are read-only unless they say otherwise (`default_transaction_read_only`).
    pub read_only: bool,
    /// Of a primary: the timeline that it writes. Each promotion begins a higher one.
    pub timeline: Option<u32>,
    /// The end of a primary's log, or how far a standby has replayed it; `None` where the server
    /// doesn't say.
    pub position: Option<u64>,
    /// Of a standby: how long ago the last transaction that it has replayed was committed.
    pub since_last_transaction: Option<Duration>,
}

/// All that is asked, understood from PostgreSQL 10 on. Between two records,
/// `pg_current_wal_insert_lsn` is past the header of a page that has none yet
/// (`XLogBytePosToRecPtr`): 40 bytes at the beginning of a segment, 24 at that of another page.
/// What replays the log is in front of it.
const ASKED: &str = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only'),
    CASE WHEN pg_is_in_recovery() THEN NULL ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END,
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END - '0/0'::pg_lsn,
    CASE WHEN pg_is_in_recovery() THEN greatest(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0) END,
    pg_size_bytes(current_setting('wal_segment_size')), pg_size_bytes(current_setting('wal_block_size'))";

/// What every server can tell, also one that isn't PostgreSQL's own and knows no log.
const ASKED_AT_LEAST: &str =
    "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')";

/// A server that is looked at, over a connection that is kept.
#[derive(Debug)]
pub(super) struct Watched {
    login: ServerOptions,
    kept: Option<(Connection, Host)>,
}

impl Watched {
    pub(super) fn new(login: ServerOptions) -> Self {
        Self { login, kept: None }
    }

    /// Asks the server what it is, and when it was asked. Where its name has several addresses, the
    /// first that is what is `wanted`; when none is, the first that answers.
    pub(super) async fn look(
        &mut self,
        wanted: SessionAttributes,
    ) -> Result<(Instant, Look), ServerError> {
        let mut kept = None;
        if let Some((connection, address)) = &mut self.kept {
            match ask(connection, address, self.login.connect_timeout).await {
                Ok(look) if wanted.accepts(&look.1) => return Ok(look),
                Ok(look) => kept = Some(look),
                Err(_) => self.kept = None,
            }
        }
        let addresses = tokio::time::timeout(self.login.connect_timeout, resolve(&self.login.host))
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(|source| self.failed(source))?;
        if let Some(look) = kept {
            if addresses == [look.1.address.clone()] {
                return Ok(look);
            }
            // Another address of the same name may be what it was.
            self.kept = None;
        }
        let mut outcome = Err(self.failed(std::io::ErrorKind::NotFound.into()));
        let further = [("application_name".to_owned(), "flywheel".to_owned())];
        for address in addresses {
            let login = ServerOptions { host: address.clone(), ..self.login.clone() };
            let looked = match Connection::connect_with(&login, &further).await {
                Ok(mut connection) => {
                    let looked = ask(&mut connection, &address, login.connect_timeout).await;
                    if let Ok((_, look)) = &looked
                        && (wanted.accepts(look) || self.kept.is_none())
                    {
                        self.kept = Some((connection, address));
                    }
                    looked
                }
                Err(error) => Err(error),
            };
            match looked {
                Ok(look) if wanted.accepts(&look.1) => return Ok(look),
                looked => {
                    if outcome.is_err() {
                        outcome = looked;
                    }
                }
            }
        }
        outcome
    }

    fn failed(&self, source: std::io::Error) -> ServerError {
        ServerError::Io { server: self.login.host.to_string(), source }
    }
}

async fn ask(
    connection: &mut Connection,
    address: &Host,
    patience: Duration,
) -> Result<(Instant, Look), ServerError> {
    let asked = Instant::now();
    let answered = async {
        match connection.query(ASKED).await {
            Err(ServerError::Postgres(error)) if !error.is_fatal() => {
                connection.query(ASKED_AT_LEAST).await
            }
            answered => answered,
        }
    };
    let answered = tokio::time::timeout(patience, answered).await;
    let rows = answered.unwrap_or_else(|_| {
        let source = std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("no answer within {patience:?}"),
        );
        Err(ServerError::Io { server: address.to_string(), source })
    })?;
    let none = Rows::default();
    Ok((asked, read(rows.first().unwrap_or(&none), address)))
}

fn read(rows: &Rows, address: &Host) -> Look {
    let number = |column| rows.text(0, column).parse::<u64>().ok();
    let in_recovery = rows.text(0, 0) == "t";
    let position = number(3).map(|position| match (number(5), number(6)) {
        (Some(segment), Some(page)) if !in_recovery => without_header(position, segment, page),
        _ => position,
    });
    Look {
        address: address.clone(),
        in_recovery,
        read_only: rows.text(0, 1) == "on",
        timeline: number(2).and_then(|timeline| u32::try_from(timeline).ok()),
        position,
        since_last_transaction: rows
            .text(0, 4)
            .parse()
            .ok()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    }
}

/// The end of the last record, where the position is behind the header of a page that has no record
/// yet.
fn without_header(position: u64, segment: u64, page: u64) -> u64 {
    match (position % segment.max(1), position % page.max(1)) {
        (40, _) => position - 40,
        (in_segment, 24) if in_segment != 24 => position - 24,
        _ => position,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_an_empty_page_is_not_waited_for() {
        let (segment, page) = (16 << 20, 8192);
        let cases = [
            (3 * segment + 40, 3 * segment),
            (3 * segment + 8192 + 24, 3 * segment + 8192),
            (3 * segment + 8192 + 40, 3 * segment + 8192 + 40),
            (3 * segment + 8192 + 32, 3 * segment + 8192 + 32),
            (3 * segment + 48, 3 * segment + 48),
        ];
        for (position, end) in cases {
            assert_eq!(without_header(position, segment, page), end, "{position}");
        }
    }
}
