//! A client at the console, from its login to its end.

use flywheel_front::{Client, ClientError};
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::frontend::{self, tag};
use flywheel_wire::{Frame, PgError, Severity, sqlstate};

use crate::command::Command;
use crate::extended::Extended;
use crate::rows::{Row, data_row, describe};
use crate::{Operator, Rights};

/// What a client is told of the session when it begins, as far as drivers want to know it.
const PARAMETERS: [(&str, &str); 6] = [
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO"),
    ("integer_datetimes", "on"),
    ("server_encoding", "UTF8"),
    ("server_version", concat!(env!("CARGO_PKG_VERSION"), "/flywheel")),
    ("standard_conforming_strings", "on"),
];

/// The client's session: its number and its cancel key.
pub struct Key<'k> {
    /// As BackendKeyData tells it.
    pub process_id: i32,
    /// As BackendKeyData tells it.
    pub secret_key: &'k [u8],
}

/// Serves a client that has proved who it is, until it goes or `end` comes, which is told to it.
pub async fn converse(
    client: &mut Client,
    key: &Key<'_>,
    rights: Rights,
    operator: &impl Operator,
    end: impl Future<Output = PgError>,
) {
    backend::authentication_ok(&mut client.out);
    for (name, value) in PARAMETERS {
        backend::parameter_status(&mut client.out, name, value);
    }
    backend::backend_key_data(&mut client.out, key.process_id, key.secret_key);
    backend::ready_for_query(&mut client.out, TransactionStatus::Idle);
    let mut conversation = Conversation { client, rights, operator, extended: Extended::default() };
    let ended = tokio::select! {
        ended = conversation.serve() => ended,
        end = end => Err(Ending::Told(end)),
    };
    if let Err(Ending::Told(error)) = ended {
        client.close_with(&error).await;
    }
}

/// Why a client isn't served any more.
pub(crate) enum Ending {
    /// It has gone.
    Gone,
    /// It is told this.
    Told(PgError),
}

impl From<ClientError> for Ending {
    fn from(error: ClientError) -> Self {
        error.farewell().map_or(Self::Gone, Self::Told)
    }
}

pub(crate) struct Conversation<'c, O> {
    pub(crate) client: &'c mut Client,
    rights: Rights,
    pub(crate) operator: &'c O,
    pub(crate) extended: Extended,
}

impl<O: Operator> Conversation<'_, O> {
    async fn serve(&mut self) -> Result<(), Ending> {
        loop {
            let frame = self.client.next_frame().await?;
            match frame.tag() {
                tag::TERMINATE => return Ok(()),
                tag::QUERY => self.query(&frame).await?,
                tag::PARSE
                | tag::BIND
                | tag::DESCRIBE
                | tag::EXECUTE
                | tag::CLOSE
                | tag::FLUSH
                | tag::SYNC => self.extended(&frame).await?,
                tag::FUNCTION_CALL => {
                    self.refuse(&refused("the console has no functions"));
                    self.ready();
                }
                // What is left of a COPY that was never begun.
                tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL => {}
                other => {
                    let message = format!("invalid frontend message type {other}");
                    return Err(Ending::Told(PgError::fatal(
                        sqlstate::PROTOCOL_VIOLATION,
                        message,
                    )));
                }
            }
        }
    }

    /// A Query: statements with semicolons between them, the first error ends it.
    async fn query(&mut self, frame: &Frame) -> Result<(), Ending> {
        self.extended.end_batch();
        if let Err(error) = self.statements(frame).await? {
            self.refuse(&error);
        }
        self.ready();
        Ok(())
    }

    async fn statements(&mut self, frame: &Frame) -> Result<Result<(), PgError>, Ending> {
        let text = match frontend::query(frame) {
            Ok(text) => text,
            Err(error) => return Ok(Err(error)),
        };
        let mut is_empty = true;
        for statement in text.split(';') {
            let command = match Command::read(statement) {
                Ok(Some(command)) => command,
                Ok(None) => continue,
                Err(error) => return Ok(Err(error)),
            };
            is_empty = false;
            let rows = match self.run(command).await {
                Ok(rows) => rows,
                Err(error) => return Ok(Err(error)),
            };
            if let Command::Show(subject) = command {
                describe(&mut self.client.out, &self.operator.columns(subject), &[]);
            }
            for row in &rows {
                data_row(&mut self.client.out, row, &[]);
                self.client.send_if_much().await?;
            }
            backend::command_complete(&mut self.client.out, command.tag());
        }
        if is_empty {
            backend::empty_query_response(&mut self.client.out);
        }
        Ok(Ok(()))
    }

    /// Carries a statement out: its rows.
    pub(crate) async fn run(&mut self, command: Command) -> Result<Vec<Row>, PgError> {
        if let (Rights::Show, false) = (self.rights, matches!(command, Command::Show(_))) {
            let message = format!("permission denied for {}", command.tag());
            return Err(PgError::error(sqlstate::INSUFFICIENT_PRIVILEGE, message)
                .with_hint("It is for users with `admin = true` in Flywheel's configuration."));
        }
        match command {
            Command::Show(subject) => return self.operator.rows(subject).await,
            Command::KillClient(id) => self.operator.kill_client(id)?,
            Command::Reload => {
                for warning in self.operator.reload().await? {
                    let warning = PgError::new(Severity::Warning, sqlstate::WARNING, warning);
                    backend::notice_response(&mut self.client.out, &warning);
                }
            }
        }
        Ok(Vec::new())
    }

    pub(crate) fn refuse(&mut self, error: &PgError) {
        backend::error_response(&mut self.client.out, error);
    }

    pub(crate) fn ready(&mut self) {
        backend::ready_for_query(&mut self.client.out, TransactionStatus::Idle);
    }
}

pub(crate) fn refused(message: &'static str) -> PgError {
    PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
}
