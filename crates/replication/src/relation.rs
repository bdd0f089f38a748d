//! Tables by their numbers in the stream.

use std::collections::HashMap;
use std::sync::Arc;

use flywheel_postgres::Pool;
use flywheel_types::TableName;

use crate::ReplicationError;
use crate::pgoutput::Definition;

/// A table in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The table, and those that its rows are read through as well: the partitioned table that it
    /// is a part of, or the table that it inherits from.
    pub tables: Vec<TableName>,
    /// Its columns' names, in the order of the tuples.
    pub columns: Vec<String>,
    /// A row whose primary key changes is told as it was before.
    pub tells_key: bool,
}

/// The tables that the stream has described.
#[derive(Debug, Default)]
pub(crate) struct Relations {
    known: HashMap<u32, Arc<Relation>>,
}

impl Relations {
    pub(crate) fn get(&self, oid: u32) -> Result<&Arc<Relation>, ReplicationError> {
        self.known
            .get(&oid)
            .ok_or(ReplicationError::Message("a change of a table that wasn't described"))
    }

    /// Notes a description. What the table is a part of, the stream doesn't say: PostgreSQL is
    /// asked.
    pub(crate) async fn describe(
        &mut self,
        definition: Definition,
        pool: &Pool,
    ) -> Result<(), ReplicationError> {
        let sql = format!(
            "WITH RECURSIVE up(oid) AS (
                SELECT inhparent FROM pg_catalog.pg_inherits WHERE inhrelid = {oid}
                UNION SELECT inhparent FROM pg_catalog.pg_inherits JOIN up ON inhrelid = up.oid
            ) SELECT nspname, relname FROM up JOIN pg_catalog.pg_class USING (oid) JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace",
            oid = definition.oid
        );
        let parents = pool.acquire_plain().await?.query(&sql).await?;
        let mut tables = vec![TableName::new(definition.schema, definition.name)];
        for result in &parents {
            tables.extend(
                (0..result.rows.len())
                    .map(|row| TableName::new(result.text(row, 0), result.text(row, 1))),
            );
        }
        let relation =
            Relation { tables, columns: definition.columns, tells_key: definition.tells_key };
        self.known.insert(definition.oid, Arc::new(relation));
        Ok(())
    }
}
