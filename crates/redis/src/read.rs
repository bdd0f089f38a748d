//! Rows by their keys.

use flywheel_store::{Layout, StoreError, StoreTable, now_micros};
use flywheel_types::{Key, Row};
use redis::Pipeline;

use crate::row::{self, Fields};
use crate::store::RedisStore;

/// Rows asked for at once: enough to fill packets, few enough that others' requests get in between.
pub(crate) const CHUNK: usize = 256;

impl RedisStore {
    pub(crate) async fn rows(&self, table: &StoreTable, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        if let Layout::SortedSet { score } = table.layout {
            return self.members(table, keys, score).await;
        }
        let names: Vec<String> = keys.iter().map(|key| self.keys.row(table, key)).collect();
        let rows = self.hashes(table, &names).await?;
        rows.into_iter().collect()
    }

    /// The rows of the hashes of these names, in the names' order, each with its own error.
    pub(crate) async fn hashes(&self, table: &StoreTable, names: &[String]) -> Result<Vec<Result<Option<Row>, StoreError>>, StoreError> {
        let now = now_micros();
        let mut rows = Vec::with_capacity(names.len());
        for names in names.chunks(CHUNK) {
            let fields: Vec<Fields> = match names {
                [name] => vec![self.link.query(&row::read_command(table, name)).await?],
                _ => {
                    let mut commands = Pipeline::with_capacity(names.len());
                    for name in names {
                        commands.add_command(row::read_command(table, name));
                    }
                    self.link.query_all(&commands).await?
                }
            };
            let found = names.iter().zip(&fields);
            rows.extend(found.map(|(name, fields)| row::decode(&self.keys, table, name, fields, now)));
        }
        Ok(rows)
    }
}
