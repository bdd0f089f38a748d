//! What PostgreSQL computes over rows of stores is computed by the definitions that it was planned
//! for, from the first row that is read to the answer, or not told to anybody.
//!
//! The gateway's hold on the tables (see [`crate::steady`]) costs a statement nothing, but it gives
//! way to whoever changes a definition, without waiting for a statement that PostgreSQL computes: a
//! long report would hold up every definition otherwise. So whether it has lasted from the fetch to
//! the answer is looked at, in memory, before anything is told. Where it hasn't, the answer is
//! thrown away, and the statement is repeated in a transaction that holds the tables itself. A
//! statement that may leave something in PostgreSQL has a transaction of its own for that; in the
//! client's block it is 40001.

use std::sync::Arc;

use flywheel_plan::{General, Home, Plan};
use flywheel_sql::Parsed;
use flywheel_wire::backend::TransactionStatus;

use super::{Answer, Arguments, StoreStatement};
use crate::error::redefined;
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};
use crate::reliance::{Lapse, Relying};
use crate::result::is_of_definition;
use crate::steady::Standing;

/// Whether a statement can be carried out again after its answer was thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// It leaves nothing behind in PostgreSQL, or undoes that itself.
    AsItIs,
    /// What it leaves behind is undone with its own transaction.
    InOwnBlock,
    /// What it leaves behind is part of the client's transaction.
    Never,
}

impl<H: Host> Executor<'_, H> {
    /// A plan that PostgreSQL has a part in, on condition that the definitions are those that it
    /// was made for.
    pub(super) async fn general_as_defined(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        plan: &Plan,
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        let homes = plan.general.homes();
        // What a block has made of a definition it holds itself.
        if homes.is_empty() || self.block().definitions.are_own() {
            return self.general(statement, parsed, plan, arguments).await;
        }
        if !self.stores().holds_definitions() {
            // Whoever has the one connection that PostgreSQL serves is alone.
            self.server().await?;
            if !statement.is_of(self.catalogue().version()) {
                self.lapse_as(Lapse::Changed);
                return Err(redefined(homes[0]).into());
            }
            return self.general(statement, parsed, plan, arguments).await;
        }
        let own_block = self.status() == TransactionStatus::Idle;
        let again = match &plan.general {
            // It ends a transaction of its own by itself.
            General::Read { in_tables: true, .. } if own_block => Again::AsItIs,
            General::Read { .. } if !self.is_repeatable(statement, parsed) => {
                if own_block {
                    Again::InOwnBlock
                } else {
                    Again::Never
                }
            }
            _ => Again::AsItIs,
        };
        if again == Again::InOwnBlock {
            // Within a transaction it isn't checked any more.
            self.check_before(statement, arguments).await?;
        }
        let held = self.general_held((statement, parsed, plan), &homes, again, arguments).await?;
        if let Some(answer) = held {
            return Ok(answer);
        }
        if own_block {
            self.begin_implicit().await?;
        }
        let answered = match self.hold_definitions(&homes).await {
            Ok(()) => self.general(statement, parsed, plan, arguments).await,
            Err(failure) => Err(failure),
        };
        if own_block { self.end_own_block(answered).await } else { answered }
    }

    /// The same while the gateway holds the tables. `None`: it doesn't, or hasn't all the time, and
    /// nothing has been carried out.
    async fn general_held(
        &mut self,
        (statement, parsed, plan): (&StoreStatement, &Parsed, &Plan),
        homes: &[&Arc<Home>],
        again: Again,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Answer>> {
        let shared = self.stores().clone();
        for home in homes {
            let table = &home.table.table;
            if matches!(shared.steady.standing(table), Standing::Unknown) {
                self.interruptible(shared.steady.wait(table)).await?;
            }
        }
        self.reliance_mut().rely(Relying::Throughout);
        if !self.stand(homes) {
            self.reliance_mut().rely(Relying::Otherwise);
            self.take_lapse();
            return Ok(None);
        }
        self.take_lapse();
        if again == Again::InOwnBlock
            && let Err(failure) = self.begin_implicit().await
        {
            self.reliance_mut().rely(Relying::Otherwise);
            return Err(failure);
        }
        let answered = self.general(statement, parsed, plan, arguments).await;
        let is_over = match (&plan.general, &answered) {
            (_, Err(Failure::Session(_))) => false,
            // It has looked itself before it carried out what it was to.
            (General::Write { .. } | General::Read { in_tables: true, .. }, Ok(_)) => false,
            (General::Write { .. }, Err(Failure::Statement(error))) => {
                is_of_definition(error) && !self.stand(homes)
            }
            _ => !self.stand(homes),
        };
        self.reliance_mut().rely(Relying::Otherwise);
        let is_over = self.take_lapse().is_some() || is_over;
        if !is_over {
            return match again {
                Again::InOwnBlock => self.end_own_block(answered).await.map(Some),
                _ => answered.map(Some),
            };
        }
        match again {
            _ if matches!(answered, Err(Failure::Session(_))) => answered.map(Some),
            Again::InOwnBlock => {
                self.end_implicit(false).await?;
                Ok(None)
            }
            Again::AsItIs if self.status() != TransactionStatus::Failed => Ok(None),
            _ => Err(redefined(homes[0]).into()),
        }
    }

    /// Whether the gateway holds the tables, and has since the statement began to rely on that.
    fn stand(&self, homes: &[&Arc<Home>]) -> bool {
        homes.iter().all(|home| self.rely_on(home).is_ok())
    }

    /// Whether the statement does in a transaction of PostgreSQL's nothing that couldn't be done
    /// twice. A row is locked no more by the second time.
    fn is_repeatable(&self, statement: &StoreStatement, parsed: &Parsed) -> bool {
        let text = parsed.unlocked(&statement.text);
        self.stores().analyses.of(&text).reads_as_repeatable()
    }
}
