//! What the console shows and does, by whoever has a gateway.

use flywheel_wire::PgError;

use crate::{Column, Row, Subject};

/// A gateway, as its operators see it.
pub trait Operator: Sync {
    /// The columns of what SHOW shows.
    fn columns(&self, subject: Subject) -> Vec<Column>;

    /// The rows as they are now.
    ///
    /// # Errors
    /// What has to be asked doesn't answer.
    fn rows(&self, subject: Subject) -> impl Future<Output = Result<Vec<Row>, PgError>> + Send;

    /// Ends the session of this number, as SHOW CLIENTS tells it.
    ///
    /// # Errors
    /// There is none.
    fn kill_client(&self, id: i32) -> Result<(), PgError>;

    /// Has the configuration read anew; what has changed and needs a restart, a sentence each.
    ///
    /// # Errors
    /// It has a mistake; nothing has changed.
    fn reload(&self) -> impl Future<Output = Result<Vec<String>, PgError>> + Send;
}
