//! Statements on store tables that PostgreSQL computes, and the code that runs within them.
//!
//! Where rows stand in the place of a table, the twins' counters tell whether code has read one
//! (the crate `gateway`, `session/guard`). Where rows are put into a twin, they can't: code in such
//! a statement must be proved to keep to what its words say.

use flywheel_plan::Home;
use flywheel_wire::{PgError, sqlstate};

use crate::failure::Outcome;
use crate::host::{Executor, Host};
use crate::twin::{has_rows, refused};

impl<H: Host> Executor<'_, H> {
    /// Refuses a statement that is computed on rows in PostgreSQL's own tables, and runs code that
    /// may read or write store tables: by the names in these texts, or for a row of these tables.
    pub(crate) async fn check_code<'h>(
        &mut self,
        texts: impl IntoIterator<Item = &str>,
        homes: impl IntoIterator<Item = &'h Home>,
    ) -> Outcome<()> {
        let shared = self.stores().clone();
        let alone = self.sees_own_definitions();
        let reach = shared.twins.reach(self.server().await?, alone).await;
        let reach = reach.map_err(|error| self.server_failed(&error))?;
        if reach.everything {
            let message = "a write to a store table can't be computed while an operator or cast may lead to store tables";
            return Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
                .with_hint(
                    "Write its function without dynamic SQL, and without naming a store table.",
                )
                .into());
        }
        let named = texts.into_iter().find_map(|text| reach.named_in(text));
        let mut homes = homes.into_iter();
        let found =
            named.or_else(|| homes.find_map(|home| reach.part(home.name()).map(str::to_owned)));
        match found {
            None => Ok(()),
            Some(name) => {
                let message = format!(
                    "a statement that is computed on a store table's rows can't use \"{name}\", which may read or write store tables"
                );
                Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
                    .with_hint("Code that names no store table, and runs no dynamic SQL, can be used. Compute the value in a statement of its own.")
                    .into())
            }
        }
    }

    /// Whether a text of expressions runs code that may read or write store tables.
    pub(crate) fn may_lead_to_twins(&self, text: &str) -> bool {
        let reach = self.stores().twins.current().filter(|_| !self.sees_own_definitions());
        reach.is_none_or(|reach| reach.everything || reach.named_in(text).is_some())
    }

    /// Refuses to put rows into PostgreSQL's own tables where others are, which would be taken for
    /// the statement's.
    pub(crate) async fn check_unoccupied<'h>(
        &mut self,
        homes: impl Iterator<Item = &'h Home> + Clone,
    ) -> Outcome<()> {
        let Some(sql) = has_rows(homes.clone().map(Home::name)) else {
            return Ok(());
        };
        let found = self.results_on_server(&sql).await?.pop().unwrap_or_default();
        self.refuse_occupied(&found, homes)
    }

    /// The same, with the answer to [`has_rows`].
    pub(crate) fn refuse_occupied<'h>(
        &self,
        found: &flywheel_postgres::Rows,
        mut homes: impl Iterator<Item = &'h Home>,
    ) -> Outcome<()> {
        if found.rows.is_empty() {
            return Ok(());
        }
        self.stores().look_for_definitions();
        let is_found = |home: &&Home| {
            home.name().schema == found.text(0, 0) && home.name().name == found.text(0, 1)
        };
        homes.find(is_found).map_or(Ok(()), |home| Err(refused(home).into()))
    }
}
