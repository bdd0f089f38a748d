//! SELECT that a store answers alone, with locks where it asks for them.

use std::collections::HashSet;
use std::sync::Arc;

use flywheel_plan::{Home, NativeSelect, Parameters, ReadOperation, ResolvedAccess};
use flywheel_types::{Key, Row};

use crate::error::too_many_rows;
use crate::failure::Outcome;
use crate::fetch::resolved;
use crate::host::{Executor, Host};
use crate::page::Page;
use crate::strength::Strength;
use crate::{Answer, Arguments};

/// How many rows are read at first for those that others have locked, beyond those that are asked
/// for.
const FURTHER: usize = 16;

impl<H: Host> Executor<'_, H> {
    pub(super) async fn native_select(
        &mut self,
        (select, strength): (&NativeSelect, Option<Strength>),
        home: &Arc<Home>,
        parameters: &Parameters<'_>,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Answer>> {
        let Some(page) = self.page(select.limit.as_ref(), select.offset.as_ref(), parameters)?
        else {
            return Ok(None);
        };
        if strength.is_some() {
            self.check_writable("SELECT FOR UPDATE").await?;
        }
        let rows = match strength {
            Some(strength) if self.block().is_open() => {
                self.native_locked(select, home, parameters, (page, strength)).await?
            }
            _ => self.native_rows(select, home, parameters, page).await?,
        };
        let Some(rows) = rows else { return Ok(None) };
        let mut answer = Answer::tagged(format!("SELECT {}", rows.len()));
        answer.set_rows(home, rows, &select.projection, arguments.result_formats);
        Ok(Some(answer))
    }

    /// A page of the rows that a SELECT reads.
    async fn native_rows(
        &mut self,
        select: &NativeSelect,
        home: &Arc<Home>,
        parameters: &Parameters<'_>,
        page: Page,
    ) -> Outcome<Option<Vec<Row>>> {
        let Some(conditions) = select.filter.resolve(&home.table.table, parameters) else {
            return Ok(None);
        };
        let most = self.stores().max_fetch_rows;
        // One more than allowed tells whether there are more.
        let wanted = page.head().min(most.saturating_add(1));
        Ok(Some(match &select.read {
            ReadOperation::Keys(access) => {
                let Some(ResolvedAccess::Keys(keys)) = resolved(access, home, *parameters).await
                else {
                    return Ok(None);
                };
                let mut rows = self.read_access(home, &ResolvedAccess::Keys(keys)).await?;
                rows.retain(|row| conditions.hold(row));
                page.of(rows)
            }
            ReadOperation::Range { access, descending } => {
                let Some(ResolvedAccess::Ranges { index, mut ranges }) =
                    access.resolve(&home.table, parameters)
                else {
                    return Ok(None);
                };
                let rows = match ranges.pop() {
                    Some(mut range) => {
                        range.descending = *descending;
                        self.read_ranges(home, index, std::slice::from_ref(&range), wanted).await?
                    }
                    None => Vec::new(),
                };
                if rows.len() > most {
                    return Err(too_many_rows(home, most).into());
                }
                let mut rows = page.of(rows);
                rows.retain(|row| conditions.hold(row));
                rows
            }
            ReadOperation::Some if page.head() > most => return Ok(None),
            ReadOperation::Some => match self.read_some(home, page.head()).await? {
                Some(rows) => page.of(rows),
                None => return Ok(None),
            },
            ReadOperation::ByScore { range, descending } => {
                match range.resolve(&home.table, parameters, *descending) {
                    // Which of the block's own rows are in a range of scores is PostgreSQL's to
                    // tell.
                    Some(Some(range))
                        if !range.is_whole() && self.block().has_written(home.name()) =>
                    {
                        return Ok(None);
                    }
                    Some(Some(range)) => self.read_by_score(home, &range, page).await?,
                    Some(None) => Vec::new(),
                    None => return Ok(None),
                }
            }
        }))
    }

    /// The same, each locked by the block: read again until they are as they were read.
    async fn native_locked(
        &mut self,
        select: &NativeSelect,
        home: &Arc<Home>,
        parameters: &Parameters<'_>,
        (page, strength): (Page, Strength),
    ) -> Outcome<Option<Vec<Row>>> {
        let skips = strength.skips();
        let mut further = 0;
        let mut first: Option<HashSet<Key>> = None;
        loop {
            // Behind those that are skipped come others.
            let limit = page.limit.saturating_add(further);
            let read = if skips {
                Page { offset: 0, limit: page.offset.saturating_add(limit) }
            } else {
                page
            };
            let Some(mut rows) = self.native_rows(select, home, parameters, read).await? else {
                return Ok(None);
            };
            let is_all = rows.len() < read.limit;
            if !skips {
                // What has come since the statement began isn't of its time.
                let first = first.get_or_insert_with(|| {
                    rows.iter().map(|row| home.table.table.key_of(row)).collect()
                });
                rows.retain(|row| first.contains(&home.table.table.key_of(row)));
            }
            if !self
                .lock_rows(home, &mut rows, strength, if skips { page.head() } else { usize::MAX })
                .await?
            {
                continue;
            }
            if !skips {
                return Ok(Some(rows));
            }
            if is_all || rows.len() >= page.head() {
                return Ok(Some(page.of(rows)));
            }
            further = (further * 4).max(FURTHER);
        }
    }
}
