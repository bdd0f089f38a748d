//! One client of the console, and what is done for it, whichever protocol it speaks.

use flywheel_front::{Client, ClientError};
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::{PgError, Severity, sqlstate};

use crate::command::Command;
use crate::rows::Row;
use crate::{Operator, Rights};

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

/// A client, and whom it talks to.
pub(crate) struct Desk<'c, O> {
    pub(crate) client: &'c mut Client,
    pub(crate) rights: Rights,
    pub(crate) operator: &'c O,
}

impl<O: Operator> Desk<'_, O> {
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
