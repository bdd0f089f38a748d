//! Whether the configured tables can be served.

use flywheel_execute::home;
use flywheel_postgres::ServerError;
use flywheel_types::TableName;

use crate::shared::Shared;

/// How one configured table fits PostgreSQL's definition and its store.
#[derive(Debug)]
pub struct TableReport {
    /// The table.
    pub name: TableName,
    /// Its store.
    pub store_name: String,
    /// What is wrong, a sentence each; empty when all is well.
    pub problems: Vec<String>,
    /// What the configuration gives up of its definition, a sentence each.
    pub given_up: Vec<String>,
}

/// Compares every configured table with PostgreSQL's definition and with its store.
///
/// # Errors
/// PostgreSQL can't be reached.
pub(crate) async fn table_reports(main: &Shared) -> Result<Vec<TableReport>, ServerError> {
    let mut lease = main.pool().acquire_plain().await?;
    let configured = main.stores.catalogue.configured();
    let names: Vec<_> = configured.iter().map(|table| table.name.clone()).collect();
    let mut definitions = flywheel_postgres::catalogue::load(&mut lease, &names).await?;
    let mut reports = Vec::new();
    for table in configured {
        let mut given_up = Vec::new();
        let problems = match definitions.remove(&table.name) {
            None => vec![
                "PostgreSQL has no table of this name: CREATE TABLE through Flywheel makes it"
                    .to_owned(),
            ],
            Some(mut definition) => {
                let warnings = flywheel_execute::given_up(table, &definition);
                given_up.extend(warnings.iter().map(|(_, warning)| warning.message().to_owned()));
                if !warnings.is_empty() {
                    definition.obstacles.retain(|obstacle| obstacle.drop.is_none());
                }
                match home(table, definition) {
                    Err(error) => vec![error.message().to_owned()],
                    Ok(home) => home
                        .store
                        .check_table(&home.table)
                        .await
                        .unwrap_or_else(|error| vec![error.to_string()]),
                }
            }
        };
        reports.push(TableReport {
            name: table.name.clone(),
            store_name: table.store_name.clone(),
            problems,
            given_up,
        });
    }
    Ok(reports)
}
