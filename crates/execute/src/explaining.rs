//! How a statement would be answered.

use flywheel_postgres::Connection;
use flywheel_statement::Analysis;
use flywheel_wire::{PgError, sqlstate};

use crate::classify::Maker;
use crate::compared::column_types;
use crate::statement::Kind;
use crate::stores::Stores;

/// A plan as the command line shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explained {
    /// PostgreSQL answers the statement alone.
    Relay,
    /// The plan's lines.
    Plan(Vec<String>),
}

impl Stores {
    /// How this statement, the only one in its text, would be answered.
    pub async fn explain(
        &self,
        connection: &mut Connection,
        analysis: &Analysis,
    ) -> Result<Explained, PgError> {
        // PostgreSQL's word comes first.
        connection.describe(&analysis.text, &[]).await.map_err(|error| error.to_pg())?;
        if !analysis.concerns_any_store() {
            return Ok(Explained::Relay);
        }
        let visible = self.visible(connection).await.map_err(|error| error.to_pg())?;
        let known = self.catalogue.known();
        let types = column_types(connection, &known, (analysis, &[]))
            .await
            .map_err(|error| error.to_pg())?;
        let maker = Maker {
            types: &types,
            views: &[],
            known: &known,
            visible: &visible,
            max_fetch_rows: self.max_fetch_rows,
            configured: self.catalogue.configured(),
        };
        Ok(match maker.kind(analysis.statements[0].verb, &analysis.text, analysis)? {
            Kind::Planned { parsed, plan } => Explained::Plan(flywheel_plan::explain::lines(
                &plan,
                (&analysis.text, &parsed),
                self.max_fetch_rows,
            )),
            Kind::Explain { lines, .. } => Explained::Plan(lines),
            Kind::Failing(error) => return Err(error),
            Kind::CreateTable { table } => Explained::Plan(vec![format!(
                "Definition of {} in PostgreSQL, table in store \"{}\"",
                table.name, table.store_name
            )]),
            Kind::AlterTable { home } => Explained::Plan(vec![format!(
                "Definition of {} altered in PostgreSQL; values of its rows, where they change, in store \"{}\"",
                home.name(),
                home.store_name
            )]),
            Kind::DropTable { homes } => Explained::Plan(
                homes
                    .iter()
                    .map(|home| {
                        format!(
                            "Drop {} in PostgreSQL and in store \"{}\"",
                            home.name(),
                            home.store_name
                        )
                    })
                    .collect(),
            ),
            Kind::CopyFrom { home } => Explained::Plan(vec![format!(
                "COPY by PostgreSQL into its own empty table, the rows then to {} in store \"{}\"",
                home.name(),
                home.store_name
            )]),
            Kind::Truncate { homes } => Explained::Plan(
                homes
                    .iter()
                    .map(|home| {
                        format!(
                            "Delete all rows of {} in store \"{}\"",
                            home.name(),
                            home.store_name
                        )
                    })
                    .collect(),
            ),
            Kind::Prepare { inner, .. } => {
                return Box::pin(self.explain_text(connection, &inner)).await;
            }
            Kind::Materialize { .. } => Explained::Plan(vec![
                "Materialized view made by PostgreSQL over fetched rows".to_owned(),
            ]),
            Kind::Copy { .. } => {
                Explained::Plan(vec!["COPY by PostgreSQL over fetched rows".to_owned()])
            }
            // Made where it is carried out.
            Kind::Analyze { .. }
            | Kind::Cache(_)
            | Kind::Relayed
            | Kind::CreateView
            | Kind::DropUnnamed
            | Kind::Execute { .. } => Explained::Relay,
        })
    }

    async fn explain_text(
        &self,
        connection: &mut Connection,
        sql: &str,
    ) -> Result<Explained, PgError> {
        let analysis = self.analyses.of(sql);
        if analysis.statements.len() != 1 {
            return Err(PgError::error(sqlstate::SYNTAX_ERROR, "give one statement at a time"));
        }
        self.explain(connection, &analysis).await
    }
}
