//! CREATE and REFRESH MATERIALIZED VIEW over store tables. PostgreSQL computes it over the rows,
//! which are put into its own empty tables and deleted again in the same transaction: nobody else
//! ever sees them there. Reading it is PostgreSQL's alone.
//!
//! A materialized view is computed with the rows in PostgreSQL's own tables, put there and deleted
//! in the transaction that computes it (`execute/materialize.rs`): its definition names the tables,
//! so rows can't stand in their place. Outside a block it has the rows' turn, as staged writes do.

use std::sync::Arc;

use flywheel_plan::{Fetch, General, Home, Planner, Visible};
use flywheel_sql::{Materialized, RelationName, Verb, parse};
use flywheel_statement::Analysis;
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::quote::literal;

use super::classify::unreadable;
use super::compared::column_types;
use super::staging::{Images, by_table};
use super::statement::Kind;
use super::turn::Turn;
use super::{Answer, Arguments, StoreStatement};
use crate::failure::{Failure, Outcome};
use crate::homes::Known;
use crate::host::{Executor, Host};

impl<H: Host> Executor<'_, H> {
    /// What CREATE or REFRESH MATERIALIZED VIEW is; `None` for every other statement.
    pub(super) async fn materializes(
        &mut self,
        analysis: &Analysis,
        known: &Known,
        visible: &Visible,
    ) -> Outcome<Option<Kind>> {
        let statement = &analysis.statements[0];
        if !matches!(statement.verb, Verb::Other | Verb::OtherDefinition) {
            return Ok(None);
        }
        let query = match Materialized::of(&analysis.text, &statement.tokens) {
            None => return Ok(None),
            Some(Materialized::Empty) => return Ok(Some(Kind::Relayed)),
            Some(Materialized::Query(range)) => analysis.text[range].to_owned(),
            Some(Materialized::View(name)) => match self.materialized_query(&name).await? {
                Some(query) => query,
                None => return Ok(Some(Kind::Relayed)),
            },
        };
        let query = self.with_views(query, known, visible).await?;
        let parsed = match parse(&query) {
            Ok(parsed) => parsed,
            Err(error) => {
                let query = self.stores().analyses.of(&query);
                return Err(unreadable(
                    self.stores().catalogue.configured(),
                    &query,
                    &error.to_string(),
                )
                .into());
            }
        };
        for relation in &parsed.relations {
            if let Some(error) =
                visible.resolve(&relation.name).and_then(|name| known.refused.get(&name))
            {
                return Err(error.clone().into());
            }
        }
        let query = self.stores().analyses.of(&query);
        let types = column_types(self.server().await?, known, (&query, &[])).await;
        let types = types.map_err(|error| self.server_failed(&error))?;
        let planner = Planner { homes: &known.homes, visible, types: &types };
        match planner.plan(&parsed).map(|plan| plan.general) {
            None | Some(General::Write { .. }) => Ok(Some(Kind::Relayed)),
            Some(General::Refuse(error)) => Err(error.into()),
            Some(General::Read { fetches, .. }) => {
                self.check_code([query.text.as_str()], []).await?;
                // Rows in a table are whole.
                let whole = |fetch: Fetch| Fetch {
                    home: known.homes.get(fetch.home.name()).cloned().unwrap_or(fetch.home),
                    ..fetch
                };
                Ok(Some(Kind::Materialize { fetches: fetches.into_iter().map(whole).collect() }))
            }
        }
    }

    async fn materialized_query(&mut self, name: &RelationName) -> Outcome<Option<String>> {
        let sql = format!(
            "SELECT pg_catalog.pg_get_viewdef(oid) FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass({}) AND relkind = 'm'",
            literal(&name.to_sql())
        );
        let lease = self.server().await?;
        let asked = lease.query(&sql).await;
        let rows = asked.map_err(|error| self.server_failed(&error))?.pop().unwrap_or_default();
        let query = self.conforming(rows.text(0, 0).trim().trim_end_matches(';'));
        Ok((!query.is_empty()).then(|| query.into_owned()))
    }

    pub(super) async fn materialize(
        &mut self,
        statement: &StoreStatement,
        fetches: &[Fetch],
    ) -> Outcome<Answer> {
        let fetches: Vec<&Fetch> = fetches.iter().collect();
        let fetched = self.fetch_all(&fetches, statement, &Arguments::default()).await?;
        let tables = by_table(&fetches, fetched);
        let own_block = self.status() == TransactionStatus::Idle;
        if own_block {
            let mut turn = Turn::default();
            if self.takes_turns() {
                tables.iter().for_each(|(home, rows)| turn.add(&home.table.table, rows.keys()));
            }
            self.on_server(&turn.alone()).await?;
        }
        let mut made = self.run_over(&statement.text, &tables).await;
        let homes: Vec<&Arc<Home>> = tables.iter().map(|(home, _)| home).collect();
        if made.is_ok()
            && !homes.is_empty()
            && !self.block().definitions.are_own()
            && let Err(failure) = self.hold_definitions(&homes).await
        {
            // The rows were read by another definition than this.
            made = Err(failure);
        }
        if own_block && !matches!(made, Err(Failure::Session(_))) {
            self.on_server(if made.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        }
        let answer = made?;
        self.block_mut().redefined |= !own_block;
        self.reload_catalogue().await?;
        Ok(answer)
    }

    /// Runs a text of PostgreSQL's with these rows in its tables, which are as empty afterwards as
    /// before.
    async fn run_over(&mut self, text: &str, tables: &[(Arc<Home>, Images)]) -> Outcome<Answer> {
        let tables: Vec<_> = tables.iter().filter(|(_, rows)| !rows.is_empty()).collect();
        self.check_unoccupied(tables.iter().map(|(home, _)| &**home)).await?;
        self.put_rows(tables.iter().map(|(home, rows)| (&*home.table.table, rows))).await?;
        let answer = self.on_server_with_notices(text).await?;
        for (home, _) in &tables {
            self.take_rows(&home.table.table).await?;
        }
        Ok(answer)
    }
}
