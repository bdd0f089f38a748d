//! A plan that a store answers alone is carried out by the definition that it was made for, or not
//! at all.

use std::sync::Arc;

use flywheel_plan::{Home, Native};
use flywheel_wire::backend::TransactionStatus;

use super::expressions::Expressions;
use super::{Answer, Arguments, StoreStatement};
use crate::error::redefined;
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};
use crate::reliance::{Lapse, Relying};
use crate::steady::{Operation, Standing};

impl<H: Host> Executor<'_, H> {
    /// Kept while an operation of a store is under way, so that the definition stays. An error:
    /// the operation must not begin.
    pub(super) fn rely_on(&self, home: &Home) -> Outcome<Option<Operation>> {
        if self.reliance().relying == Relying::Otherwise {
            return Ok(None);
        }
        if let Standing::Steady(operation) = self.stores().steady.standing(&home.table.table)
            && self.reliance().continues(&operation)
        {
            return Ok(Some(operation));
        }
        self.lapse_as(Lapse::NotHeld);
        Err(redefined(home).into())
    }

    pub(crate) fn lapse_as(&self, lapse: Lapse) {
        self.reliance().lapse_as(lapse);
    }

    /// The plan was for a definition that has gone, and nothing of it was carried out.
    pub(super) fn take_lapse(&mut self) -> Option<Lapse> {
        self.reliance_mut().take_lapse()
    }

    /// A native plan, on condition that the definition is the one that it was made for.
    pub(super) async fn native_as_defined(
        &mut self,
        native: &Native,
        home: &Arc<Home>,
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Answer>> {
        let expressed = Expressions::values(self, statement, arguments).await?;
        let arguments = &Arguments { expressions: &expressed, ..*arguments };
        let shared = self.stores().clone();
        // What a block has made of a definition it holds itself; what it sees of an older one is
        // checked by its COMMIT.
        if !shared.holds_definitions() || self.block().definitions.are_own() {
            return self.native(native, home, statement, arguments).await;
        }
        let table = &home.table.table;
        if matches!(shared.steady.standing(table), Standing::Unknown) {
            self.interruptible(shared.steady.wait(table)).await?;
        }
        self.take_lapse();
        self.reliance_mut().rely(Relying::OnGateway);
        let answered = self.native(native, home, statement, arguments).await;
        self.reliance_mut().rely(Relying::Otherwise);
        if self.take_lapse().is_none() {
            return answered;
        }
        self.native_held(native, home, statement, arguments).await
    }

    /// The same where the session itself holds the definition in PostgreSQL. Who waits for a
    /// definition that is being changed waits there, as a reader of the table does.
    async fn native_held(
        &mut self,
        native: &Native,
        home: &Arc<Home>,
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Answer>> {
        let own_block = self.status() == TransactionStatus::Idle;
        if own_block {
            self.on_server("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        }
        let answered = match self.hold_definitions(&[home]).await {
            Ok(()) => self.native(native, home, statement, arguments).await,
            Err(failure) => Err(failure),
        };
        if own_block && !matches!(answered, Err(Failure::Session(_))) {
            // It has done nothing in PostgreSQL: what the store has answered stands.
            if let Err(Failure::Session(end)) = self.on_server("ROLLBACK").await {
                return Err(Failure::Session(end));
            }
        }
        answered
    }
}
