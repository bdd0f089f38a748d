//! The ways of asking the same.

use super::Statement;
use crate::raw::{Bind, Client, Event, Format, Lost, Message};

/// How a suite's statements are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Simple Query, parameters as literals.
    Simple,
    /// The extended protocol as psycopg speaks it: an unnamed statement in one batch, values as
    /// text, the types of parameters left to the server.
    Text,
    /// The extended protocol as JDBC and tokio-postgres speak it: a named statement, described
    /// first, values as binary.
    Binary,
}

/// A parameter as it goes over the wire.
#[derive(Debug, Clone, Default)]
pub(crate) struct Encoded {
    pub(super) types: Vec<u32>,
    pub(super) text: Vec<Option<Vec<u8>>>,
    pub(super) binary: Vec<Option<Vec<u8>>>,
}

impl Encoded {
    /// The numbers of their types.
    pub(crate) fn types(&self) -> &[u32] {
        &self.types
    }

    /// As text.
    pub(crate) fn text(&self) -> &[Option<Vec<u8>>] {
        &self.text
    }

    /// In binary form.
    pub(crate) fn binary(&self) -> &[Option<Vec<u8>>] {
        &self.binary
    }

    /// Further parameters.
    pub(crate) fn extend(&mut self, more: &Self) {
        self.types.extend_from_slice(&more.types);
        self.text.extend_from_slice(&more.text);
        self.binary.extend_from_slice(&more.binary);
    }
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Simple, Self::Text, Self::Binary];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Text => "extended, text",
            Self::Binary => "extended, binary",
        }
    }

    /// A statement's answer.
    pub(crate) async fn ask(
        self,
        client: &mut Client,
        statement: &Statement,
        parameters: &Encoded,
    ) -> Result<Vec<Event>, Lost> {
        match self {
            Self::Simple => {
                client.send(&[Message::query(&statement.with_literals())]).await?;
                answer(client, statement, &[]).await
            }
            Self::Text => {
                let bind = Bind {
                    portal: "",
                    statement: "",
                    parameter_format: Format::Text,
                    parameters: &parameters.text,
                    result_format: Format::Text,
                };
                client
                    .send(&[
                        Message::parse("", &statement.sql, &[]),
                        Message::bind(&bind),
                        Message::describe(b'P', ""),
                        Message::execute("", 0),
                        Message::sync(),
                    ])
                    .await?;
                answer(client, statement, &[Message::sync()]).await
            }
            Self::Binary => {
                let name = format!("s{}", statement.line);
                client
                    .send(&[
                        Message::parse(&name, &statement.sql, &parameters.types),
                        Message::describe(b'S', &name),
                        Message::sync(),
                    ])
                    .await?;
                let mut events = client.until_ready().await?;
                if events.iter().any(|event| matches!(event, Event::Error(_))) {
                    return Ok(events);
                }
                let bind = Bind {
                    portal: "",
                    statement: &name,
                    parameter_format: Format::Binary,
                    parameters: &parameters.binary,
                    result_format: Format::Binary,
                };
                client
                    .send(&[Message::bind(&bind), Message::execute("", 0), Message::sync()])
                    .await?;
                events.extend(answer(client, statement, &[Message::sync()]).await?);
                Ok(events)
            }
        }
    }
}

/// The answer up to ReadyForQuery. A COPY FROM STDIN gets the statement's data, and `end` behind
/// them.
async fn answer(
    client: &mut Client,
    statement: &Statement,
    end: &[Message],
) -> Result<Vec<Event>, Lost> {
    let mut events = Vec::new();
    loop {
        let event = match client.next().await {
            Err(Lost::Closed) if matches!(events.last(), Some(Event::Error(_))) => {
                return Ok(events);
            }
            event => event?,
        };
        if let Event::Other('G', _) = event {
            // In two pieces, which needn't end where a line does.
            let (first, second) = statement.data.as_bytes().split_at(statement.data.len() / 2);
            client
                .send(&[
                    Message::new(b'd', first),
                    Message::new(b'd', second),
                    Message::new(b'c', &[]),
                ])
                .await?;
            client.send(end).await?;
        }
        let ready = matches!(event, Event::Ready(_));
        events.push(event);
        if ready {
            return Ok(events);
        }
    }
}
