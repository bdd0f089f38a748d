//! A client at the console, from its login to its end.

use flywheel_front::Client;
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::frontend::{self, tag};
use flywheel_wire::{Frame, PgError, sqlstate};

use crate::command::Command;
use crate::desk::{Desk, Ending, refused};
use crate::extended::Extended;
use crate::rows::{data_row, describe};
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
    let mut conversation =
        Conversation { desk: Desk { client, rights, operator }, extended: Extended::default() };
    let ended = tokio::select! {
        ended = conversation.serve() => ended,
        end = end => Err(Ending::Told(end)),
    };
    if let Err(Ending::Told(error)) = ended {
        client.close_with(&error).await;
    }
}

struct Conversation<'c, O> {
    desk: Desk<'c, O>,
    extended: Extended,
}

impl<O: Operator> Conversation<'_, O> {
    async fn serve(&mut self) -> Result<(), Ending> {
        loop {
            let frame = self.desk.client.next_frame().await?;
            match frame.tag() {
                tag::TERMINATE => return Ok(()),
                tag::QUERY => self.query(&frame).await?,
                tag::PARSE
                | tag::BIND
                | tag::DESCRIBE
                | tag::EXECUTE
                | tag::CLOSE
                | tag::FLUSH
                | tag::SYNC => self.extended.take(&mut self.desk, &frame).await?,
                tag::FUNCTION_CALL => {
                    self.desk.refuse(&refused("the console has no functions"));
                    self.desk.ready();
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
            self.desk.refuse(&error);
        }
        self.desk.ready();
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
            let rows = match self.desk.run(command).await {
                Ok(rows) => rows,
                Err(error) => return Ok(Err(error)),
            };
            if let Command::Show(subject) = command {
                describe(&mut self.desk.client.out, &self.desk.operator.columns(subject), &[]);
            }
            for row in &rows {
                data_row(&mut self.desk.client.out, row, &[]);
                self.desk.client.send_if_much().await?;
            }
            backend::command_complete(&mut self.desk.client.out, command.tag());
        }
        if is_empty {
            backend::empty_query_response(&mut self.desk.client.out);
        }
        Ok(Ok(()))
    }
}
