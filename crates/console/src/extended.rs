//! The extended protocol at the console.

use std::collections::HashMap;

use flywheel_wire::frontend::{self, Target, tag};
use flywheel_wire::{Frame, PgError, backend, sqlstate};

use crate::Operator;
use crate::command::Command;
use crate::conversation::{Conversation, Ending, refused};
use crate::rows::{Row, data_row, describe};

/// How many prepared statements, and portals, a client may have.
const MOST: usize = 1000;

/// What a client has prepared and bound, by names.
#[derive(Default)]
pub(crate) struct Extended {
    statements: HashMap<String, Option<Command>>,
    portals: HashMap<String, Portal>,
    /// An error has been told: messages are skipped up to the next Sync.
    skips: bool,
}

struct Portal {
    command: Option<Command>,
    /// The result's formats, as Bind gives them.
    formats: Vec<i16>,
    /// What is left of its rows; `None`: it hasn't run.
    rest: Option<std::vec::IntoIter<Row>>,
}

impl Extended {
    /// Portals end with their transaction, which is a batch.
    pub(crate) fn end_batch(&mut self) {
        self.portals.clear();
        self.skips = false;
    }
}

impl<O: Operator> Conversation<'_, O> {
    pub(crate) async fn extended(&mut self, frame: &Frame) -> Result<(), Ending> {
        match frame.tag() {
            tag::SYNC => {
                self.extended.end_batch();
                self.ready();
                Ok(())
            }
            _ if self.extended.skips => Ok(()),
            tag::FLUSH => Ok(self.client.send().await?),
            _ => {
                if let Err(error) = self.message(frame).await? {
                    self.extended.skips = true;
                    self.refuse(&error);
                }
                Ok(())
            }
        }
    }

    async fn message(&mut self, frame: &Frame) -> Result<Result<(), PgError>, Ending> {
        Ok(match frame.tag() {
            tag::PARSE => self.parse(frame),
            tag::BIND => self.bind(frame),
            tag::DESCRIBE => self.describe(frame),
            tag::CLOSE => self.close(frame),
            _ => return self.execute(frame).await,
        })
    }

    fn parse(&mut self, frame: &Frame) -> Result<(), PgError> {
        let parse = frontend::parse(frame)?;
        let command = Command::read(&parse.query)?;
        let statements = &mut self.extended.statements;
        if !parse.name.is_empty() && statements.contains_key(&parse.name) {
            let message = format!("prepared statement \"{}\" already exists", parse.name);
            return Err(PgError::error(sqlstate::DUPLICATE_PREPARED_STATEMENT, message));
        }
        within_bounds(statements.len())?;
        statements.insert(parse.name, command);
        backend::parse_complete(&mut self.client.out);
        Ok(())
    }

    fn bind(&mut self, frame: &Frame) -> Result<(), PgError> {
        let bind = frontend::bind(frame)?;
        let command = self.prepared(&bind.statement)?;
        if !bind.parameters.is_empty() {
            return Err(refused("the console's statements have no parameters"));
        }
        within_bounds(self.extended.portals.len())?;
        let portal = Portal { command, formats: bind.result_formats, rest: None };
        self.extended.portals.insert(bind.portal, portal);
        backend::bind_complete(&mut self.client.out);
        Ok(())
    }

    fn describe(&mut self, frame: &Frame) -> Result<(), PgError> {
        let (target, name) = frontend::target(frame)?;
        let (command, formats) = match target {
            Target::Statement => (self.prepared(name)?, [].as_slice()),
            Target::Portal => {
                let portal = self.extended.portals.get(name).ok_or_else(|| no_portal(name))?;
                (portal.command, portal.formats.as_slice())
            }
        };
        if target == Target::Statement {
            backend::parameter_description(&mut self.client.out, &[]);
        }
        match command {
            Some(Command::Show(subject)) => {
                describe(&mut self.client.out, &self.operator.columns(subject), formats);
            }
            _ => backend::no_data(&mut self.client.out),
        }
        Ok(())
    }

    fn close(&mut self, frame: &Frame) -> Result<(), PgError> {
        match frontend::target(frame)? {
            (Target::Statement, name) => drop(self.extended.statements.remove(name)),
            (Target::Portal, name) => drop(self.extended.portals.remove(name)),
        }
        backend::close_complete(&mut self.client.out);
        Ok(())
    }

    async fn execute(&mut self, frame: &Frame) -> Result<Result<(), PgError>, Ending> {
        let execute = match frontend::execute(frame) {
            Ok(execute) => execute,
            Err(error) => return Ok(Err(error)),
        };
        let Some(mut portal) = self.extended.portals.remove(&execute.portal) else {
            return Ok(Err(no_portal(&execute.portal)));
        };
        let Some(command) = portal.command else {
            backend::empty_query_response(&mut self.client.out);
            self.extended.portals.insert(execute.portal, portal);
            return Ok(Ok(()));
        };
        let mut rows = match portal.rest.take() {
            Some(rest) => rest,
            None => match self.run(command).await {
                Ok(rows) => rows.into_iter(),
                Err(error) => return Ok(Err(error)),
            },
        };
        let most = usize::try_from(execute.max_rows).ok().filter(|most| *most > 0);
        for row in rows.by_ref().take(most.unwrap_or(usize::MAX)) {
            data_row(&mut self.client.out, &row, &portal.formats);
            self.client.send_if_much().await?;
        }
        if rows.len() == 0 {
            backend::command_complete(&mut self.client.out, command.tag());
        } else {
            backend::portal_suspended(&mut self.client.out);
        }
        portal.rest = Some(rows);
        self.extended.portals.insert(execute.portal, portal);
        Ok(Ok(()))
    }

    fn prepared(&self, name: &str) -> Result<Option<Command>, PgError> {
        self.extended.statements.get(name).copied().ok_or_else(|| {
            let message = match name {
                "" => "unnamed prepared statement does not exist".to_owned(),
                name => format!("prepared statement \"{name}\" does not exist"),
            };
            PgError::error(sqlstate::INVALID_STATEMENT_NAME, message)
        })
    }
}

fn no_portal(name: &str) -> PgError {
    let message = format!("portal \"{name}\" does not exist");
    PgError::error(sqlstate::INVALID_CURSOR_NAME, message)
}

fn within_bounds(number: usize) -> Result<(), PgError> {
    if number < MOST {
        return Ok(());
    }
    let message = format!("a client of the console may have {MOST} prepared statements");
    Err(PgError::error(sqlstate::CONFIGURATION_LIMIT_EXCEEDED, message)
        .with_hint("Close those that aren't needed any more."))
}
