//! The ways in which a step is asked.

use crate::raw::{Bind, Client, Event, Format, Lost, Message};
use crate::suite::{Encoded, Mode, Statement};

/// How a step is asked.
#[derive(Debug, Clone)]
pub(super) enum Way {
    /// At once.
    Asked(Mode),
    /// Only parsed, under this name.
    Parsed(String),
    /// What has this name, whoever made it, is bound and executed; its text isn't sent.
    Bound(String, Mode),
}

impl Way {
    /// A step's answer.
    pub(super) async fn ask(
        &self,
        client: &mut Client,
        statement: &Statement,
        parameters: &Encoded,
    ) -> Result<Vec<Event>, Lost> {
        match self {
            Self::Asked(mode) => mode.ask(client, statement, parameters).await,
            Self::Parsed(name) => {
                let parse = Message::parse(name, &statement.sql, parameters.types());
                client.send(&[parse, Message::describe(b'S', name), Message::sync()]).await?;
                client.until_ready().await
            }
            Self::Bound(name, mode) => {
                let (values, format) = match mode {
                    Mode::Binary => (parameters.binary(), Format::Binary),
                    _ => (parameters.text(), Format::Text),
                };
                let bind = Bind {
                    portal: "",
                    statement: name,
                    parameter_format: format,
                    parameters: values,
                    result_format: format,
                };
                let described = Message::describe(b'P', "");
                client
                    .send(&[
                        Message::bind(&bind),
                        described,
                        Message::execute("", 0),
                        Message::sync(),
                    ])
                    .await?;
                client.until_ready().await
            }
        }
    }

    /// Its name in reports.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Asked(mode) => mode.name().to_owned(),
            Self::Parsed(name) => format!("Parse {name}"),
            Self::Bound(name, mode) => format!("Bind {name}, {}", mode.name()),
        }
    }
}
