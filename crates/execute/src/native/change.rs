//! UPDATE and DELETE of one row that a store carries out alone.

use std::sync::Arc;

use flywheel_plan::{Home, NativeDelete, NativeUpdate, Parameters, assign};
use flywheel_store::{Applied, Assignment, Change, Effect, Expect};

use super::one_row_answer;
use crate::failure::Outcome;
use crate::holding::Wanted;
use crate::host::{Executor, Host};
use crate::single_key::single_key;
use crate::{Answer, Arguments};

impl<H: Host> Executor<'_, H> {
    pub(super) async fn native_update(
        &mut self,
        update: &NativeUpdate,
        home: &Arc<Home>,
        parameters: &Parameters<'_>,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Answer>> {
        let table = &home.table.table;
        let (Some(set), Some(keys)) =
            (update.resolve(table, parameters), single_key(&update.access, home, parameters))
        else {
            return Ok(None);
        };
        self.check_writable("UPDATE").await?;
        let Some(key) = keys else {
            return Ok(Some(Answer::tagged("UPDATE 0")));
        };
        let adds = set.iter().any(|(_, assignment)| matches!(assignment, Assignment::Add(_)));
        let updated = if self.block().is_open() {
            let before = self.hold_row(home, &key, Wanted::Existing).await?;
            let after = match &before {
                Some(row) => match assign(table, row, &set) {
                    Some(row) => Some(row),
                    None => return Ok(None),
                },
                None => None,
            };
            if after.is_some() {
                self.block_mut().write(home, key, before, after.clone());
            }
            after
        } else {
            match self
                .write_one(home, Change { key, expect: Expect::Present, effect: Effect::Set(set) })
                .await?
            {
                Applied::Done(row) => row,
                // No row, or one to which something can't be added: PostgreSQL says what comes of
                // that.
                Applied::Refused if adds => return Ok(None),
                Applied::Refused => None,
            }
        };
        Ok(Some(one_row_answer("UPDATE", table, updated.as_ref(), &update.returning, arguments)))
    }

    pub(super) async fn native_delete(
        &mut self,
        delete: &NativeDelete,
        home: &Arc<Home>,
        parameters: &Parameters<'_>,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Answer>> {
        let table = &home.table.table;
        let Some(keys) = single_key(&delete.access, home, parameters) else {
            return Ok(None);
        };
        self.check_writable("DELETE").await?;
        let Some(key) = keys else {
            return Ok(Some(Answer::tagged("DELETE 0")));
        };
        let deleted = if self.block().is_open() {
            let before = self.hold_row(home, &key, Wanted::Existing).await?;
            if before.is_some() {
                self.block_mut().write(home, key, before.clone(), None);
            }
            before
        } else {
            match self
                .write_one(home, Change { key, expect: Expect::Any, effect: Effect::Delete })
                .await?
            {
                Applied::Done(row) => row,
                Applied::Refused => None,
            }
        };
        Ok(Some(one_row_answer("DELETE", table, deleted.as_ref(), &delete.returning, arguments)))
    }
}
