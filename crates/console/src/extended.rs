//! The extended protocol at the console.

use std::collections::HashMap;

use flywheel_wire::frontend::{self, Target, tag};
use flywheel_wire::{Frame, PgError, backend, sqlstate};

use crate::Operator;
use crate::command::Command;
use crate::desk::{Desk, Ending, refused};
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

    /// Takes a message of the extended protocol.
    pub(crate) async fn take<O: Operator>(
        &mut self,
        desk: &mut Desk<'_, O>,
        frame: &Frame,
    ) -> Result<(), Ending> {
        match frame.tag() {
            tag::SYNC => {
                self.end_batch();
                desk.ready();
                Ok(())
            }
            _ if self.skips => Ok(()),
            tag::FLUSH => Ok(desk.client.send().await?),
            _ => {
                if let Err(error) = self.message(desk, frame).await? {
                    self.skips = true;
                    desk.refuse(&error);
                }
                Ok(())
            }
        }
    }

    async fn message<O: Operator>(
        &mut self,
        desk: &mut Desk<'_, O>,
        frame: &Frame,
    ) -> Result<Result<(), PgError>, Ending> {
        Ok(match frame.tag() {
            tag::PARSE => self.parse(desk, frame),
            tag::BIND => self.bind(desk, frame),
            tag::DESCRIBE => self.describe(desk, frame),
            tag::CLOSE => self.close(desk, frame),
            _ => return self.execute(desk, frame).await,
        })
    }

    fn parse<O>(&mut self, desk: &mut Desk<'_, O>, frame: &Frame) -> Result<(), PgError> {
        let parse = frontend::parse(frame)?;
        let command = Command::read(&parse.query)?;
        let statements = &mut self.statements;
        if !parse.name.is_empty() && statements.contains_key(&parse.name) {
            let message = format!("prepared statement \"{}\" already exists", parse.name);
            return Err(PgError::error(sqlstate::DUPLICATE_PREPARED_STATEMENT, message));
        }
        within_bounds(statements.len())?;
        statements.insert(parse.name, command);
        backend::parse_complete(&mut desk.client.out);
        Ok(())
    }

    fn bind<O>(&mut self, desk: &mut Desk<'_, O>, frame: &Frame) -> Result<(), PgError> {
        let bind = frontend::bind(frame)?;
        let command = self.prepared(&bind.statement)?;
        if !bind.parameters.is_empty() {
            return Err(refused("the console's statements have no parameters"));
        }
        within_bounds(self.portals.len())?;
        let portal = Portal { command, formats: bind.result_formats, rest: None };
        self.portals.insert(bind.portal, portal);
        backend::bind_complete(&mut desk.client.out);
        Ok(())
    }

    fn describe<O: Operator>(&self, desk: &mut Desk<'_, O>, frame: &Frame) -> Result<(), PgError> {
        let (target, name) = frontend::target(frame)?;
        let (command, formats) = match target {
            Target::Statement => (self.prepared(name)?, [].as_slice()),
            Target::Portal => {
                let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
                (portal.command, portal.formats.as_slice())
            }
        };
        if target == Target::Statement {
            backend::parameter_description(&mut desk.client.out, &[]);
        }
        match command {
            Some(Command::Show(subject)) => {
                describe(&mut desk.client.out, &desk.operator.columns(subject), formats);
            }
            _ => backend::no_data(&mut desk.client.out),
        }
        Ok(())
    }

    fn close<O>(&mut self, desk: &mut Desk<'_, O>, frame: &Frame) -> Result<(), PgError> {
        match frontend::target(frame)? {
            (Target::Statement, name) => drop(self.statements.remove(name)),
            (Target::Portal, name) => drop(self.portals.remove(name)),
        }
        backend::close_complete(&mut desk.client.out);
        Ok(())
    }

    async fn execute<O: Operator>(
        &mut self,
        desk: &mut Desk<'_, O>,
        frame: &Frame,
    ) -> Result<Result<(), PgError>, Ending> {
        let execute = match frontend::execute(frame) {
            Ok(execute) => execute,
            Err(error) => return Ok(Err(error)),
        };
        let Some(mut portal) = self.portals.remove(&execute.portal) else {
            return Ok(Err(no_portal(&execute.portal)));
        };
        let Some(command) = portal.command else {
            backend::empty_query_response(&mut desk.client.out);
            self.portals.insert(execute.portal, portal);
            return Ok(Ok(()));
        };
        let mut rows = match portal.rest.take() {
            Some(rest) => rest,
            None => match desk.run(command).await {
                Ok(rows) => rows.into_iter(),
                Err(error) => return Ok(Err(error)),
            },
        };
        let most = usize::try_from(execute.max_rows).ok().filter(|most| *most > 0);
        for row in rows.by_ref().take(most.unwrap_or(usize::MAX)) {
            data_row(&mut desk.client.out, &row, &portal.formats);
            desk.client.send_if_much().await?;
        }
        if rows.len() == 0 {
            backend::command_complete(&mut desk.client.out, command.tag());
        } else {
            backend::portal_suspended(&mut desk.client.out);
        }
        portal.rest = Some(rows);
        self.portals.insert(execute.portal, portal);
        Ok(Ok(()))
    }

    fn prepared(&self, name: &str) -> Result<Option<Command>, PgError> {
        self.statements.get(name).copied().ok_or_else(|| {
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
