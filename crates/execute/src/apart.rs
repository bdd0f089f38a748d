//! What PostgreSQL is asked on the way, in the client's block: nothing of it stays there, and the
//! block goes on after an error.

use flywheel_wire::backend::TransactionStatus;

use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};

/// What begins it.
pub(super) const BEGIN: &str = "SAVEPOINT flywheel_apart";
/// What undoes it.
pub(super) const UNDO: &str =
    "ROLLBACK TO SAVEPOINT flywheel_apart; RELEASE SAVEPOINT flywheel_apart";
/// What ends it where there is nothing to undo.
pub(super) const END: &str = "RELEASE SAVEPOINT flywheel_apart";

/// Begins it; whether there is a block.
pub(super) async fn begin<H: Host>(executor: &mut Executor<'_, H>) -> Outcome<bool> {
    let in_block = executor.status() == TransactionStatus::InTransaction;
    if in_block {
        executor.on_server(BEGIN).await?;
    }
    Ok(in_block)
}

/// Undoes what was asked in a block, whatever has come of it.
pub(super) async fn undo<H: Host, T>(
    executor: &mut Executor<'_, H>,
    in_block: bool,
    asked: Outcome<T>,
) -> Outcome<T> {
    if in_block && !matches!(asked, Err(Failure::Session(_))) {
        executor.on_server(UNDO).await?;
    }
    asked
}
