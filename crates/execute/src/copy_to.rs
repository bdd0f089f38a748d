//! COPY out of store tables: COPY of a query over their rows. It takes no parameters, so the rows
//! wait for it in settings of the transaction that it runs in, which nobody else sees, and which
//! are gone with it.

use std::sync::Arc;

use bytes::Bytes;
use flywheel_plan::{Fetch, Home, Visible};
use flywheel_sql::{CopiedTable, Parsed};
use flywheel_statement::Analysis;
use flywheel_wire::backend;
use flywheel_wire::{PgError, Severity, sqlstate};

use super::{Arguments, Kind, StoreStatement};
use crate::apart;
use crate::block::Isolation;
use crate::error::redefined;
use crate::failure::Outcome;
use crate::held_definitions::holding_or_failing;
use crate::homes::Known;
use crate::host::{Executor, Host};

/// What a COPY is run with.
#[derive(Debug)]
pub struct CopyOut {
    /// The statement in the client's place.
    pub text: String,
    /// The settings that it reads rows from, by name and value.
    pub settings: Vec<[Option<Bytes>; 2]>,
    /// What holds the definitions of its tables, and fails where they aren't those by which the
    /// rows were read.
    pub holding: Vec<String>,
    homes: Vec<Arc<Home>>,
}

impl CopyOut {
    /// An error of [`Self::holding`] as the client is told it.
    #[must_use]
    pub fn told(&self, error: PgError) -> PgError {
        match self.homes.first().filter(|_| error.code() == CHANGED) {
            Some(home) => redefined(home),
            None => error,
        }
    }
}

/// How the check fails: 22012, a division by zero.
const CHANGED: &str = "22012";

/// Sets one of them up to the end of the transaction.
pub const SET_ROWS: &str = "SELECT pg_catalog.set_config($1, $2, true) IS NULL";

fn setting(place: usize) -> String {
    format!("flywheel.rows_{place}")
}

/// An expression that gives the rows of the fetch at this place.
pub(super) fn rows_setting(place: usize) -> String {
    format!("pg_catalog.current_setting('{}')", setting(place))
}

impl<H: Host> Executor<'_, H> {
    /// `COPY table TO …` as COPY of a query of the columns that PostgreSQL copies, once PostgreSQL
    /// has found nothing wrong with it; `None` for every other statement.
    pub(super) async fn copied_as_query(
        &mut self,
        analysis: &Analysis,
        known: &Known,
        visible: &Visible,
    ) -> Outcome<Option<String>> {
        let Some(copied) = CopiedTable::of(&analysis.text, &analysis.statements[0].tokens) else {
            return Ok(None);
        };
        let home = known.homes.resolve(&copied.name, visible);
        let is_view = visible.resolve(&copied.name).is_some_and(|name| known.views.contains(&name));
        if copied.is_to_client && (home.is_some() || is_view) {
            // There are no rows there. A view, a column that can't be copied, an option that isn't
            // for it: PostgreSQL refuses it.
            self.try_copy(&analysis.text).await?;
        }
        let Some(home) = home.filter(|_| copied.columns.is_none()) else {
            return Ok(Some(copied.as_query(copied.columns.unwrap_or("*"))));
        };
        let columns = home.table.table.columns.iter().filter(|column| !column.generated);
        let columns: Vec<_> = columns.map(flywheel_types::Column::to_sql).collect();
        Ok(Some(copied.as_query(&columns.join(", "))))
    }

    async fn try_copy(&mut self, text: &str) -> Outcome<()> {
        let in_block = apart::begin(self).await?;
        let tried = self.on_server(text).await;
        apart::undo(self, in_block, tried).await.map(drop)
    }

    /// The rows that a COPY gives. In a READ ONLY block with a snapshot, as pg_dump's is, that
    /// isn't kept: a WARNING says what the rows are consistent with.
    async fn copied_rows(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        fetches: &[Fetch],
    ) -> Outcome<Vec<Bytes>> {
        self.learn_isolation().await?;
        let homes = homes_of(fetches);
        let homes: Vec<&Arc<Home>> = homes.iter().collect();
        if self.block().is_open() && !homes.is_empty() && !self.block().definitions.are_own() {
            self.hold_definitions(&homes).await?;
        }
        let arguments = Arguments::default();
        let isolation = self.block().isolation;
        if !(self.keeps_a_snapshot() && self.is_read_only().await?) {
            let rows = self.mixed_rows(statement, parsed, fetches, &arguments).await?;
            self.confirm_snapshot().await?;
            return Ok(rows);
        }
        self.block_mut().isolation = Some(Isolation::ReadCommitted);
        let rows = self.mixed_rows(statement, parsed, fetches, &arguments).await;
        self.block_mut().isolation = isolation;
        let rows = rows?;
        for fetch in fetches {
            let home = &fetch.home;
            let message = format!(
                "rows of table \"{}\", homed in {}, are those of this COPY, not of the transaction's snapshot",
                home.name(),
                home.store.kind()
            );
            let notice = PgError::new(Severity::Warning, sqlstate::WARNING, message)
                .with_hint("Dump while nobody writes to it where it must agree with other tables.");
            backend::notice_response(self.out(), &notice);
        }
        Ok(rows)
    }

    /// COPY with the rows of the store tables; `None` for every other statement.
    pub async fn copy_out(&mut self, statement: &StoreStatement) -> Outcome<Option<CopyOut>> {
        let (Kind::Copy { parsed, fetches }, Some(rewritten)) =
            (&statement.kind, statement.rewritten())
        else {
            return Ok(None);
        };
        if statement.is_unchecked() {
            self.check_rights_now(statement, &Arguments::default()).await?;
        }
        let rows = self.copied_rows(statement, parsed, fetches).await?;
        let settings = rows.into_iter().enumerate();
        let homes = match self.block().definitions.are_own() {
            true => Vec::new(),
            false => homes_of(fetches),
        };
        let held: Vec<&Arc<Home>> = homes.iter().collect();
        Ok(Some(CopyOut {
            holding: if held.is_empty() { Vec::new() } else { holding_or_failing(&held) },
            text: rewritten.text.clone(),
            settings: settings
                .map(|(place, rows)| [Some(setting(place).into()), Some(rows)])
                .collect(),
            homes,
        }))
    }
}

/// The tables of these fetches, each once.
fn homes_of(fetches: &[Fetch]) -> Vec<Arc<Home>> {
    let mut homes: Vec<Arc<Home>> = fetches.iter().map(|fetch| fetch.home.clone()).collect();
    homes.sort_by_key(|home| home.table.table.oid);
    homes.dedup_by_key(|home| home.table.table.oid);
    homes
}
